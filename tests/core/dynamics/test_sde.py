"""Stochastic samplers: marginals in closed form, agreement with the ordinary equation, orders, streams, errors."""

import math

import geoopt
import pytest
import torch

from helicell.core.dynamics.fields import CountedField
from helicell.core.dynamics.ode import integrate, walk
from helicell.core.dynamics.sde import METHODS, EulerMaruyama, Heun, Noise, simulate
from helicell.core.errors import InputError
from helicell.core.spaces import Euclidean, Manifold, Product, Sphere, Torus, UnitQuaternions

DOUBLE = torch.float64
MEAN, SPREAD = 1.5, 0.4


def variance(t):
    """Return the variance at time t of (1 - t) x_0 + t x_1 with x_0 from N(0, 1) and x_1 from N(1.5, 0.4^2)."""
    return (1 - t) ** 2 + (t * SPREAD) ** 2


def velocity(x, t):
    """Return b for that path in closed form: the mean's velocity and that of the spread."""
    t = t[:, None]
    return MEAN + (t * SPREAD**2 - (1 - t)) / variance(t) * (x - t * MEAN)


def score(x, t):
    """Return s for that path in closed form."""
    t = t[:, None]
    return -(x - t * MEAN) / variance(t)


def gaussian(count, *, mean=0.0, spread=1.0, seed=0):
    """Return draws whose first two moments are exact, so that only later noise spreads the moments."""
    x = torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    return mean + spread * (x - x.mean()) / x.std(correction=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epsilon", [0.5, lambda t: 2 * t * (1 - t), lambda t: torch.sin(3 * t) ** 2])
def test_marginals_forwards_and_backwards_are_those_of_the_closed_form(method, epsilon):
    """At the middle and at the end mean and variance are exact within four standard errors and the step's bias."""
    count = 20_000
    generator = torch.Generator().manual_seed(1)
    there = simulate(
        velocity, score, gaussian(count), 50, epsilon=epsilon, method=method, generator=generator, save_at=[0.5, 1.0]
    )
    data = gaussian(count, mean=MEAN, spread=SPREAD)
    back = simulate(
        velocity, score, data, torch.linspace(1, 0, 51), epsilon=epsilon, method=method, generator=generator,
        save_at=[0.5, 0.0],
    )  # fmt: skip
    bias = 0.03 if method == "euler-maruyama" else 0.004
    for solution in (there, back):
        for time, x in zip(solution.times.tolist(), solution.states, strict=True):
            expected = variance(time)
            assert abs(float(x.mean()) - time * MEAN) < 4 * math.sqrt(expected / count) + bias
            assert abs(float(x.var()) / expected - 1) < 4 * math.sqrt(2 / count) + 2 * bias


def test_without_noise_it_is_the_ordinary_equation():
    """With epsilon = 0 both methods are Euler's and Heun's, and the score, infinite here, is never called."""

    def infinite(x, t):
        return torch.full_like(x, torch.inf)

    x = gaussian(5)
    for method, other in (("euler-maruyama", "euler"), ("heun", "heun")):
        result = simulate(velocity, infinite, x, 7, epsilon=0.0, method=method)
        torch.testing.assert_close(result.x, integrate(velocity, x, 7, method=other).x, rtol=0, atol=1e-12)
    assert (result.evaluations, result.steps) == (14, 7)


def test_marginals_of_a_mixture_agree_with_the_ordinary_equation():
    """From the fields of a two-peaked path with noise, in closed form, ODE and SDE give the same quantiles."""

    def both(x, t):
        """Return b and s of rho_t: a Gaussian around each of two data points, from N(0, 1)."""
        t = t[:, None]
        spread = (1 - t) ** 2 + t * (1 - t)
        ends = torch.tensor([-1.0, 2.0], dtype=DOUBLE)
        offsets = x - t * ends
        weight = torch.softmax(-(offsets**2) / (2 * spread), dim=1)
        s = (weight * -offsets / spread).sum(dim=1, keepdim=True)
        slope = (-2 * (1 - t) + (1 - 2 * t)) / 2
        b = (weight * (ends + slope / spread * offsets)).sum(dim=1, keepdim=True)
        return b, s

    x_0, times = gaussian(20_000), torch.linspace(0, 0.98, 80)
    ode = integrate(lambda x, t: both(x, t)[0], x_0, times, method="heun").x
    sde = simulate(
        lambda x, t: both(x, t)[0], lambda x, t: both(x, t)[1], x_0, times, epsilon=lambda t: 0.8 * (1 - t),
        generator=torch.Generator().manual_seed(2),
    ).x  # fmt: skip
    levels = torch.tensor([0.1, 0.3, 0.45, 0.6, 0.8, 0.95], dtype=DOUBLE)
    difference = (ode.flatten().quantile(levels) - sde.flatten().quantile(levels)).abs()
    assert difference.max() < 0.05, difference


class OneByOne(Noise):
    """Gives row k a unit increment at call k and nothing else, which reads off the linear map of a linear equation."""

    calls = 0

    def standard(self, x):
        self.calls += 1
        unit = torch.zeros_like(x)
        unit[self.calls] = 1
        return unit


@pytest.mark.parametrize(("stepper", "order"), [(EulerMaruyama, 1), (Heun, 2)])
def test_weak_orders(stepper, order):
    """The error of the final variance falls with the order; it is worked out without sampling error."""

    def strength(t):
        return 0.5 + t

    def drift(x, t):
        centred = velocity(x + t[:, None] * MEAN, t) - MEAN
        return centred - strength(t)[:, None] * x / variance(t[:, None])

    errors = []
    for steps in (16, 32, 64):
        draws = 2 * steps if stepper is Heun else steps
        x = torch.zeros(1 + draws, 1, dtype=DOUBLE)
        x[0] = 1
        noise = OneByOne(strength, None)
        grid = [step / steps for step in range(steps + 1)]
        end, _ = walk(stepper(CountedField(drift), noise, Euclidean()), x, grid, [])
        errors.append(abs(float((end**2).sum()) - variance(1.0)))
    assert abs(math.log2(errors[1] / errors[2]) - order) < 0.25, errors


@pytest.mark.parametrize("space", [Sphere(), UnitQuaternions()])
@pytest.mark.parametrize("method", METHODS)
def test_brownian_motion_on_spheres(space, method):
    """Without drift and score, E<x_t, x_0> = exp(-epsilon n t) on S^n, the decay of the first harmonics."""
    n = 2 if isinstance(space, Sphere) else 3
    x_0 = torch.zeros(20_000, n + 1, dtype=DOUBLE)
    x_0[:, 0] = 1

    def still(x, t):
        return torch.zeros_like(x)

    epsilon = 0.3
    generator = torch.Generator().manual_seed(3)
    x = simulate(still, still, x_0, 40, epsilon=epsilon, method=method, space=space, generator=generator).x
    torch.testing.assert_close(x.norm(dim=1), torch.ones(20_000, dtype=DOUBLE))
    # Quaternions keep their sign on the way, for steps are short.
    assert abs(float(x[:, 0].mean()) - math.exp(-epsilon * n)) < 0.012


def test_products_and_tori():
    """Each factor gets its own noise; a torus stays in its range and ends up uniform."""
    space = Product(Euclidean(), Torus())
    x_0 = (torch.zeros(4000, 2), torch.zeros(4000, 1))

    def still(x, t):
        return tuple(torch.zeros_like(part) for part in x)

    flat, angle = simulate(
        still, still, x_0, 20, epsilon=5.0, space=space, generator=torch.Generator().manual_seed(4)
    ).x  # fmt: skip
    assert abs(float(flat.var()) / 10 - 1) < 0.1
    assert angle.abs().max() <= math.pi
    assert abs(float(torch.cos(angle).mean())) < 0.05


def test_streams_of_samples():
    """With a generator each, a sample is the same alone and in a batch; equal seeds give equal paths."""

    def generators(rows):
        return [torch.Generator().manual_seed(100 + row) for row in rows]

    x = gaussian(4)
    together = simulate(velocity, score, x, 10, epsilon=1.0, generator=generators(range(4))).x
    alone = simulate(velocity, score, x[2:3], 10, epsilon=1.0, generator=generators([2])).x
    torch.testing.assert_close(alone[0], together[2], rtol=1e-12, atol=1e-12)
    first, second = (
        simulate(velocity, score, x, 10, epsilon=1.0, generator=torch.Generator().manual_seed(5)).x for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "milstein"}, "unknown method 'milstein'"),
        ({"epsilon": -1.0}, "0 or more"),
        ({"epsilon": lambda t: 0.5 - t}, "0 or more"),
        ({"epsilon": lambda t: 1 / t}, "finite"),
        ({"generator": [torch.Generator()]}, "1 generators were given for 3 samples"),
        ({"space": Manifold(geoopt.PoincareBall())}, "Gaussian steps are not known on Manifold"),
        ({"times": [0, 0.5, 0.2]}, "times neither increase"),
        ({"x": torch.zeros(0, 1)}, "at least one point"),
        ({"velocity": lambda x, t: x[:2]}, "returned the shapes"),
        ({"score": lambda x, t: x[:, 0]}, "returned the shapes"),
    ],
)
def test_bad_input_is_refused(change, message):
    """Every mistake has a message of one line."""
    arguments = {"velocity": velocity, "score": score, "x": gaussian(3), "times": 4, "epsilon": 1.0} | change
    with pytest.raises(InputError, match=message):
        simulate(**arguments)
