"""Likelihoods: Gaussian closed forms, unbiased estimates, gradients, and densities that integrate to one."""

import math

import geoopt
import pytest
import torch
from torch import nn

from helicell.core.dynamics.likelihood import divergence, log_likelihood, standard_gaussian
from helicell.core.errors import InputError
from helicell.core.spaces import Manifold, Product, Sphere, Torus, UnitQuaternions

DOUBLE = torch.float64
MEAN = torch.tensor([1.0, -0.5, 2.0], dtype=DOUBLE)
# The end is MEAN + ROOT x_0, so its covariance is ROOT ROOT^T.
ROOT = torch.tensor([[1.3, 0.2, 0.0], [0.1, 0.6, -0.3], [0.0, 0.4, 0.9]], dtype=DOUBLE)


def matrix_at(t):
    """Return (1 - t) I + t ROOT and its inverse for times [batch]."""
    t = t[:, None, None]
    m = (1 - t) * torch.eye(3, dtype=DOUBLE) + t * ROOT
    return m, torch.linalg.inv(m)


def gaussian_field(x, t):
    """Return the velocity of x_t = t MEAN + ((1 - t) I + t ROOT) x_0, whose ends are Gaussian."""
    _, inverse = matrix_at(t)
    centred = (x - t[:, None] * MEAN)[:, :, None]
    return MEAN + ((ROOT - torch.eye(3, dtype=DOUBLE)) @ inverse @ centred)[:, :, 0]


def exact(x):
    """Return the log-density of N(MEAN, ROOT ROOT^T)."""
    return torch.distributions.MultivariateNormal(MEAN, ROOT @ ROOT.T).log_prob(x)


def draws(count, seed=0):
    """Return points near the data."""
    return MEAN + torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) @ ROOT.T


