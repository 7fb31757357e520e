"""What a path returns: one point of it with everything an objective needs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from helicell.core.spaces import Point


@dataclass(frozen=True, slots=True)
class PathSample:
    """A point of a path from x_0 to x_1.

    Attributes
    ----------
    x_t, dx_t
        The point and its velocity.
    x_0, x_1
        The ends.
    t
        The time, shape [batch], 0 at the source and 1 at the data.
    z
        The noise that a stochastic interpolant adds between the ends.
    """

    x_t: Point
    dx_t: Point
    x_0: Point
    x_1: Point
    t: Tensor
    z: Point | None = None
