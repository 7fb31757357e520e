"""Kinetic-optimal schedules, against transport costs and a search over schedules."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from helicell.core.errors import InputError
from helicell.core.paths import Power, one_sided_linear, one_sided_trigonometric, variance_preserving
from helicell.core.paths.interpolants import scheduled
from helicell.core.paths.kinetic import ANGLES, DataSeparation, data_separation, kinetic_energy, kinetic_optimal

ANGLE = np.linspace(0, 0.5 * np.pi, ANGLES)


def generator():
    """Return a seeded stream."""
    return torch.Generator().manual_seed(0)


def smooth(scale=1.0):
    """Return a separation that rises from 0 to 1, with closed form."""
    return DataSeparation(ANGLE, np.sin(ANGLE) ** 2, scale)


def test_the_energy_of_gaussian_data_is_their_transport_cost():
    """Between N(0, 1) and N(0, v) the squared W2 distance, (sqrt(v) - 1)^2, bounds every path; ours reaches it."""
    for variance in (0.25, 4.0):
        separation = DataSeparation(ANGLE, np.zeros(ANGLES), math.sqrt(variance))
        energy = kinetic_energy(kinetic_optimal(separation), separation)
        assert energy == pytest.approx((math.sqrt(variance) - 1) ** 2, abs=1e-3)


def test_the_path_of_separated_data_is_straight():
    """Where the separation is 1 the linear schedule comes out, with energy 1 + scale^2."""
    separation = DataSeparation(ANGLE, np.ones(ANGLES), 1.5)
    path = kinetic_optimal(separation)
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(path.beta.value(t), t, atol=1e-4, rtol=0)
    torch.testing.assert_close(path.alpha.value(t), 1 - t, atol=1e-4, rtol=0)
    assert kinetic_energy(path, separation) == pytest.approx(1 + 1.5**2, rel=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_no_known_path_is_cheaper(scale):
    """The linear, trigonometric, polynomial and diffusion schedules all cost more."""
    separation = smooth(scale)
    best = kinetic_energy(kinetic_optimal(separation), separation)
    for path in (one_sided_linear(), one_sided_trigonometric(), variance_preserving(), scheduled(Power(2.0))):
        assert best < kinetic_energy(path, separation)


def test_a_search_finds_nothing_cheaper():
    """Minimising the discretised energy over radius and angle at 24 times ends at the same energy."""
    separation = smooth()

    def energy(free):
        radius = np.concatenate(([1.0], free[:24], [1.0]))
        angle = np.concatenate(([0.0], free[24:], [0.5 * np.pi]))
        middle = 0.5 * (angle[1:] + angle[:-1])
        steps = np.diff(radius) ** 2 + radius[1:] * radius[:-1] * np.sin(middle) ** 2 * np.diff(angle) ** 2
        return steps.sum() * 25

    start = np.concatenate((np.ones(24), np.linspace(0, 0.5 * np.pi, 26)[1:-1]))
    found = minimize(energy, start, method="L-BFGS-B", bounds=[(0.1, 2)] * 24 + [(0, 0.5 * np.pi)] * 24).fun
    assert kinetic_energy(kinetic_optimal(separation), separation) == pytest.approx(found, rel=5e-3)


def test_the_separation_of_data_is_measured():
    """Two far points are separated once noise no longer bridges them; many normal points are not until late."""
    two = data_separation(torch.tensor([[1.0] * 400, [-1.0] * 400]), generator=generator())
    assert two.values[0] == pytest.approx(0, abs=0.05)
    assert two.values[ANGLES // 4 :].min() > 0.99
    many = data_separation(torch.randn(1000, 2, generator=generator()), generator=generator())
    assert many.values[: ANGLES // 2].max() < 0.1
    assert many.scale == pytest.approx(1, abs=0.05)


def test_the_separation_of_two_points_is_that_of_the_binary_channel():
    """For +1 and -1 the posterior variance at signal-to-noise ratio s is E[1 - tanh^2(s^2 + s z)], by quadrature."""
    found = data_separation(torch.tensor([[1.0], [-1.0]]), generator=generator(), draws=20_000)
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    for k in (10, 40, 64, 90):
        s = np.tan(ANGLE[k])
        spread = (weights / weights.sum() * (1 - np.tanh(s**2 + s * nodes) ** 2)).sum()
        assert found.values[k] == pytest.approx(max(1 - (1 + s**2) * spread, 0), abs=0.03)


def test_the_path_is_smooth_and_monotone():
    """The schedule of clustered data in two dimensions joins its ends and never turns back."""
    centres = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]])
    data = centres[torch.randint(3, (600,), generator=generator())] + 0.1 * torch.randn(600, 2, generator=generator())
    path = kinetic_optimal(data_separation(data, generator=generator()))
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    assert (path.beta.value(t).diff() > 0).all()
    ends = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(path.alpha.value(ends), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(path.beta.value(ends), torch.tensor([0.0, 1.0]))
    middle, h = t[10:-10], 1e-5
    difference = (path.beta.value(middle + h) - path.beta.value(middle - h)) / (2 * h)
    torch.testing.assert_close(path.beta.derivative(middle), difference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("data", [torch.zeros(3, 2), torch.zeros(0, 2), torch.full((3, 2), torch.nan)])
def test_data_without_scale_are_refused(data):
    """Zeros, nothing and not-a-numbers have no schedule."""
    with pytest.raises(InputError):
        data_separation(data)


def test_a_separation_needs_draws():
    """The average over no noisy points is no estimate."""
    with pytest.raises(InputError, match="expected 1 or more"):
        data_separation(torch.ones(3, 2), draws=0)
