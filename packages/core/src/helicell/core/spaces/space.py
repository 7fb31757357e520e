"""The interface that every space shares."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from helicell.core.errors import InputError

Point = Tensor | tuple[Tensor, ...]
"""A point: a tensor, or for a product space a tuple with one tensor per factor."""


class Space(ABC):
    """A geodesic space whose points are the last axis of a tensor; all axes before it are batch axes.

    Tangent vectors are given in the coordinates of the surrounding space, so that velocities of every space can be
    scaled and added alike.
    """

    def check(self, x: Point) -> None:
        """Raise an error unless `x` has the form of a point of this space; its numbers are not looked at."""
        if isinstance(x, tuple):
            message = (
                f"a point of {type(self).__name__} is one tensor, got {len(x)}; take a Product of spaces for those"
            )
            raise InputError(message)

    @abstractmethod
    def exp(self, x: Point, v: Point) -> Point:
        """Walk from `x` along the geodesic with initial velocity `v` for one unit of time."""

    @abstractmethod
    def log(self, x: Point, y: Point) -> Point:
        """Return the tangent vector at `x` whose geodesic reaches `y` in one unit of time."""

    @abstractmethod
    def project(self, x: Point) -> Point:
        """Return the point of the space nearest to the ambient point `x`."""

    @abstractmethod
    def project_tangent(self, x: Point, v: Point) -> Point:
        """Return the part of the ambient vector `v` that is tangent to the space at `x`."""

    @abstractmethod
    def distance(self, x: Point, y: Point) -> Tensor:
        """Return the geodesic distance, one number per point."""

    def squared_norm(self, x: Point, v: Point) -> Tensor:
        """Return the squared length of the tangent vector `v` at `x`, one number per point.

        Unless a space says otherwise, this is that of the surrounding space.
        """
        squares = [(part * part).sum(dim=-1) for part in as_tensors(v)]
        return sum(squares[1:], start=squares[0])

    def pull_back(self, x: Point, y: Point, v: Point) -> Point:
        """Return the velocity of log_x(y), in the tangent space at `x`, while `y` moves with the velocity `v`.

        Solvers turn a differential equation on the space into one in the flat tangent space by it. This general form
        differentiates `log` in forward mode.
        """

        def log(*parts: Tensor) -> tuple[Tensor, ...]:
            return as_tensors(self.log(x, like_point(parts, y)))

        return like_point(torch.func.jvp(log, as_tensors(y), as_tensors(v))[1], x)

    @abstractmethod
    def geodesic(self, x: Point, y: Point, fraction: Tensor | float) -> Point:
        """Return the point at `fraction` of the way from `x` (0) to `y` (1).

        Parameters
        ----------
        x, y
            Points of equal shape.
        fraction
            A number, or a tensor whose axes are the first axes of `x`; a product also takes a tuple, one per factor.
        """


def expand_like(value: Tensor | float, x: Tensor) -> Tensor | float:
    """Append axes to `value` (say times, shape [batch]) until it broadcasts against `x` from the left."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value.reshape(value.shape + (1,) * (x.ndim - value.ndim))


def expand_points(value: Tensor | float, x: Tensor) -> Tensor | float:
    """Like `expand_like`, and of the dtype and device of `x`."""
    if isinstance(value, Tensor):
        value = value.to(device=x.device, dtype=x.dtype)
    return expand_like(value, x)


def as_tensors(x: Point) -> tuple[Tensor, ...]:
    """Return the tensors of a point, also where it is a single one."""
    return x if isinstance(x, tuple) else (x,)


def like_point(tensors: tuple[Tensor, ...], x: Point) -> Point:
    """Return `tensors` in the form (a tensor or a tuple) that `x` has."""
    return tensors if isinstance(x, tuple) else tensors[0]


def add_scaled(x: Point, v: Point, scale: float) -> Point:
    """Return `x + scale * v`, tensor by tensor."""
    pairs = zip(as_tensors(x), as_tensors(v), strict=True)
    return like_point(tuple(torch.add(a, b, alpha=scale) for a, b in pairs), x)
