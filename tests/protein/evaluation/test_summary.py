"""Means, their intervals, and the groups they are taken over."""

import numpy as np
import pandas as pd
import pytest

from helicell.protein.evaluation import ReferenceProfile
from helicell.protein.evaluation.summary import bootstrap_mean, group_by_length, summarise


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    """For many values the bootstrap interval is the mean plus and minus 1.96 standard errors."""
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, size=400)
    low, high = bootstrap_mean(values, rng=rng)
    error = values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.25 * error)


def test_the_interval_of_pairs_counts_samples_not_pairs() -> None:
    """The interval covers the true mean about as often as it says, which an interval over pairs would not.

    Each sample has a value of its own, which enters all its pairs: score(i, j) = a_i + a_j with mean 0.4.
    """
    profile = ReferenceProfile.shipped()
    table = pd.DataFrame({"length": np.full(24, 80)})
    covered, width, naive = 0, [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        own = rng.uniform(0.1, 0.3, size=24)
        matrix = own[:, None] + own
        np.fill_diagonal(matrix, 1.0)
        low, high = summarise(table, [matrix], profile, rng=rng).intervals["pairwise_tm"]
        covered += low <= 0.4 <= high
        pairs = matrix[np.triu_indices(24, 1)]
        width.append(high - low)
        naive.append(2 * 1.96 * pairs.std() / np.sqrt(len(pairs)))
    assert covered >= 50
    assert np.mean(width) > 2 * np.mean(naive)


def test_what_cannot_be_taken_is_left_out() -> None:
    """A measure that is NaN everywhere, and the diversity of single samples, are absent instead of being NaN."""
    table = pd.DataFrame({"length": [60, 80], "helix": [0.4, np.nan], "novelty_tm": [np.nan, np.nan]})
    summary = summarise(table, [np.eye(1), np.eye(1)], ReferenceProfile.shipped(), rng=np.random.default_rng(0))
    assert summary.samples == 2
    assert summary.means == {"helix": 0.4}
    assert summary.natural.keys() == {"helix"}


def test_natural_figures_are_weighted_by_the_lengths_of_the_samples() -> None:
    """Three samples of 60 and one of 100 residues: three quarters of the one figure and a quarter of the other."""
    profile = ReferenceProfile.shipped()
    table = pd.DataFrame({"length": [60, 60, 60, 100], "rg": [10.0] * 4})
    summary = summarise(table, [], profile, rng=np.random.default_rng(0))
    assert summary.natural["rg"] == pytest.approx(
        0.75 * profile.radius_law.mean(60) + 0.25 * profile.radius_law.mean(100)
    )


@pytest.mark.parametrize(
    ("lengths", "labels"),
    [
        ([80], ["80-89"]),
        ([80, 80], ["80"]),
        ([60, 60, 60, 100], ["60", "100"]),
        (list(range(60, 80)), ["60-69", "70-79"]),
        (list(range(60, 129)) * 10, [str(length) for length in range(60, 129)]),
    ],
)
def test_groups_are_lengths_or_bins(lengths: list[int], labels: list[str]) -> None:
    """Lengths that repeat are groups of their own; a range with hardly one sample a length is binned."""
    groups = group_by_length(np.array(lengths))
    assert [group.label for group in groups] == labels
    assert sorted(np.concatenate([group.indices for group in groups])) == list(range(len(lengths)))
