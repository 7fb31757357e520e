"""The pull-back of velocities into a tangent space, on which all solvers stand; and the sphere's own maps."""

import geoopt
import pytest
import torch

from helicell.core.spaces import Euclidean, Manifold, Product, Space, Sphere, Torus, UnitQuaternions

SPACES = {
    "flat": (Euclidean(), 3),
    "torus": (Torus(), 3),
    "sphere": (Sphere(), 3),
    "quaternions": (UnitQuaternions(), 4),
    "hyperbolic": (Manifold(geoopt.PoincareBall()), 3),
    "lorentz": (Manifold(geoopt.Lorentz()), 4),
}


def draw(space, dimension, *, step=1.0, seed=0, dtype=torch.float64):
    """Return points x, tangent vectors u at x, points y = exp_x(u) and tangent vectors v at y."""
    generator = torch.Generator().manual_seed(seed)
    x, u, v = (0.25 * torch.randn(20, dimension, generator=generator, dtype=dtype) for _ in range(3))
    x = space.project(x)
    u = space.project_tangent(x, step * u)
    y = space.exp(x, u)
    return x, u, y, space.project_tangent(y, v)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("step", [1.0, 1e-3])
def test_exp_takes_the_pulled_back_velocity_to_the_velocity(name, step):
    """D exp_x at u, by central differences, maps the pull-back of v to v: near points and far ones."""
    if name == "lorentz" and step < 0.1:
        pytest.skip("geoopt's Lorentz model has no logarithm of near points")
    space, dimension = SPACES[name]
    x, u, y, v = draw(space, dimension, step=step)
    w = space.pull_back(x, y, v)
    h = 1e-5
    difference = space.exp(x, u + h * w) - space.exp(x, u - h * w)
    torch.testing.assert_close(difference / (2 * h), v, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["sphere", "quaternions"])
def test_the_closed_form_is_the_derivative_of_the_logarithm(name):
    """On spheres the closed form equals forward-mode differentiation, also where quaternions change sign."""
    space, dimension = SPACES[name]
    x, _, y, v = draw(space, dimension)
    expected = Space.pull_back(space, x, y, v)
    torch.testing.assert_close(space.pull_back(x, y, v), expected, rtol=1e-9, atol=1e-10)
    if name == "quaternions":
        torch.testing.assert_close(space.pull_back(x, -y, -v), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["sphere", "quaternions"])
def test_near_points_in_float32(name):
    """Where geoopt's acos knows no angles, logarithm and pull-back are exact to float32, gradients finite."""
    space, dimension = SPACES[name]
    for step in (1e-2, 1e-4, 1e-6, 0.0):
        x, u, y, v = draw(space, dimension, step=step, dtype=torch.float32)
        if name == "sphere":
            torch.testing.assert_close(space.log(x, y), u, rtol=1e-3, atol=3e-7)
        y.requires_grad_()
        w = space.pull_back(x, y, v)
        torch.testing.assert_close(w, space.project_tangent(x, v), rtol=1e-2, atol=max(step, 1e-6))
        w.square().sum().backward()
        assert y.grad.isfinite().all()


def test_products_pull_back_factor_by_factor():
    """A product does what its factors do."""
    space = Product(Euclidean(), UnitQuaternions())
    flat, turn = draw(Euclidean(), 3), draw(UnitQuaternions(), 4)
    x, y, v = ((flat[i], turn[i]) for i in (0, 2, 3))
    parts = space.pull_back(x, y, v)
    assert torch.equal(parts[0], v[0])
    assert torch.equal(parts[1], UnitQuaternions().pull_back(x[1], y[1], v[1]))


def test_the_sphere_agrees_with_closed_forms():
    """Distances and geodesics against arc cosine and spherical interpolation, and at the antipode."""
    x, _, y, _ = draw(Sphere(), 3)
    angle = torch.acos((x * y).sum(dim=-1))
    torch.testing.assert_close(Sphere().distance(x, y), angle)
    for fraction in (0.0, 0.3, 1.0):
        a, b = torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)
        expected = (a[:, None] * x + b[:, None] * y) / torch.sin(angle)[:, None]
        torch.testing.assert_close(Sphere().geodesic(x, y, fraction), expected)
    torch.testing.assert_close(Sphere().distance(x, -x), torch.full((20,), torch.pi, dtype=torch.float64))
