"""The sliced Wasserstein distance: oracles, unbiasedness, and how much the control variates save."""

import math

import numpy as np
import ot
import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.statistics.sliced import sliced_wasserstein


def shapes(points=200):
    """Return two point clouds in space, as in the paper's experiments: a shell, and a ring that is off its centre."""
    generator = torch.Generator().manual_seed(0)
    shell = torch.nn.functional.normalize(torch.randn(points, 3, generator=generator), dim=1)
    angle = 2 * math.pi * torch.rand(points, generator=generator)
    ring = torch.stack((1.2 * angle.cos() + 0.6, 1.2 * angle.sin(), 0.2 * torch.randn(points, generator=generator)), 1)
    return shell, ring


def exact(x, y, *, directions=4_000):
    """Return SW_2^2 in space by POT on Fibonacci's directions, which are spread evenly over the half-sphere."""
    k = np.arange(directions)
    height, turn = (k + 0.5) / directions, k * math.pi * (3 - math.sqrt(5))
    radius = np.sqrt(1 - height**2)
    theta = np.stack((radius * np.cos(turn), radius * np.sin(turn), height))
    return ot.sliced_wasserstein_distance(x.double().numpy(), y.double().numpy(), projections=theta) ** 2


@pytest.fixture(scope="module")
def truth():
    """Return the clouds and their exact distance."""
    x, y = shapes()
    return x, y, exact(x, y)


@pytest.fixture(scope="module")
def plain(truth):
    """Return the variance of estimates of 40 directions without control variates."""
    generator = torch.Generator().manual_seed(8)
    return np.var(
        [sliced_wasserstein(*truth[:2], directions=40, control="none", generator=generator).power for _ in range(300)]
    )


@pytest.mark.parametrize("control", ["none", "lower", "upper", "both"])
def test_control_variates_save_directions_and_stay_unbiased(truth, plain, control, record_property):
    """Means over many runs with few directions are exact; the variance falls by the factors printed."""
    x, y, expected = truth
    generator = torch.Generator().manual_seed(1)
    runs = [sliced_wasserstein(x, y, directions=40, control=control, generator=generator).power for _ in range(300)]
    mean, spread = float(np.mean(runs)), float(np.std(runs))
    assert abs(mean - expected) < 4 * spread / math.sqrt(300)
    factor = float(plain / np.var(runs))
    record_property("variance factor", factor)
    print(f"control {control}: variance lower by {factor:.1f}")
    least = {"none": 0.7, "lower": 8.0, "upper": 1.8, "both": 8.0}
    assert factor > least[control]


def test_few_directions_are_unbiased_too(truth):
    """With eight directions, where coefficients fit badly, crossed halves keep the mean exact."""
    x, y, expected = truth
    generator = torch.Generator().manual_seed(2)
    runs = [sliced_wasserstein(x, y, directions=8, generator=generator).power for _ in range(400)]
    assert abs(np.mean(runs) - expected) < 4 * np.std(runs) / math.sqrt(400)


def test_the_standard_error_is_the_spread_over_runs(truth):
    """What an estimate says of itself is what repeated runs show."""
    x, y, _ = truth
    generator = torch.Generator().manual_seed(3)
    runs = [sliced_wasserstein(x, y, directions=100, generator=generator) for _ in range(150)]
    said = np.mean([run.standard_error for run in runs])
    assert said == pytest.approx(np.std([run.power for run in runs]), rel=0.2)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sizes", [(70, 70), (70, 41), (3, 50)])
def test_projections_are_solved_exactly(order, sizes):
    """For equal and unequal numbers of points, one direction after another against POT in one dimension."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(sizes[0], 4)), rng.normal(size=(sizes[1], 4)) + 1
    estimate = sliced_wasserstein(x, y, directions=16, order=order, control="none", generator=_seeded())
    theta = torch.nn.functional.normalize(torch.randn(16, 4, generator=_seeded(), dtype=torch.float64), dim=1).numpy()
    powers = [ot.emd2_1d(x @ t, y @ t, metric="minkowski", p=order) for t in theta]
    assert estimate.power == pytest.approx(np.mean(powers), rel=1e-9)
    assert estimate.distance == pytest.approx(np.mean(powers) ** (1 / order), rel=1e-9)


def _seeded():
    return torch.Generator().manual_seed(7)


def test_gaussian_samples_need_hardly_any_directions():
    """Where projections are nearly Gaussian with equal covariances, the lower control variate is all there is."""
    x = torch.randn(2000, 10, generator=_seeded())
    estimate = sliced_wasserstein(x, x + torch.arange(10) / 5, directions=20, control="lower", generator=_seeded())
    assert estimate.power == pytest.approx(float((torch.arange(10) / 5).square().mean()), rel=1e-5)
    assert estimate.standard_error < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": "middle"}, "unknown control"),
        ({"order": 3}, "unknown order"),
        ({"order": 1, "control": "lower"}, "those of order 2"),
        ({"directions": 3}, "number of directions is 3"),
    ],
)
def test_bad_options_are_refused(options, message):
    """Every mistake has a message of one line."""
    with pytest.raises(InputError, match=message):
        sliced_wasserstein(torch.zeros(3, 2), torch.zeros(3, 2), **options)
