"""How sure a distance between samples is, and how small it could be: an interval and a floor.

Distances between samples have no simple error formula, and the usual bootstrap, which draws points with repetition,
shifts most of them: two copies of a point are at distance zero of each other. Half-samples are drawn without repetition
instead. The spread of a statistic over half-samples about its mean is that over whole samples about the truth, since
half the points double the variance and drawing them from the same points halves it again; so it gives the interval.

The floor is the mean distance between two halves of y: what a perfect x would get, at half the size. Distances shrink
with the number of points, so what is to be compared with the floor is `half`, the mean over half-samples of both.

Politis, Romano and Wolf, Subsampling (Springer 1999); Shao and Wu, Ann. Stat. 17 (1989) 1176-1197.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.statistics.samples import Samples, as_samples

Statistic = Callable[[Tensor, Tensor], float]

FEWEST_POINTS = 4
FEWEST_RESAMPLES = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A distance between two samples.

    Attributes
    ----------
    value
        Between all points.
    low, high
        The interval.
    half
        The mean between halves of x and halves of y.
    floor
        The mean between two halves of y.
    """

    value: float
    low: float
    high: float
    half: float
    floor: float


def estimate(
    statistic: Statistic,
    x: Samples,
    y: Samples,
    *,
    resamples: int = 50,
    level: float = 0.9,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Return a statistic of two samples with its interval and its floor.

    Parameters
    ----------
    statistic
        Takes x and y as tensors [samples, features] and returns a number, such as `wasserstein`.
    x, y
        Points; y is the reference.
    resamples
        Half-samples to draw, for the interval and for the floor each.
    level
        The share of intervals that hold the true value.
    generator
        Of the draws.

    Raises
    ------
    InputError
        If a sample has fewer than four points, or an option is out of range.

    Examples
    --------
    >>> from helicell.core.statistics.transport import wasserstein
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 200, 2, generator=generator)
    >>> result = estimate(wasserstein, x + 3, y, generator=generator)
    >>> result.low < result.value < result.high, result.floor < 1 < result.half
    (True, True)
    """
    first, second = as_samples("x", x), as_samples("y", y)
    if min(len(first), len(second)) < FEWEST_POINTS:
        message = f"there are {len(first)} and {len(second)} points; an interval needs {FEWEST_POINTS} or more of each"
        raise InputError(message)
    if resamples < FEWEST_RESAMPLES or not 0 < level < 1:
        message = (
            f"there are {resamples} resamples at the level {level:g}; expected 2 or more, at a level within 0 and 1"
        )
        raise InputError(message)
    draws = torch.tensor(
        [statistic(_half(first, generator)[0], _half(second, generator)[0]) for _ in range(resamples)],
        dtype=torch.float64,
    )
    floors = [statistic(*_half(second, generator)) for _ in range(resamples)]
    value = float(statistic(first, second))
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    # What is above the mean of the draws is above the value; turned round, it is below the truth.
    above, below = (draws - draws.mean()).quantile(tails).tolist()
    return Estimate(value, value - below, value - above, float(draws.mean()), sum(floors) / resamples)


def _half(x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return two halves of a sample; of an odd number, one point is left out."""
    order = torch.randperm(len(x), generator=generator).to(x.device)
    size = len(x) // 2
    return x[order[:size]], x[order[size : 2 * size]]
