"""Ordinary differential equations: `integrate` follows a velocity field on any space.

| method | order | evaluations a step |
| --- | --- | --- |
| euler | 1 | 1 |
| midpoint, heun | 2 | 2 |
| ab2 (Adams-Bashforth) | 2 | 1 |
| rk4 | 4 | 4 |
| dopri5 (adaptive) | 5 | 6 |

`integrate` computes gradients where torch does; sample under `torch.no_grad()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.dynamics.dopri5 import DormandPrince
from helicell.core.dynamics.fields import (
    CountedField,
    Field,
    Times,
    check_end,
    check_start,
    grid_index,
    save_points,
    stack,
    time_points,
)
from helicell.core.dynamics.runge_kutta import TABLEAUS, AdamsBashforth, RungeKutta, Stepper
from helicell.core.errors import InputError, unknown_option
from helicell.core.spaces import Euclidean, Point, Space

METHODS = (*TABLEAUS, "ab2", "dopri5")


@dataclass(frozen=True, slots=True)
class Solution:
    """Where a field led.

    Attributes
    ----------
    x
        The state at the last time, of the shape of x_0.
    evaluations
        How often the field was called; each call is for the whole batch.
    steps
        Steps, with those that dopri5 rejected.
    times
        The times of the saved states, float64.
    states
        The saved states, shape [times, batch, ...], or None where no `save_at` was given.
    """

    x: Point
    evaluations: int
    steps: int
    times: Tensor
    states: Point | None = None


@cited("dormand1980family", "munthekaas1999high")
def integrate(
    field: Field,
    x_0: Point,
    times: Times,
    *,
    space: Space | None = None,
    method: str = "euler",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    save_at: Iterable[float] | Tensor | None = None,
    max_steps: int = 10_000,
) -> Solution:
    """Follow a velocity field.

    Parameters
    ----------
    field
        `field(x, t)` returns the velocity at the points x, with t of shape [batch]. On curved spaces velocities are
        tangent vectors in surrounding coordinates.
    x_0
        The state at the first time, shape [batch, ..., dimension], or a tuple of such for a product.
    times
        The times to step through, in [0, 1], increasing or decreasing; or the number of equal steps from 0 to 1. Of
        these times dopri5 uses only the first and the last.
    space
        Where the points live; flat unless given.
    method
        "euler", "midpoint", "heun", "ab2", "rk4" or "dopri5".
    rtol, atol
        Tolerances of dopri5, which judges every point by itself: in every coordinate `atol + rtol |x|`.
    save_at
        Times at which the state is kept. Fixed-step methods save at times that they step through; dopri5 saves
        anywhere, and more times cost no more evaluations.
    max_steps
        After so many steps dopri5 gives up.

    Raises
    ------
    InputError
        If the method is unknown, times are not in [0, 1] and in order, the batch is empty or not finite, or the field
        returns other shapes than it was given.
    HelicellError
        If the solution is not finite, or dopri5 cannot follow the field.

    Examples
    --------
    >>> solution = integrate(lambda x, t: -x, torch.ones(1, 1), [0, 1], method="dopri5")
    >>> round(solution.x.item(), 4), solution.evaluations
    (0.3679, 26)
    """
    space = space if space is not None else Euclidean()
    if method not in METHODS:
        raise unknown_option("method", method, METHODS)
    if not (rtol >= 0 and atol > 0):
        message = f"the tolerances are rtol = {rtol} and atol = {atol}, expected rtol >= 0 and atol > 0"
        raise InputError(message)
    check_start(x_0, space)
    grid = time_points(times)
    wanted = save_points(save_at, grid)
    counted = CountedField(field)
    if method == "dopri5":
        adaptive = DormandPrince(counted, space, rtol=rtol, atol=atol, max_steps=max_steps)
        x, saved = adaptive.follow(x_0, grid[0], grid[-1], wanted)
        steps = adaptive.steps
    else:
        stepper = AdamsBashforth(counted, space) if method == "ab2" else RungeKutta(TABLEAUS[method], counted, space)
        x, saved = walk(stepper, x_0, grid, wanted)
        steps = len(grid) - 1
    check_end(x)
    states = stack(saved) if saved else None
    return Solution(x, counted.evaluations, steps, torch.tensor(wanted, dtype=torch.float64), states)


def walk(stepper: Stepper, x: Point, grid: Sequence[float], save_at: Sequence[float]) -> tuple[Point, list[Point]]:
    """Return the state at the last time of the grid, and those at the times `save_at`, which must be in the grid."""
    indices = grid_index(save_at, grid)
    kept = {0: x} if 0 in indices else {}
    for index, (t, s) in enumerate(pairwise(grid), start=1):
        x = stepper.step(x, t, s)
        if index in indices:
            kept[index] = x
    return x, [kept[index] for index in indices]
