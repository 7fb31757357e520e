"""Geodesic paths: from x_0 straight to x_1 on any space, at the pace of a schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.checks import check_ends, check_times
from helicell.core.paths.path import PathSample
from helicell.core.paths.schedules import Linear, Schedule
from helicell.core.spaces import Point, Space
from helicell.core.spaces.product import Product
from helicell.core.spaces.space import as_tensors, expand_like, expand_points, like_point


class GeodesicPath:
    """The path x_t = geodesic(x_0, x_1, kappa(t)) of Riemannian flow matching.

    Its velocity is kappa'(t) / (1 - kappa(t)) log_{x_t}(x_1); on Euclidean space with the linear schedule x_1 - x_0.

    Parameters
    ----------
    space
        Where the points live. For a `Product`, `schedule` may be a tuple with one schedule per factor.
    schedule
        The pace; linear unless given.

    References
    ----------
    Chen and Lipman, Flow matching on general geometries, arXiv 2302.03660, equation 15.

    Examples
    --------
    >>> import torch
    >>> from helicell.core.spaces import Euclidean
    >>> sample = GeodesicPath(Euclidean()).sample(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.5]))
    >>> sample.x_t, sample.dx_t
    (tensor([[0.5000, 0.5000]]), tensor([[1., 1.]]))
    """

    citations = ("chen2024flow",)

    def __init__(self, space: Space, schedule: Schedule | tuple[Schedule, ...] | None = None) -> None:
        self.space = space
        self.schedule = schedule if schedule is not None else Linear()
        if isinstance(self.schedule, tuple):
            factors = len(space.factors) if isinstance(space, Product) else None
            if factors != len(self.schedule):
                message = (
                    f"{len(self.schedule)} schedules were given for a space of {factors or 1} factors; give as many"
                )
                raise InputError(message)

    def sample(self, x_0: Point, x_1: Point, t: Tensor) -> PathSample:
        """Return the point of the path and its velocity at the times t, shape [batch] or [], in [0, 1].

        Raises
        ------
        InputError
            For shapes that do not fit, an empty batch, numbers that are not finite, or times outside [0, 1].
        """
        check_ends(x_0, x_1)
        self.space.check(x_1)
        check_times(t, x_1)
        behind = self._each_schedule("value", t)
        x_t = self.space.geodesic(x_0, x_1, behind)
        return PathSample(x_t=x_t, dx_t=self._velocity_between(x_0, x_t, x_1, t, behind), x_0=x_0, x_1=x_1, t=t)

    def velocity(self, x_t: Point, x_1: Point, t: Tensor) -> Point:
        """Return the velocity at x_t of the path that ends in x_1 (a given or a predicted end)."""
        rates = self._each_schedule("rate", t)
        logs = as_tensors(self.space.log(x_t, x_1))
        rates = rates if isinstance(rates, tuple) else (rates,) * len(logs)
        return like_point(tuple(expand_points(r, v) * v for r, v in zip(rates, logs, strict=True)), x_t)

    def endpoint(self, x_t: Point, v: Point, t: Tensor) -> Point:
        """Return the end x_1 of the path that is at x_t with the velocity v: the inverse of `velocity`."""
        rates = self._each_schedule("rate", t)
        parts = as_tensors(v)
        rates = rates if isinstance(rates, tuple) else (rates,) * len(parts)
        logs = tuple(part / expand_points(rate, part) for rate, part in zip(rates, parts, strict=True))
        return self.space.exp(x_t, like_point(logs, x_t))

    def fraction(self, t: Tensor, s: Tensor) -> Any:
        """Return the fraction of the way left at t that a step to s covers, a tuple for a tuple of schedules."""
        return self._each_schedule("fraction", t, s)

    def _velocity_between(self, x_0: Point, x_t: Point, x_1: Point, t: Tensor, behind: Any) -> Point:
        """Return the velocity from the logarithm of the end that is farther away.

        The way to the nearer one would be a difference of nearly equal numbers, and none at all at the ends.
        """
        slopes = self._each_schedule("derivative", t)
        first, last = as_tensors(x_0), as_tensors(x_1)
        many = isinstance(behind, tuple)
        done = behind if many else (behind,) * len(first)
        slopes = slopes if many else (slopes,) * len(first)
        late = tuple(kappa >= 0.5 for kappa in done)
        ends = tuple(
            torch.where(expand_like(is_late, a), a, b)  # type: ignore[arg-type]
            for is_late, a, b in zip(late, first, last, strict=True)
        )
        rates = tuple(
            slope / torch.where(is_late, -kappa, 1 - kappa)
            for is_late, kappa, slope in zip(late, done, slopes, strict=True)
        )
        logs = as_tensors(self.space.log(x_t, like_point(ends, x_t)))
        return like_point(tuple(expand_points(r, v) * v for r, v in zip(rates, logs, strict=True)), x_t)

    def _each_schedule(self, method: str, *times: Tensor) -> Any:
        if isinstance(self.schedule, tuple):
            return tuple(getattr(schedule, method)(*times) for schedule in self.schedule)
        return getattr(self.schedule, method)(*times)
