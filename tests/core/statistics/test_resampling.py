"""Intervals and floors by half-samples."""

import numpy as np
import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.statistics.kernels import Gaussian, energy_distance, squared_mmd
from helicell.core.statistics.resampling import estimate
from helicell.core.statistics.sliced import sliced_wasserstein
from helicell.core.statistics.transport import sinkhorn_divergence, wasserstein


def difference(x, y):
    """Return the difference of the means of the first feature."""
    return float(x[:, 0].mean() - y[:, 0].mean())


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Nine of ten intervals of a difference of means, also of skewed samples, hold the true difference."""
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(300):
        x, y = rng.exponential(size=(60, 1)) + 0.5, rng.exponential(size=(90, 1))
        result = estimate(difference, x, y, resamples=40, generator=generator)
        held += result.low <= 0.5 <= result.high
    assert 0.84 < held / 300 < 0.95


def test_the_width_is_that_of_the_textbook():
    """For a difference of means the interval is 2 x 1.645 standard errors wide."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 1)), rng.normal(size=(100, 1))
    result = estimate(difference, x, y, resamples=2000, generator=torch.Generator().manual_seed(1))
    width = 2 * 1.645 * np.sqrt(x.var(ddof=1) / 400 + y.var(ddof=1) / 100)
    assert result.high - result.low == pytest.approx(width, rel=0.08)


STATISTICS = {
    "wasserstein": wasserstein,
    "sinkhorn": lambda x, y: sinkhorn_divergence(x, y, regularisation=0.5),
    "sliced": lambda x, y: sliced_wasserstein(x, y, directions=50, generator=torch.Generator().manual_seed(2)).distance,
    "mmd": lambda x, y: squared_mmd(x, y, kernel=Gaussian(1.0)),
    "energy": energy_distance,
}


@pytest.mark.parametrize("name", STATISTICS)
def test_every_distance_has_an_interval_and_a_floor(name):
    """Samples of one distribution reach the floor; others stay above it, and the interval is around the value."""
    generator = torch.Generator().manual_seed(3)
    same, other, reference = torch.randn(3, 120, 2, generator=generator)
    near = estimate(STATISTICS[name], same, reference, resamples=15, generator=generator)
    far = estimate(STATISTICS[name], other + 1, reference.numpy(), resamples=15, generator=generator)
    assert near.half < near.floor + 0.6 * (far.half - far.floor)
    assert far.half > 2 * far.floor
    assert far.low < far.value < far.high
    assert far.low > near.high


def test_equal_seeds_give_equal_intervals():
    """All draws come from the generator."""
    x, y = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(4))
    results = [estimate(energy_distance, x, y, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.zeros(3, 2), {}, "an interval needs 4"),
        (torch.zeros(9, 2), {"resamples": 1}, "1 resamples"),
        (torch.zeros(9, 2), {"level": 1.0}, "within 0 and 1"),
    ],
)
def test_bad_input_is_refused(x, options, message):
    """Every mistake has a message of one line."""
    with pytest.raises(InputError, match=message):
        estimate(difference, x, torch.zeros(9, 2), **options)
