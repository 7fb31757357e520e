"""Fields: what solvers follow, how they are called, and how often they were.

A field is a velocity at every point and time, `field(x, t) -> v`, with `t` of shape [batch], one time for each point
along the first axis of `x`: just as a network is called in training. On a product space points and velocities are
tuples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import HelicellError, InputError
from helicell.core.paths.checks import check_points
from helicell.core.spaces import Point, Space
from helicell.core.spaces.space import as_tensors, like_point

Field = Callable[[Any, Tensor], Any]
"""(x, t) -> the velocity at x, of the shape of x; t has the shape [batch].

x and the velocity are points: of one tensor, or tuples on products. A function of either fits.
"""

Times = int | Iterable[float] | Tensor
"""Times to step through, or the number of equal steps from 0 to 1."""


class CountedField:
    """A field that counts its evaluations and checks what it returns.

    Parameters
    ----------
    field
        Called with times of shape [batch] in the dtype of the points.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.evaluations = 0

    def __call__(self, x: Point, t: Tensor | float) -> Point:
        """Return the velocity at x; `t` is a number or has the shape [batch]."""
        self.evaluations += 1
        v = self.field(x, batch_times(t, x))
        check_velocity(v, x)
        return v


def check_velocity(v: object, x: Point) -> None:
    """Raise an error unless what a field returned has the form of the points x."""
    if isinstance(v, Tensor) and isinstance(x, Tensor) and v.shape == x.shape:
        return
    parts, points = v if isinstance(v, tuple) else (v,), as_tensors(x)
    if len(parts) == len(points) and all(
        isinstance(part, Tensor) and part.shape == point.shape for part, point in zip(parts, points, strict=True)
    ):
        return
    given = [list(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in parts]
    expected = [list(point.shape) for point in points]
    message = f"the field returned the shapes {given} for points of the shapes {expected}; they must be equal"
    raise InputError(message)


def batch_times(t: Tensor | float, x: Point) -> Tensor:
    """Return times of shape [batch] with dtype and device of x."""
    first = as_tensors(x)[0]
    if isinstance(t, Tensor):
        return t.to(device=first.device, dtype=first.dtype).expand(first.shape[0])
    return torch.full(first.shape[:1], t, dtype=first.dtype, device=first.device)


def check_start(x: Point, space: Space | None = None) -> None:
    """Raise an error unless x is a batch of at least one finite point, of the form that the space asks for."""
    parts = as_tensors(x)
    if space is not None:
        space.check(x)
    for part in parts:
        check_points("x_0", part)
        if part.ndim < 2 or part.shape[0] != parts[0].shape[0]:
            shapes = [list(p.shape) for p in parts]
            message = f"x_0 has the shapes {shapes}, expected [batch, ..., dimension] with one batch; add an axis"
            raise InputError(message)


def check_end(x: Point) -> None:
    """Raise an error unless x is finite."""
    for part in as_tensors(x):
        if not part.isfinite().all():
            message = "the solution is not finite; take more steps, or keep times at which the field is infinite out"
            raise HelicellError(message)


def time_points(times: Times) -> list[float]:
    """Return the times to step through, checked.

    Raises
    ------
    InputError
        If there are fewer than two times, they are outside of [0, 1], or neither all increasing nor all decreasing.

    Examples
    --------
    >>> time_points(4)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if isinstance(times, int):
        if times < 1:
            message = f"the number of steps is {times}, expected 1 or more"
            raise InputError(message)
        return [step / times for step in range(times + 1)]
    if not isinstance(times, Iterable):
        message = f"the times are {times!r}, expected a whole number of steps or the times to step through"
        raise InputError(message)
    points = [float(t) for t in times]
    if len(points) < 2 or not all(0 <= t <= 1 for t in points):
        told = ", ".join(f"{t:g}" for t in points[:5])
        message = f"the times are [{told}{', ...' if len(points) > 5 else ''}], expected two or more in [0, 1]"
        raise InputError(message)
    steps = [s - t for t, s in pairwise(points)]
    if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
        message = "the times neither increase throughout nor decrease throughout; sort them, without repeats"
        raise InputError(message)
    return points


def save_points(save_at: Iterable[float] | Tensor | None, times: Sequence[float]) -> list[float]:
    """Return the times at which states are asked for, checked to lie between the first and the last of `times`."""
    if save_at is None:
        return []
    points = [float(t) for t in save_at]
    low, high = min(times), max(times)
    if not points or not all(low <= t <= high for t in points):
        message = f"save_at holds {points[:5]}, expected times between {low:g} and {high:g}"
        raise InputError(message)
    return points


def grid_index(points: Sequence[float], grid: Sequence[float]) -> list[int]:
    """Return which time of the grid each point is.

    Raises
    ------
    InputError
        If a point is none of them.
    """
    indices = []
    for point in points:
        index = min(range(len(grid)), key=lambda i: abs(grid[i] - point))
        if not math.isclose(grid[index], point, rel_tol=0, abs_tol=1e-6):
            message = (
                f"save_at holds {point:g}, which is none of the times that are stepped through; add it to the times, "
                "or take the method dopri5, which saves anywhere"
            )
            raise InputError(message)
        indices.append(index)
    return indices


def stack(points: Sequence[Point]) -> Point:
    """Stack points along a new first axis."""
    parts = zip(*(as_tensors(point) for point in points), strict=True)
    return like_point(tuple(torch.stack(part) for part in parts), points[0])
