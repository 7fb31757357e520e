"""Interpolants and their coefficients, against closed forms."""

import pytest
import torch

from gaussian_flows import GAMMAS, INTERPOLANTS, TIMES, GaussianPair
from helicell.core.errors import InputError
from helicell.core.paths import (
    Brownian,
    Custom,
    Interpolant,
    Quadratic,
    SineSquared,
    encoding_decoding,
    linear,
    mirror,
    one_sided_linear,
    trigonometric,
    variance_preserving,
)
from helicell.core.paths.coefficients import Tabulated
from helicell.core.paths.interpolants import target

every = pytest.mark.parametrize("path", INTERPOLANTS.values(), ids=INTERPOLANTS)


def full(value, t):
    """Return a value, which may be a number, at every time."""
    return torch.as_tensor(value, dtype=t.dtype).expand(t.shape)


@every
def test_derivatives_are_those_of_the_values(path):
    """Slopes, and products of value and slope, agree with central differences at inner times."""
    h = 1e-6
    for coefficient in (path.alpha, path.beta, path.gamma):
        low, high = (full(coefficient.value(TIMES + s), TIMES) for s in (-h, h))
        slope = (high - low) / (2 * h)
        torch.testing.assert_close(full(coefficient.derivative(TIMES), TIMES), slope, atol=1e-6, rtol=1e-6)
        product = full(coefficient.value(TIMES), TIMES) * slope
        torch.testing.assert_close(full(coefficient.product(TIMES), TIMES), product, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("gamma", GAMMAS.values(), ids=GAMMAS)
def test_the_product_of_gamma_and_its_slope_is_finite_at_the_ends(gamma):
    """Also where the slope itself is infinite; near the ends it is continuous."""
    ends, near = torch.tensor([0.0, 1.0]), torch.tensor([1e-4, 1 - 1e-4])
    at_ends = full(gamma.product(ends), ends)
    assert at_ends.isfinite().all()
    torch.testing.assert_close(at_ends, full(gamma.product(near), near), atol=1e-2, rtol=0)


@every
def test_a_path_joins_its_ends(path):
    """x_t is x_0 at t = 0 and x_1 at t = 1, exactly or to what the path says of its ends."""
    x_0, x_1 = GaussianPair.of(path).draw(3, torch.Generator().manual_seed(0))
    z = torch.zeros_like(x_1)
    start = path.sample(x_0, x_1, torch.zeros(3), z=z).x_t
    end = path.sample(x_0, x_1, torch.ones(3), z=z).x_t
    rest = float(full(path.alpha.value(torch.ones(())), torch.ones(())))
    share = float(full(path.beta.value(torch.ones(())), torch.ones(())))
    assert share == pytest.approx(1, abs=0.01)  # 1, but for the room that a steady noise takes
    torch.testing.assert_close(end, share * x_1 + rest * x_0, atol=1e-6, rtol=1e-6)
    if path.beta.value(torch.zeros(())) == 0:
        torch.testing.assert_close(start, x_0 * full(path.alpha.value(torch.zeros(())), torch.zeros(())).double())


@every
def test_samples_have_the_gaussian_velocity_and_spread(path):
    """The regression of sampled velocities on sampled points is the closed-form velocity between Gaussians."""
    pair, generator = GaussianPair.of(path), torch.Generator().manual_seed(1)
    x_0, x_1 = pair.draw(40_000, generator)
    for t in TIMES:
        sample = path.sample(x_0, x_1, t, generator=generator)
        mean, variance = pair.moments(path, t)
        torch.testing.assert_close(sample.x_t.mean(0), mean, atol=0.03, rtol=0.03)
        torch.testing.assert_close(sample.x_t.var(0), variance, atol=0.01, rtol=0.05)
        # The velocity is linear in x: its values at two points tell it all.
        x = torch.stack((mean - 1, mean + 1))
        wanted = pair.fields(path, x, t)["velocity"]
        centred = sample.x_t - sample.x_t.mean(0)
        slope = (centred * sample.dx_t).mean(0) / centred.square().mean(0)
        found = sample.dx_t.mean(0) + slope * (x - sample.x_t.mean(0))
        torch.testing.assert_close(found, wanted, atol=0.12, rtol=0.05)


def test_the_velocity_is_the_derivative_of_the_path():
    """With fixed ends and noise, dx_t is the central difference of x_t in time."""
    generator = torch.Generator().manual_seed(2)
    x_0, x_1, z = torch.randn(3, 4, 2, 3, generator=generator, dtype=torch.float64)
    h = 1e-6
    for path in INTERPOLANTS.values():
        low, middle, high = (path.sample(x_0, x_1, TIMES + s, z=z) for s in (-h, 0, h))
        torch.testing.assert_close(middle.dx_t, (high.x_t - low.x_t) / (2 * h), atol=1e-6, rtol=1e-6)


def test_noise_comes_from_the_generator_alone():
    """Equal generators give equal samples, in any batch shape and dtype; z is reported."""
    x = torch.zeros(5, 3)
    first, second = (
        linear(Brownian()).sample(x, x, torch.full((5,), 0.5), generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(first.x_t, second.x_t)
    torch.testing.assert_close(first.x_t, 0.5 * first.z)


@pytest.mark.parametrize("path", [linear(Brownian()), one_sided_linear()], ids=["two-sided", "one-sided"])
def test_the_mirrored_sample_has_the_gaussian_part_reversed(path):
    """The mean of a sample and its mirror image is the part without noise."""
    x_0, x_1 = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(4))
    sample = path.sample(x_0, x_1, torch.full((6,), 0.3), generator=torch.Generator().manual_seed(5))
    mean = 0.5 * (sample.x_t + path.mirrored(sample).x_t)
    torch.testing.assert_close(mean, 0.3 * x_1 if path.gaussian_source else 0.7 * x_0 + 0.3 * x_1)


def test_a_table_reproduces_cubics():
    """A tabulated cubic has its values and slopes between the nodes too."""
    nodes = torch.linspace(0, 1, 5, dtype=torch.float64)
    table = Tabulated(nodes**3 - nodes, 3 * nodes**2 - 1)
    t = torch.tensor([0.0, 0.1, 0.55, 1.0], dtype=torch.float64)
    torch.testing.assert_close(table.value(t), t**3 - t)
    torch.testing.assert_close(table.derivative(t), 3 * t**2 - 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x_0": torch.zeros(3, 2)}, "one shape"),
        ({"x_1": torch.full((4, 2), torch.nan)}, "8 numbers that are not finite"),
        ({"x_0": torch.zeros(0, 2), "x_1": torch.zeros(0, 2), "t": torch.zeros(0)}, "at least one point"),
        ({"t": torch.tensor([0.1, 0.2, 0.3, 1.2])}, "from 0.1 to 1.2"),
        ({"t": torch.tensor([0.1, 0.2, 0.3, torch.nan])}, r"expected times in \[0, 1\]"),
        ({"t": torch.zeros(3)}, r"expected \[\] or \[4\]"),
        ({"t": torch.zeros(0)}, r"expected \[\] or \[4\]"),
        ({"z": torch.zeros(4, 1)}, "the noise z has the shape"),
        ({"x_0": torch.zeros(4, 2, dtype=torch.float64)}, "give both in one precision"),
        ({"x_0": torch.zeros(4, 2, dtype=torch.int64)}, "floating-point"),
    ],
)
def test_bad_input_is_named(change, told):
    """Shapes that do not fit, empty batches, numbers that are not finite and times outside [0, 1] are input errors."""
    given = {"x_0": torch.zeros(4, 2), "x_1": torch.zeros(4, 2), "t": torch.full((4,), 0.5), **change}
    with pytest.raises(InputError, match=told):
        linear().sample(**given)


def test_bad_parameters_are_named():
    """Spreads must be positive, tables must fit."""
    with pytest.raises(InputError, match="positive"):
        SineSquared(-1.0)
    with pytest.raises(InputError, match="one shape"):
        Tabulated(torch.zeros(3), torch.zeros(4))
    with pytest.raises(InputError, match="gamma reaches 3, expected below 1"):
        trigonometric(SineSquared(3.0))
    with pytest.raises(InputError, match="0 < low <= high"):
        variance_preserving(low=5.0, high=1.0)
    with pytest.raises(InputError, match="expected 0 to below 1"):
        target(-0.1)


def test_users_functions_make_an_interpolant():
    """Callables without derivatives give the velocity by automatic differentiation, also without gradients on."""
    path = Interpolant(Custom(lambda t: torch.exp(-t)), Custom(lambda t: t**2))
    with torch.no_grad():
        sample = path.sample(torch.ones(2, 1), torch.ones(2, 1), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(sample.dx_t, torch.tensor([[-1.0], [2 - torch.e**-1]]))


@pytest.mark.parametrize("make", [linear, trigonometric, mirror, encoding_decoding])
def test_a_plain_function_is_a_gamma(make):
    """It gives what the coefficient of the same formula gives, derivative and all."""
    x, z, t = torch.ones(3, 2), torch.ones(3, 2), torch.tensor([0.2, 0.5, 0.9])
    ours, known = (make(gamma).sample(x, x, t, z=z) for gamma in (lambda t: 0.7 * t * (1 - t), Quadratic(0.7)))
    torch.testing.assert_close(ours.x_t, known.x_t)
    torch.testing.assert_close(ours.dx_t, known.dx_t)
