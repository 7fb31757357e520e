"""Transport distances against POT, SciPy and closed forms."""

import logging

import numpy as np
import ot
import pytest
import torch
from scipy.stats import wasserstein_distance

from helicell.core.errors import InputError
from helicell.core.statistics import samples
from helicell.core.statistics.kernels import energy_distance
from helicell.core.statistics.transport import sinkhorn_divergence, wasserstein


def clouds(n, m, d, *, seed=0):
    """Return two samples that differ in mean and spread."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 0.7 * rng.normal(size=(m, d)) + 1


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("n", "m", "d"), [(1, 1, 2), (60, 60, 1), (300, 300, 2), (300, 300, 40), (50, 80, 3), (7, 1, 2)]
)
def test_exact_distances_are_those_of_pot(n, m, d, order):
    """Equal sizes by assignment and unequal ones by POT agree with POT's solver on a table made by hand."""
    x, y = clouds(n, m, d)
    table = ((x[:, None] - y[None]) ** 2).sum(axis=-1) ** (order / 2)
    expected = ot.emd2([], [], table, numItermax=10**7) ** (1 / order)
    assert wasserstein(x, y, order=order) == pytest.approx(expected, rel=1e-6)
    assert wasserstein(torch.from_numpy(x).float(), torch.from_numpy(y).float(), order=order) == pytest.approx(
        expected, rel=1e-5
    )


def test_closed_forms():
    """A shift by v costs |v| at any order, far from the origin too; in one dimension SciPy agrees."""
    x, _ = clouds(200, 1, 5)
    shift = np.array([3.0, 0, 4, 0, 0])
    for order in (1, 2):
        assert wasserstein(x + 1e4, x + 1e4 + shift, order=order) == pytest.approx(5.0, rel=1e-9)
    a, b = clouds(80, 55, 1)
    assert wasserstein(a, b, order=1) == pytest.approx(wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-9)


def test_weights():
    """A point of mass two is two points."""
    x, y = clouds(20, 31, 2)
    weights = np.where(np.arange(20) < 5, 2.0, 1.0)
    doubled = np.concatenate([x, x[:5]])
    assert wasserstein(x, y, x_weights=weights) == pytest.approx(wasserstein(doubled, y), rel=1e-9)
    assert wasserstein(x, x, x_weights=weights, y_weights=7 * weights) == pytest.approx(0, abs=1e-6)


def primal(x, y, strength, order):
    """Return the entropic cost by POT: the plan's cost and its relative entropy."""
    table = np.linalg.norm(x[:, None] - y[None], axis=-1) ** order
    a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    plan = ot.sinkhorn(a, b, table, strength, method="sinkhorn_log", stopThr=1e-9, numItermax=5000)
    relative = plan * np.log(np.maximum(plan, 1e-300) / (a[:, None] * b))
    return float((plan * table).sum() + strength * relative.sum())


@pytest.mark.parametrize(("order", "strength"), [(2, 1.0), (2, 0.4), (1, 0.3)])
def test_sinkhorn_divergence_is_that_of_pots_plans(order, strength):
    """The dual value found here equals the primal value of POT's plan, for unequal sizes and both orders."""
    x, y = clouds(25, 40, 2)
    expected = primal(x, y, strength, order) - 0.5 * (primal(x, x, strength, order) + primal(y, y, strength, order))
    assert sinkhorn_divergence(x, y, regularisation=strength, order=order) == pytest.approx(expected, rel=1e-4)


def test_limits_of_the_sinkhorn_divergence():
    """Small regularisations give W_2^2, large ones the squared distance of means or half the energy distance."""
    x, y = clouds(40, 40, 2)
    assert sinkhorn_divergence(x, y, regularisation=0.01) == pytest.approx(wasserstein(x, y) ** 2, rel=0.02)
    means = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    assert sinkhorn_divergence(x, y, regularisation=1e4) == pytest.approx(means, rel=1e-2)
    half = energy_distance(x, y) / 2
    assert sinkhorn_divergence(x, y, regularisation=1e4, order=1) == pytest.approx(half, rel=1e-2)
    assert abs(sinkhorn_divergence(x, x, regularisation=0.1)) < 1e-5


def test_an_iteration_that_did_not_converge_is_reported(caplog):
    """The value is returned, and the log says how wrong the marginals are."""
    x, y = clouds(30, 30, 2)
    with caplog.at_level(logging.WARNING):
        sinkhorn_divergence(x, y, regularisation=0.01, iterations=2)
    assert "marginals are wrong by" in caplog.text


def test_blocks_do_not_change_results(monkeypatch):
    """Small blocks of the table, which bound the memory, give the same values."""
    x, y = clouds(70, 50, 3)
    whole = wasserstein(x, y), sinkhorn_divergence(x, y, regularisation=0.3)
    monkeypatch.setattr(samples, "PAIRS", 128)
    assert (wasserstein(x, y), sinkhorn_divergence(x, y, regularisation=0.3)) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((0, 2)), np.zeros((3, 2))), r"x has the shape \[0, 2\]"),
        ((np.zeros(3), np.zeros((3, 2))), r"x has the shape \[3\]"),
        ((np.zeros((3, 2)), np.zeros((3, 4))), "x has 2 features and y 4"),
        ((np.zeros((3, 2)), np.full((3, 2), np.nan)), "y holds 6 numbers that are not finite"),
        ((np.zeros((20_000, 1)), np.zeros((20_000, 1))), "table of all pairs"),
    ],
)
def test_bad_samples_are_refused(arguments, message):
    """Every mistake has a message of one line, before anything large is made."""
    with pytest.raises(InputError, match=message):
        wasserstein(*arguments)


def test_bad_options_are_refused():
    """Orders, weights and regularisations are checked."""
    x = np.zeros((3, 2))
    with pytest.raises(InputError, match="unknown order"):
        wasserstein(x, x, order=3)
    with pytest.raises(InputError, match="expected 3 finite masses"):
        wasserstein(x, x, x_weights=np.array([1.0, -1.0, 1.0]))
    with pytest.raises(InputError, match="regularisation is 0"):
        sinkhorn_divergence(x, x, regularisation=0)
    with pytest.raises(InputError, match="0 iterations"):
        sinkhorn_divergence(x, x, regularisation=1.0, iterations=0)
