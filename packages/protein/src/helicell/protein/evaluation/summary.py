"""From a table of samples to a few figures: means with bootstrap intervals, in sum and for each length.

An interval is the central 95 % of the mean over resamples of the samples. TM-scores between samples share samples, so
their mean is resampled by sample as well, never by pair, which would make the interval half as wide as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from helicell.protein.evaluation.measures import MEASURES
from helicell.protein.evaluation.similarity import count_clusters, mean_pairwise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from helicell.protein.evaluation.reference import ReferenceProfile

RESAMPLES = 1000
CONFIDENCE = 0.95
# Where lengths hardly repeat, samples are grouped in bins of this many residues.
BIN = 10


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one length, or of lengths within one bin.

    Parameters
    ----------
    label : str
        The length, or the range of lengths, such as ``80`` or ``80-89``.
    indices : ndarray of int
        Which samples belong to it, ascending.
    """

    label: str
    indices: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a set of samples.

    Parameters
    ----------
    samples : int
        How many there are.
    means : mapping of str to float
        Mean of each measure; one that could not be taken is absent.
    intervals : mapping of str to (float, float)
        Bootstrap interval of each mean.
    natural : mapping of str to float
        Mean of each measure over real chains of the same lengths.
    """

    samples: int
    means: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    natural: Mapping[str, float] = field(default_factory=dict)


def group_by_length(lengths: NDArray[np.integer]) -> list[Group]:
    """Group samples by length; by bins of ten residues where there is hardly more than one sample a length.

    Examples
    --------
    >>> [group.label for group in group_by_length(np.array([60, 80, 60, 80]))]
    ['60', '80']
    >>> [group.label for group in group_by_length(np.array([60, 61, 69, 70]))]
    ['60-69', '70-79']
    """
    width = 1 if 2 * len(np.unique(lengths)) <= len(lengths) else BIN
    starts = lengths // width * width
    return [
        Group(f"{start}" if width == 1 else f"{start}-{start + width - 1}", np.flatnonzero(starts == start))
        for start in np.unique(starts).tolist()
    ]


def summarise(
    table: pd.DataFrame,
    matrices: Sequence[NDArray[np.floating]],
    profile: ReferenceProfile,
    *,
    rng: np.random.Generator,
) -> Summary:
    """Summarise the rows of a table.

    Parameters
    ----------
    table : DataFrame
        A row a sample, with the columns of `MEASURES` and `length`.
    matrices : sequence of ndarray, shape (compared, compared)
        TM-scores among the samples compared, one matrix a length.
    profile : ReferenceProfile
        The natural figures.
    rng : numpy.random.Generator
        For the resamples.

    Returns
    -------
    Summary
    """
    means: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for measure in MEASURES:
        if measure.name not in table or measure.name == "pairwise_tm":
            continue
        values = table[measure.name].to_numpy(dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            means[measure.name] = float(values.mean())
            intervals[measure.name] = bootstrap_mean(values, rng=rng)
    comparable = [matrix for matrix in matrices if len(matrix) > 1]
    if comparable:
        means["pairwise_tm"], intervals["pairwise_tm"] = _pairwise(comparable, rng=rng)
        means["cluster_fraction"] = sum(map(count_clusters, comparable)) / sum(map(len, comparable))
    natural = _natural(table["length"].to_numpy(), profile)
    return Summary(len(table), means, intervals, {name: natural[name] for name in means if name in natural})


def bootstrap_mean(values: NDArray[np.floating], *, rng: np.random.Generator) -> tuple[float, float]:
    """Return the interval of a mean over resamples of the values."""
    resampled = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    return _central(resampled)


def _pairwise(
    matrices: Sequence[NDArray[np.floating]], *, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Mean score within each length, averaged over lengths by their samples, and its interval."""
    weights = np.array([len(matrix) for matrix in matrices]) / sum(map(len, matrices))
    mean = float(weights @ np.array([mean_pairwise(matrix) for matrix in matrices]))
    resampled = np.stack([_resampled_pairwise(matrix, rng=rng) for matrix in matrices])
    return mean, _central(weights @ resampled)


def _resampled_pairwise(matrix: NDArray[np.floating], *, rng: np.random.Generator) -> NDArray[np.floating]:
    """Mean score over the pairs of distinct samples in each resample, ``[RESAMPLES]``."""
    count = len(matrix)
    times = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
    off_diagonal = matrix - np.diag(np.diag(matrix))
    pairs = times.sum(axis=1) ** 2 - np.sum(times**2, axis=1)
    scores = np.einsum("ri,ij,rj->r", times, off_diagonal, times)
    # A resample that drew one sample only has no pair: the mean of all stands in.
    return np.where(pairs > 0, scores / np.maximum(pairs, 1), mean_pairwise(matrix))


def _central(resampled: NDArray[np.floating]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def _natural(lengths: NDArray[np.integer], profile: ReferenceProfile) -> dict[str, float]:
    """Mean of the natural figures over the lengths of the samples."""
    unique, counts = np.unique(lengths, return_counts=True)
    figures = [profile.natural(length) for length in unique.tolist()]
    return {name: float(np.average([figure[name] for figure in figures], weights=counts)) for name in figures[0]}
