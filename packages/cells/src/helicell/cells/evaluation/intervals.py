"""How sure a mean over populations is: intervals over populations and repetitions.

What is measured of one predictor is a table [populations, repetitions]; repetitions are other draws of cells and, where
a model was trained several times, other seeds of its training. Populations differ from each other, and so do
repetitions: both are drawn anew, rows and columns of the table each with repetition, and the interval is the central
95 % of the means of a thousand such tables. A difference of two predictors is taken population by population first, so
that what is common to both falls out.

Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007) 386-411.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helicell.core.citations import cited

RESAMPLES = 1000
CONFIDENCE = 0.95

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval."""

    mean: float
    low: float
    high: float


@cited("owen2007pigeonhole")
def mean_interval(values: Table, *, seed: int = 0) -> Interval:
    """Return the mean of a table and its interval.

    Parameters
    ----------
    values
        Shape [populations, repetitions]; entries that are not numbers are left out.
    seed
        Of the draws.

    Examples
    --------
    >>> mean_interval(np.full((4, 2), 3.0))
    Interval(mean=3.0, low=3.0, high=3.0)
    """
    known = np.isfinite(values)
    if not known.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    rows = _times(len(values), rng)
    columns = _times(values.shape[1], rng)
    filled = np.where(known, values, 0.0)
    sums = np.einsum("rp,ps,rs->r", rows, filled, columns)
    weights = np.einsum("rp,ps,rs->r", rows, known.astype(float), columns)
    means = (sums / np.where(weights > 0, weights, 1))[weights > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    # Of equal values the means differ by their rounding.
    mean = float(values[known].mean())
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def difference_interval(first: Table, second: Table, *, seed: int = 0) -> Interval:
    """Return the mean of first minus second and its interval, paired by population.

    Repetitions are paired too if both have equally many; otherwise each population's mean over them is.
    """
    if first.shape[1] != second.shape[1]:
        first, second = _means(first), _means(second)
    return mean_interval(first - second, seed=seed)


def _means(table: Table) -> Table:
    """Return the mean of each population's numbers, shape [populations, 1]; not a number where there are none."""
    known = np.isfinite(table)
    counts = known.sum(axis=1, keepdims=True)
    sums = np.where(known, table, 0.0).sum(axis=1, keepdims=True)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _times(count: int, rng: np.random.Generator) -> Table:
    """Return how often each of `count` things is drawn, for every resample."""
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
