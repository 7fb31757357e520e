"""Intervals hold the truth as often as they say, and pairing takes away what is common."""

from __future__ import annotations

import numpy as np
import pytest

from helicell.cells.evaluation.intervals import difference_interval, mean_interval


def test_width_over_populations_is_that_of_the_normal_law():
    """With one repetition it is the usual interval of a mean, two standard errors to each side."""
    values = np.random.default_rng(0).normal(5.0, 2.0, size=(400, 1))
    found = mean_interval(values)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


@pytest.mark.parametrize("spread", [(1.0, 0.0, 0.3), (0.3, 1.0, 0.3), (0.7, 0.7, 0.3)])
def test_truth_is_held(spread):
    """Whether populations differ, or seeds of training, or both: nine intervals of ten or more hold the true mean."""
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(100):
        populations, seeds, noise = (
            scale * rng.normal(size=size) for scale, size in zip(spread, ((30, 1), (1, 10), (30, 10)), strict=True)
        )
        found = mean_interval(populations + seeds + noise, seed=trial)
        held += found.low <= 0 <= found.high
    assert held >= 86


def test_seeds_that_differ_widen_the_interval():
    """As many populations, but three trainings that disagree: the interval is that of three, not of ninety numbers."""
    rng = np.random.default_rng(2)
    noise = 0.01 * rng.normal(size=(30, 3))
    agreeing, disagreeing = mean_interval(noise), mean_interval(noise + np.array([-1.0, 0.0, 1.0]))
    assert agreeing.high - agreeing.low < 0.02
    assert disagreeing.high - disagreeing.low > 1.0


def test_differences_are_paired_by_population():
    """Populations differ by far more than two predictors do; the difference is sure all the same."""
    rng = np.random.default_rng(3)
    populations = 100 * rng.normal(size=(20, 1))
    first = populations + 0.1 * rng.normal(size=(20, 2))
    second = populations + 1.0 + 0.1 * rng.normal(size=(20, 2))
    found = difference_interval(first, second)
    assert found.low < -1.0 < found.high < -0.8
    # A baseline has one repetition, a model several.
    found = difference_interval(first, second[:, :1])
    assert found.low < -1.0 < found.high < -0.8


def test_missing_numbers_are_left_out():
    """Entries that are not defined count neither in the mean nor in the interval; nothing defined gives nothing."""
    values = np.array([[1.0, np.nan], [np.nan, 1.0], [1.0, 1.0], [np.nan, np.nan]])
    found = mean_interval(values)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert np.isnan(mean_interval(np.full((3, 2), np.nan)).mean)


def test_the_same_numbers_give_the_same_interval():
    """Intervals are a function of the numbers."""
    values = np.random.default_rng(4).normal(size=(10, 3))
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)
