"""One step of the fixed-step methods, on any space.

On a curved space a step from x works in the tangent space at x: the solution is exp_x(u(t)), and u obeys the ordinary
differential equation u' = d log_x (field at exp_x(u)), which `Space.pull_back` evaluates. Any method for flat space
then keeps its order, every state lies on the space, and where the field follows a geodesic at constant speed, as that
of a rectified flow does, the step is exact. In flat space this is the method as everyone knows it.

Munthe-Kaas, High order Runge-Kutta methods on manifolds, Appl. Numer. Math. 29 (1999) 115-127.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.dynamics.fields import CountedField
from helicell.core.spaces import Point, Space
from helicell.core.spaces.space import as_tensors, expand_points, like_point


class Stepper(ABC):
    """Steps along a field from time to time."""

    @abstractmethod
    def step(self, x: Point, t: float, s: float) -> Point:
        """Return the state at time s, from that at time t."""


@dataclass(frozen=True, slots=True)
class Tableau:
    """An explicit Runge-Kutta method: stage i at time nodes[i] starts from weights[i] of the stages before it."""

    nodes: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    """One row a stage, and a last one for the step itself."""


EULER = Tableau((0,), ((), (1,)))
MIDPOINT = Tableau((0, 1 / 2), ((), (1 / 2,), (0, 1)))
HEUN = Tableau((0, 1), ((), (1,), (1 / 2, 1 / 2)))
CLASSICAL = Tableau((0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6)))
TABLEAUS = {"euler": EULER, "midpoint": MIDPOINT, "heun": HEUN, "rk4": CLASSICAL}


class RungeKutta(Stepper):
    """An explicit Runge-Kutta method.

    Parameters
    ----------
    tableau
        Its coefficients.
    field, space
        What is followed, and where.
    """

    def __init__(self, tableau: Tableau, field: CountedField, space: Space) -> None:
        self.tableau, self.field, self.space = tableau, field, space

    def step(self, x: Point, t: float, s: float) -> Point:
        h, velocities = s - t, list[Point]()
        for node, weights in zip(self.tableau.nodes, self.tableau.weights, strict=False):
            y = self.space.exp(x, weighted_sum(weights, velocities, h)) if weights else x
            v = self.field(y, t + node * h)
            velocities.append(self.space.pull_back(x, y, v) if weights else v)
        return self.space.exp(x, weighted_sum(self.tableau.weights[-1], velocities, h))


class AdamsBashforth(Stepper):
    """The two-step method of Adams and Bashforth for any step sizes: second order at one evaluation a step.

    Its first step is one of the midpoint method.

    Parameters
    ----------
    field, space
        What is followed, and where.
    """

    def __init__(self, field: CountedField, space: Space) -> None:
        self.field, self.space = field, space
        self._before: tuple[Point, Point, float] | None = None

    def step(self, x: Point, t: float, s: float) -> Point:
        h, now = s - t, self.field(x, t)
        if self._before is None:
            y = self.space.exp(x, weighted_sum((1 / 2,), (now,), h))
            middle = self.space.pull_back(x, y, self.field(y, t + h / 2))
            u = weighted_sum((1,), (middle,), h)
        else:
            last_x, last_v, last_h = self._before
            ratio = h / last_h
            u = weighted_sum((1 + ratio / 2, -ratio / 2), (now, self.space.pull_back(x, last_x, last_v)), h)
        self._before = (x, now, h)
        return self.space.exp(x, u)


def weighted_sum(weights: Sequence[float], velocities: Sequence[Point], h: float | Tensor) -> Point:
    """Return h times the sum of the weighted velocities, tensor by tensor; `h` may have the shape [batch]."""
    if isinstance(velocities[0], Tensor):
        return _weighted_sum(weights, velocities, h)  # type: ignore[arg-type]
    parts = zip(*(as_tensors(v) for v in velocities), strict=True)
    return like_point(tuple(_weighted_sum(weights, part, h) for part in parts), velocities[0])


def _weighted_sum(weights: Sequence[float], velocities: Sequence[Tensor], h: float | Tensor) -> Tensor:
    # A step size that is a number goes into the weights, which saves an operation.
    scale = 1.0 if isinstance(h, Tensor) else h
    total: Tensor | None = None
    for weight, v in zip(weights, velocities, strict=True):
        if weight:
            total = scale * weight * v if total is None else torch.add(total, v, alpha=scale * weight)
    if total is None:
        return torch.zeros_like(velocities[0])
    return expand_points(h, total) * total if isinstance(h, Tensor) else total
