"""Geodesic paths, against closed forms on spheres, the torus, both hyperbolic models and the rotations."""

import geoopt
import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.paths import Exponential, GeodesicPath, Linear, Power
from helicell.core.spaces import Euclidean, Manifold, Product, Sphere, Torus, UnitQuaternions, quaternions

DOUBLE = torch.float64
TIMES = torch.tensor([0.0, 0.2, 0.55, 0.9], dtype=DOUBLE)


def draw(*shape, seed=0):
    """Return normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def unit(x):
    """Return x at length 1."""
    return x / x.norm(dim=-1, keepdim=True)


def slerp(x, y, kappa):
    """Return the point of a great circle by the closed form sin((1 - k) a) x + sin(k a) y over sin(a)."""
    angle = torch.acos((x * y).sum(-1, keepdim=True))
    k = kappa[:, None]
    return (torch.sin((1 - k) * angle) * x + torch.sin(k * angle) * y) / torch.sin(angle)


def mobius(x, y):
    """Return the sum of two points of the hyperbolic ball of curvature -1 (Ungar)."""
    xy, xx, yy = ((a * b).sum(-1, keepdim=True) for a, b in ((x, y), (x, x), (y, y)))
    return ((1 + 2 * xy + yy) * x + (1 - xx) * y) / (1 + 2 * xy + xx * yy)


def hyperbolic(x, y, kappa):
    """Return x + k (-x + y) with Moebius addition and scaling tanh(k atanh |v|) v / |v|."""
    v = mobius(-x, y)
    length = v.norm(dim=-1, keepdim=True)
    return mobius(x, torch.tanh(kappa[:, None] * torch.atanh(length)) * v / length)


def raised(x):
    """Return the points of the hyperboloid above points of the plane."""
    return torch.cat(((1 + x.square().sum(-1, keepdim=True)).sqrt(), x), dim=-1)


def hyperboloid(x, y, kappa):
    """Return (sinh((1 - k) a) x + sinh(k a) y) / sinh a, with the angle cosh a = x_0 y_0 - x_1 y_1 - x_2 y_2."""
    angle = torch.acosh((x[:, :1] * y[:, :1]) - (x[:, 1:] * y[:, 1:]).sum(-1, keepdim=True))
    k = kappa[:, None]
    return (torch.sinh((1 - k) * angle) * x + torch.sinh(k * angle) * y) / torch.sinh(angle)


def torus(x, y, kappa):
    """Return the short way round, written with complex numbers."""
    turn = torch.angle(torch.exp(1j * (y - x)))
    return torch.angle(torch.exp(1j * (x + kappa[:, None] * turn)))


def rotation(x, y, kappa):
    """Return the great circle to y or to -y, whichever is nearer."""
    nearer = torch.where((x * y).sum(-1, keepdim=True) < 0, -y, y)
    return slerp(x, nearer, kappa)


CASES = {
    "sphere": (Sphere(), unit(draw(4, 3)), unit(draw(4, 3, seed=1)), slerp),
    "geoopt's sphere": (Manifold(geoopt.Sphere()), unit(draw(4, 3)), unit(draw(4, 3, seed=1)), slerp),
    "hyperboloid": (Manifold(geoopt.Lorentz()), raised(draw(4, 2)), raised(draw(4, 2, seed=1)), hyperboloid),
    "torus": (Torus(), draw(4, 2) % 2 - 3, draw(4, 2, seed=1) % 2 + 1, torus),
    "hyperbolic": (Manifold(geoopt.PoincareBall()), 0.6 * unit(draw(4, 2)), 0.3 * unit(draw(4, 2, seed=1)), hyperbolic),
    "rotations": (UnitQuaternions(), unit(draw(4, 4)), unit(draw(4, 4, seed=1)), rotation),
    "flat": (Euclidean(), draw(4, 2), draw(4, 2, seed=1), lambda x, y, k: x + k[:, None] * (y - x)),
}
every = pytest.mark.parametrize(("space", "x_0", "x_1", "closed"), CASES.values(), ids=CASES)
schedules = pytest.mark.parametrize(
    "schedule", [Linear(), Power(2.5), Exponential(3.0)], ids=lambda s: type(s).__name__
)


@every
@schedules
def test_points_are_those_of_the_closed_form(space, x_0, x_1, closed, schedule):
    """The path follows the geodesic at the pace of the schedule."""
    sample = GeodesicPath(space, schedule).sample(x_0, x_1, TIMES)
    torch.testing.assert_close(sample.x_t, closed(x_0, x_1, schedule.value(TIMES)), atol=1e-9, rtol=1e-7)


@every
@schedules
def test_velocities_are_derivatives_of_the_closed_form(space, x_0, x_1, closed, schedule):
    """dx_t is the central difference of the closed form in time, and tangent to the space."""
    h = 1e-6
    t = TIMES.clamp_min(h)
    sample = GeodesicPath(space, schedule).sample(x_0, x_1, t)
    low, high = (closed(x_0, x_1, schedule.value(t + s)) for s in (-h, h))
    torch.testing.assert_close(sample.dx_t, (high - low) / (2 * h), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(space.project_tangent(sample.x_t, sample.dx_t), sample.dx_t, atol=1e-8, rtol=1e-6)


@every
def test_the_linear_path_has_constant_speed(space, x_0, x_1, closed):
    """The length of its velocity, in the metric of the space, is the distance of the ends at all times."""
    sample = GeodesicPath(space).sample(x_0, x_1, TIMES)
    speed = space.squared_norm(sample.x_t, sample.dx_t).sqrt()
    torch.testing.assert_close(speed, space.distance(x_0, x_1), atol=1e-6, rtol=1e-5)


@every
def test_velocities_are_exact_at_both_ends_and_near_them(space, x_0, x_1, closed):
    """At t = 0 and t = 1 they are those of the limit; next to an end they keep single precision."""
    path, h = GeodesicPath(space), 1e-5
    for t, inside in ((0.0, h), (1.0, 1 - h)):
        at, near = (path.sample(x_0, x_1, torch.full((len(x_0),), s, dtype=torch.float64)).dx_t for s in (t, inside))
        torch.testing.assert_close(at, near, atol=1e-3, rtol=1e-3)
        single = path.sample(x_0.float(), x_1.float(), torch.full((len(x_0),), inside)).dx_t
        torch.testing.assert_close(single.double(), near, atol=1e-4, rtol=1e-4)


def test_factors_have_their_own_schedules():
    """On a product each factor follows its own pace, as alone."""
    space = Product(Euclidean(), UnitQuaternions())
    x = (draw(4, 5, 3), quaternions.normalise(draw(4, 5, 4)))
    y = (draw(4, 5, 3, seed=1), quaternions.normalise(draw(4, 5, 4, seed=1)))
    both = GeodesicPath(space, (Linear(), Power(2.0))).sample(x, y, TIMES)
    alone = GeodesicPath(UnitQuaternions(), Power(2.0)).sample(x[1], y[1], TIMES)
    assert torch.equal(both.x_t[1], alone.x_t)
    assert torch.equal(both.dx_t[1], alone.dx_t)


@pytest.mark.parametrize(
    ("x_0", "x_1", "t", "told"),
    [
        (draw(4, 3), draw(4, 2), TIMES, "one shape"),
        (draw(4, 3), draw(4, 3) * torch.nan, TIMES, "not finite"),
        (draw(0, 3), draw(0, 3), TIMES[:0], "at least one point"),
        (draw(4, 3), draw(4, 3), TIMES + 0.5, r"expected times in \[0, 1\]"),
        (draw(4, 3), draw(4, 3).float(), TIMES, "give both in one precision"),
        (draw(4, 3).long(), draw(4, 3).long(), TIMES, "floating-point"),
        ((draw(4, 3),), (draw(4, 3),), TIMES, "take a Product"),
    ],
)
def test_bad_input_is_named(x_0, x_1, t, told):
    """The same checks as for interpolants."""
    with pytest.raises(InputError, match=told):
        GeodesicPath(Euclidean()).sample(x_0, x_1, t)


def test_paces_without_sense_are_refused():
    """Exponents and rates that give no schedule."""
    with pytest.raises(InputError, match="exponent of Power"):
        Power(0.0)
    with pytest.raises(InputError, match="exponent of Power"):
        Power(torch.tensor([1.0, -2.0]))
    with pytest.raises(InputError, match="take Linear"):
        Exponential(0.0)


def test_quaternions_have_four_coordinates():
    """Three numbers are no quaternion."""
    with pytest.raises(InputError, match=r"expected \[..., 4\]"):
        GeodesicPath(UnitQuaternions()).sample(draw(4, 3), draw(4, 3), TIMES)
