"""Kernel and energy distances against SciPy and sums by hand."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy

from helicell.core.errors import InputError
from helicell.core.statistics import samples
from helicell.core.statistics.kernels import (
    Gaussian,
    Laplace,
    Mean,
    RationalQuadratic,
    energy_distance,
    median_distance,
    squared_mmd,
)

KERNELS = {
    "gaussian": (Gaussian(1.3), lambda r: np.exp(-(r**2) / (2 * 1.3**2))),
    "laplace": (Laplace(0.7), lambda r: np.exp(-r / 0.7)),
    "rational": (RationalQuadratic(0.9, 2.0), lambda r: (1 + r**2 / (2 * 2 * 0.81)) ** -2.0),
    "mean": (
        Mean((Gaussian(0.5), Gaussian(2.0))),
        lambda r: (np.exp(-(r**2) / 0.5) + np.exp(-(r**2) / 8)) / 2,
    ),
}


def clouds(n, m, d, *, seed=0, shift=0.5):
    """Return two samples that differ in their means."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + shift


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_is_the_sum_by_hand(name, unbiased, monkeypatch):
    """Every kernel, both estimates, in one block and in many, for numpy and torch."""
    kernel, formula = KERNELS[name]
    x, y = clouds(30, 41, 3)
    tables = [formula(cdist(a, b)) for a, b in ((x, x), (y, y), (x, y))]
    within = []
    for table in tables[:2]:
        n = len(table)
        within.append((table.sum() - np.trace(table)) / (n * (n - 1)) if unbiased else table.mean())
    expected = sum(within) - 2 * tables[2].mean()
    assert squared_mmd(x, y, kernel=kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(samples, "PAIRS", 90)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    assert squared_mmd(*tensors, kernel=kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)


def test_the_unbiased_estimate_is_unbiased_and_the_biased_one_is_not():
    """Between samples of one distribution the mean is zero within four standard errors, or clearly positive."""
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=(12, 2)), rng.normal(size=(15, 2))) for _ in range(300)]
    for statistic in (
        lambda x, y, unbiased: squared_mmd(x, y, kernel=Gaussian(1.0), unbiased=unbiased),
        lambda x, y, unbiased: energy_distance(x, y, unbiased=unbiased),
    ):
        values = np.array([[statistic(x, y, unbiased) for unbiased in (True, False)] for x, y in pairs])
        error = values[:, 0].std() / np.sqrt(300)
        assert abs(values[:, 0].mean()) < 4 * error
        assert values[:, 1].mean() > 20 * error
        assert values[:, 1].min() >= 0


def test_energy_distance_is_scipys_squared():
    """SciPy gives the root of the same quantity in one dimension."""
    x, y = clouds(50, 33, 1)
    assert energy_distance(x, y) == pytest.approx(scipy_energy(x[:, 0], y[:, 0]) ** 2, rel=1e-9)


def test_points_far_from_the_origin_keep_their_digits():
    """Moving both samples far away changes nothing."""
    x, y = clouds(40, 40, 3)
    assert energy_distance(x + 1e5, y + 1e5) == pytest.approx(energy_distance(x, y), rel=1e-7)


def test_median_distance():
    """The median over different pairs, by SciPy's table; many points are thinned evenly."""
    x, y = clouds(40, 31, 3)
    both = np.concatenate([x, y])
    table = cdist(both, both)[np.triu_indices(71, 1)]
    assert median_distance(x, y) == pytest.approx(np.quantile(table, 0.5, method="higher"), rel=1e-9)
    many = np.random.default_rng(2).normal(size=(5000, 2))
    # Distances of standard normal points in the plane have the median 2 sqrt(log 2).
    assert median_distance(many, many[:1]) == pytest.approx(2 * np.sqrt(np.log(2)), rel=0.05)


def test_bad_input_is_refused():
    """Kernels without a width, samples of one point, samples that do not fit."""
    x = np.zeros((3, 2))
    with pytest.raises(InputError, match="bandwidth of the kernel is 0"):
        Gaussian(0.0)
    with pytest.raises(InputError, match="bandwidth"):
        median_distance(x, x)
    with pytest.raises(InputError, match="two points or more"):
        squared_mmd(x[:1], x, kernel=Gaussian(1.0))
    with pytest.raises(InputError, match="features"):
        energy_distance(x, np.zeros((3, 1)))
    with pytest.raises(InputError, match="exponent of the kernel"):
        RationalQuadratic(1.0, exponent=0.0)
    with pytest.raises(InputError, match="one kernel or more"):
        Mean([])
    with pytest.raises(InputError, match="x cannot be made a tensor"):
        energy_distance(np.array([["a"]]), x)
