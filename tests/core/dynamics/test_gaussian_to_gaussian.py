"""Samplers and likelihoods between two Gaussians, in closed form, on every interpolant with every gamma.

On a path between independent Gaussians x_t is Gaussian, with mean m(t) and variance v(t) in each coordinate. The flow
of its velocity is then the map x -> m(s) + sqrt(v(s) / v(t)) (x - m(t)), and every sampler must keep the moments.
"""

import math

import pytest
import torch

from gaussian_flows import INTERPOLANTS, GaussianPair
from helicell.core.dynamics.likelihood import log_likelihood
from helicell.core.dynamics.ode import integrate
from helicell.core.dynamics.sde import simulate

DOUBLE = torch.float64
# The slopes of some gammas are infinite at both ends.
START, END = 0.03, 0.97
every = pytest.mark.parametrize("path", INTERPOLANTS.values(), ids=INTERPOLANTS)
# At the end of a path without noise, and at the middle of encoding and decoding, the fields are steep.
NOISY = {name: path for name, path in INTERPOLANTS.items() if path.noisy or path.gaussian_source}


def moments(path, t):
    """Return mean and standard deviation of x_t, shape [2]."""
    mean, variance = GaussianPair.of(path).moments(path, torch.tensor(t, dtype=DOUBLE))
    return mean, variance.sqrt()


def field(path, kind):
    """Return the closed-form velocity or score as solvers call it."""
    pair = GaussianPair.of(path)
    return lambda x, t: pair.fields(path, x, t[:, None])[kind]


def transported(path, x, start, end):
    """Return where the flow takes x from one time to another."""
    (mean, spread), (new_mean, new_spread) = moments(path, start), moments(path, end)
    return new_mean + new_spread / spread * (x - mean)


def points(path, t, count, seed=0):
    """Return points of the marginal at t whose first two moments are exact."""
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    mean, spread = moments(path, t)
    return mean + spread * (x - x.mean(0)) / x.std(0, correction=0)


@every
def test_the_flow_is_the_affine_map(path):
    """Forwards and backwards, with dense output in between."""
    x = points(path, START, 4)
    middle = [0.3, 0.5, END]
    options = {"method": "dopri5", "rtol": 1e-7, "atol": 1e-7}
    there = integrate(field(path, "velocity"), x, [START, END], save_at=middle, **options)
    for time, states in zip(middle, there.states, strict=True):
        torch.testing.assert_close(states, transported(path, x, START, time), rtol=0, atol=2e-4)
    back = integrate(field(path, "velocity"), there.x, [END, START], **options)
    torch.testing.assert_close(back.x, x, rtol=0, atol=2e-4)


@every
def test_the_likelihood_is_that_of_the_marginal(path):
    """From the density at the start follows that at the end, whatever the path between."""
    x = points(path, END, 5)

    def density(x):
        return torch.distributions.Normal(*moments(path, START)).log_prob(x).sum(1)

    result = log_likelihood(
        field(path, "velocity"), x, log_density=density, times=(START, END), rtol=1e-6, atol=1e-6
    )  # fmt: skip
    closed = torch.distributions.Normal(*moments(path, END)).log_prob(x).sum(1)
    torch.testing.assert_close(result.log_likelihood, closed, rtol=0, atol=2e-4)


@pytest.mark.parametrize("path", NOISY.values(), ids=NOISY)
@pytest.mark.parametrize(("start", "end"), [(START, END), (END, START)], ids=["forwards", "backwards"])
def test_stochastic_samplers_keep_the_moments(path, start, end):
    """With noise of its own strength the marginals are those of the flow, within four standard errors."""
    count, steps = 2000, 40
    # Steps that are finer where fields are steep, at both ends.
    grid = [start + (end - start) * (0.5 - 0.5 * math.cos(math.pi * k / steps)) for k in range(steps + 1)]
    x = simulate(
        field(path, "velocity"), field(path, "score"), points(path, start, count), grid,
        epsilon=lambda t: t * (1 - t), generator=torch.Generator().manual_seed(1),
    ).x  # fmt: skip
    mean, spread = moments(path, end)
    assert ((x.mean(0) - mean).abs() / spread).max() < 4 / math.sqrt(count) + 0.01
    assert (x.std(0) / spread - 1).abs().max() < 4 / math.sqrt(2 * count) + 0.01