@pytest.mark.parametrize(("method", "times"), [("dopri5", (0, 1)), ("rk4", 30), ("midpoint", 300)])
def test_gaussian_to_gaussian_in_closed_form(method, times):
    """The exact divergence gives the closed form, and the trajectories start where they should."""
    x_1 = draws(6)
    result = log_likelihood(gaussian_field, x_1, times=times, method=method, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(result.log_likelihood, exact(x_1), rtol=0, atol=2e-5)
    start = torch.linalg.solve(ROOT, (x_1 - MEAN).T).T
    torch.testing.assert_close(result.x_0, start, rtol=0, atol=2e-5)
    assert not result.log_likelihood.requires_grad


@pytest.mark.parametrize("estimator", ["rademacher", "gaussian"])
def test_hutchinson_is_unbiased(estimator):
    """The mean over many probes is the closed form, within four standard errors; more probes spread less."""
    x_1 = draws(1).expand(4000, 3).contiguous()
    spreads = []
    for probes in (1, 4):
        result = log_likelihood(
            gaussian_field, x_1, times=20, method="rk4", estimator=estimator, probes=probes,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        error = result.log_likelihood - exact(x_1[:1])
        spreads.append(float(error.std()))
        assert abs(float(error.mean())) < 4 * spreads[-1] / math.sqrt(4000) + 1e-5
    assert spreads[0] > 1e-3
    assert 0.4 < spreads[1] / spreads[0] < 0.6


def test_probes_are_seeded_for_each_sample():
    """With a generator each, an estimate does not depend on the batch; equal seeds give equal estimates."""

    def generators(rows):
        return [torch.Generator().manual_seed(row) for row in rows]

    x_1, options = draws(4), {"times": 5, "method": "heun", "estimator": "rademacher"}
    together = log_likelihood(gaussian_field, x_1, generator=generators(range(4)), **options).log_likelihood
    alone = log_likelihood(gaussian_field, x_1[2:3], generator=generators([2]), **options).log_likelihood
    torch.testing.assert_close(alone[0], together[2])


@pytest.mark.parametrize("estimator", ["exact", "rademacher"])
def test_gradients_of_the_likelihood(estimator):
    """By the points and by a parameter, gradients are those of the closed form (for linear fields Hutchinson's too)."""
    scale = torch.tensor(0.3, dtype=DOUBLE, requires_grad=True)
    x_1 = draws(3).requires_grad_()
    result = log_likelihood(
        lambda x, t: scale * x, x_1, times=20, method="rk4", estimator=estimator, differentiable=True,
        generator=torch.Generator().manual_seed(2),
    )  # fmt: skip
    result.log_likelihood.sum().backward()
    gradient, slope = x_1.grad.clone(), scale.grad.clone()
    x_1.grad = scale.grad = None
    # x_1 = exp(scale) x_0 has the density N(0, exp(2 scale) I).
    closed = standard_gaussian(x_1 * torch.exp(-scale)) - 3 * scale
    torch.testing.assert_close(result.log_likelihood, closed, rtol=0, atol=1e-6)
    closed.sum().backward()
    torch.testing.assert_close(gradient, x_1.grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(slope, scale.grad, rtol=0, atol=1e-5)


def test_gradients_reach_the_weights_of_a_network():
    """A derivative by a weight agrees with a difference quotient of likelihoods."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).double()

    def field(x, t):
        return network(torch.cat((x, t[:, None]), dim=1))

    x_1 = draws(2)

    def total(*, differentiable):
        return log_likelihood(
            field, x_1, times=4, method="rk4", differentiable=differentiable
        ).log_likelihood.sum()  # fmt: skip

    total(differentiable=True).backward()
    weight, step = network[0].weight, 1e-6
    for row, column in ((0, 0), (5, 2)):
        with torch.no_grad():
            weight[row, column] += step
            upper = total(differentiable=False)
            weight[row, column] -= 2 * step
            lower = total(differentiable=False)
            weight[row, column] += step
        quotient = (upper - lower) / (2 * step)
        torch.testing.assert_close(weight.grad[row, column], quotient, rtol=1e-5, atol=1e-7)


def test_exact_divergence_of_many_dimensions():
    """More dimensions than fit into one block of derivatives, against the trace of the Jacobian."""
    a = torch.randn(70, 70, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    x = torch.randn(2, 7, 10, generator=torch.Generator().manual_seed(4), dtype=DOUBLE)

    def field(x, t):
        return torch.sin(x.flatten(1) @ a.T).view_as(x)

    _, div = divergence(field, x, 0.0)
    expected = (torch.cos(x.flatten(1) @ a.T) * a.diagonal()).sum(dim=1)
    torch.testing.assert_close(div, expected)


def test_divergences_on_curved_spaces():
    """The gradient of <a, x> on S^n has divergence -n <a, x>; a rigid turn has none; constants have none."""
    generator = torch.Generator().manual_seed(5)
    a = torch.tensor([0.5, -1.0, 2.0], dtype=DOUBLE)
    x = Sphere().project(torch.randn(5, 3, generator=generator, dtype=DOUBLE))
    _, div = divergence(lambda x, t: Sphere().project_tangent(x, a.expand_as(x)), x, 0.0, space=Sphere())
    torch.testing.assert_close(div, -2 * x @ a)
    q = UnitQuaternions().project(torch.randn(5, 4, generator=generator, dtype=DOUBLE))
    _, div = divergence(
        lambda q, t: UnitQuaternions().tangent(q, a.expand(5, 3)), q, 0.0, space=UnitQuaternions()
    )  # fmt: skip
    torch.testing.assert_close(div, torch.zeros(5, dtype=DOUBLE), rtol=0, atol=1e-12)
    v, div = divergence(lambda x, t: torch.ones_like(x), x, 0.0)
    assert torch.equal(div, torch.zeros(5, dtype=DOUBLE))
    assert not v.requires_grad


def test_densities_on_sphere_and_torus_integrate_to_one():
    """Uniform points that follow a field get a density whose integral, by quadrature, is one."""
    a = torch.tensor([0.5, -1.0, 1.5], dtype=DOUBLE)
    # Fibonacci's points are spread evenly over the sphere, to about 1e-4 here.
    k = torch.arange(1000, dtype=DOUBLE)
    height, turn = 1 - (2 * k + 1) / 1000, k * math.pi * (3 - math.sqrt(5))
    radius = (1 - height**2).sqrt()
    x = torch.stack((radius * turn.cos(), radius * turn.sin(), height), dim=1)
    result = log_likelihood(
        lambda x, t: Sphere().project_tangent(x, a.expand_as(x)), x, space=Sphere(), times=20, method="rk4",
        log_density=lambda x: torch.full((len(x),), -math.log(4 * math.pi), dtype=DOUBLE),
    )  # fmt: skip
    assert abs(float(result.log_likelihood.exp().mean()) * 4 * math.pi - 1) < 1e-3
    assert float(result.log_likelihood.std()) > 0.5
    angle = torch.linspace(-math.pi, math.pi, 201, dtype=DOUBLE)[:-1, None]
    result = log_likelihood(
        lambda x, t: torch.sin(2 * x) + 1, angle, space=Torus(), times=40, method="rk4",
        log_density=lambda x: torch.full((len(x),), -math.log(2 * math.pi), dtype=DOUBLE),
    )  # fmt: skip
    assert abs(float(result.log_likelihood.exp().mean()) * 2 * math.pi - 1) < 1e-4


def test_products():
    """Independent factors add their likelihoods, exactly and in the mean of Hutchinson's estimates."""
    space = Product(Sphere(), Torus())
    generator = torch.Generator().manual_seed(6)
    x = (Sphere().project(torch.randn(4, 3, generator=generator)), torch.rand(4, 1, generator=generator))

    def first(x, t):
        return Sphere().project_tangent(x, torch.ones_like(x))

    def second(x, t):
        return torch.sin(x)

    def uniform(x):
        return torch.zeros(4)

    options = {"times": 10, "method": "rk4", "log_density": uniform}
    both = log_likelihood(lambda x, t: (first(x[0], t), second(x[1], t)), x, space=space, **options)
    apart = (
        log_likelihood(first, x[0], space=Sphere(), **options).log_likelihood
        + log_likelihood(second, x[1], space=Torus(), **options).log_likelihood
    )
    torch.testing.assert_close(both.log_likelihood, apart)
    probes = log_likelihood(
        lambda x, t: (first(x[0], t), second(x[1], t)), x, space=space, estimator="rademacher", probes=2000,
        generator=generator, **options,
    )  # fmt: skip
    torch.testing.assert_close(probes.log_likelihood, apart, rtol=0, atol=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": "trace"}, "unknown estimator 'trace'"),
        ({"estimator": "gaussian", "probes": 0}, "number of probes is 0"),
        ({"space": Sphere()}, "no density unless it is given"),
        ({"space": Manifold(geoopt.PoincareBall())}, "divergences are not known on Manifold"),
        ({"log_density": lambda x: torch.zeros(3, 1)}, r"expected \[2\]"),
        ({"generator": [torch.Generator()]}, "1 generators"),
        ({"times": (0, 2)}, r"in \[0, 1\]"),
        ({"x_1": torch.zeros(2, 3) / 0}, "not finite"),
        ({"field": lambda x, t: x[:, :1]}, "returned the shapes"),
    ],
)
def test_bad_input_is_refused(change, message):
    """Every mistake has a message of one line."""
    arguments = {"field": lambda x, t: -x, "x_1": torch.ones(2, 3)} | change
    with pytest.raises(InputError, match=message):
        log_likelihood(**arguments)


def test_probes_that_do_not_fit_are_refused():
    """Each probe has the shape of the points."""
    with pytest.raises(InputError, match="the probes have the shapes"):
        divergence(lambda x, t: x, torch.ones(2, 3), 0.0, probes=torch.ones(4, 2))
