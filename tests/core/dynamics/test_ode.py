"""Solvers of ordinary differential equations: orders, oracles, curved spaces, dense output, and what they refuse."""

import math

import geoopt
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from helicell.core.dynamics.ode import METHODS, integrate
from helicell.core.errors import HelicellError, InputError
from helicell.core.spaces import Euclidean, Manifold, Product, Sphere, Torus, UnitQuaternions, quaternions

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "ab2": 2, "rk4": 4}
EVALUATIONS = {"euler": 8, "midpoint": 16, "heun": 16, "ab2": 9, "rk4": 32}
DOUBLE = torch.float64
MATRIX = torch.tensor([[0.0, 1.0, 0.5], [-1.0, 0.0, 0.3], [0.2, -0.7, 0.0]], dtype=DOUBLE)
X_0 = torch.tensor([[1.0, 2.0, -1.0], [0.3, -0.5, 0.7]], dtype=DOUBLE)


def forced(x, t):
    """Return a field that depends on place and time without a closed form."""
    return torch.sin(x @ MATRIX.T) + torch.cos(3 * t)[:, None]


def spin(q, t):
    """Return a velocity on the quaternions that turns about a moving axis and depends on the rotation."""
    axis = torch.stack((torch.cos(2 * t), torch.sin(3 * t), t), dim=-1)
    fixed = torch.tensor([0.0, 1.5, 0.5], dtype=q.dtype).expand(len(q), 3)
    omega = 2 * axis + quaternions.rotate(quaternions.conjugate(q), fixed)
    return UnitQuaternions().tangent(q, omega)


def swirl(x, t):
    """Return a velocity on the sphere that depends on place and time."""
    return Sphere().project_tangent(x, torch.sin(2 * x @ MATRIX.T + t[:, None]))


def both(x, t):
    """Return a velocity on R^3 x S^3 in which each factor drives the other."""
    flat, q = x
    pulled = quaternions.rotate(q, forced(flat, t))
    return pulled, UnitQuaternions().tangent(q, torch.tanh(flat) + 1)


def drift(x, t):
    """Return a velocity on the Poincare ball."""
    return 0.3 * torch.cos(x @ MATRIX.T + t[:, None])


def start(space, dimension):
    """Return two points of a space."""
    generator = torch.Generator().manual_seed(1)
    return space.project(0.3 * torch.randn(2, dimension, generator=generator, dtype=DOUBLE))


CASES = {
    "flat": (Euclidean(), forced, X_0),
    "torus": (Torus(), forced, X_0),
    "sphere": (Sphere(), swirl, start(Sphere(), 3)),
    "quaternions": (UnitQuaternions(), spin, start(UnitQuaternions(), 4)),
    "hyperbolic": (Manifold(geoopt.PoincareBall()), drift, start(Manifold(geoopt.PoincareBall()), 3)),
    "product": (Product(Euclidean(), UnitQuaternions()), both, (X_0, start(UnitQuaternions(), 4))),
}


def joined(x):
    """Return the coordinates of a point [batch, dimension], or of a product's."""
    return torch.cat(x, dim=-1) if isinstance(x, tuple) else x


def oracle(field, x_0, times, split=None):
    """Return SciPy's solution in surrounding coordinates, shape [times, batch, dimension]."""
    solutions = []
    for row in range(2):

        def velocity(t, y, row=row):
            x = torch.from_numpy(y)[None]
            x = (x[:, :split], x[:, split:]) if split else x
            return joined(field(x, torch.tensor([t], dtype=DOUBLE)))[0].numpy()

        solution = solve_ivp(
            velocity, (times[0], times[-1]), joined(x_0)[row].numpy(), "DOP853", times, rtol=1e-12, atol=1e-13
        )
        solutions.append(torch.from_numpy(solution.y.T))
    return torch.stack(solutions, dim=1)


@pytest.fixture(scope="module")
def exact():
    """Return SciPy's end states of all cases."""
    split = {"product": 3}
    return {name: oracle(f, x, [0.0, 1.0], split.get(name))[-1] for name, (_, f, x) in CASES.items()}


@pytest.mark.parametrize("method", ORDERS)
@pytest.mark.parametrize("name", CASES)
def test_orders_of_convergence(name, method, exact):
    """On every space each method has its order, and every state lies on the space."""
    space, field, x_0 = CASES[name]
    errors = []
    steps = (8, 16) if method == "rk4" else (16, 32, 64)
    for count in steps:
        x = integrate(field, x_0, count, space=space, method=method).x
        errors.append(float((joined(x) - exact[name]).abs().max()))
        torch.testing.assert_close(joined(space.project(x)), joined(x), rtol=0, atol=1e-12)
    order = math.log2(errors[-2] / errors[-1])
    assert abs(order - ORDERS[method]) < 0.35, f"order {order:.2f}, errors {errors}"
    assert errors[-1] < {1: 0.1, 2: 2e-3, 4: 1e-5}[ORDERS[method]]


@pytest.mark.parametrize("name", CASES)
def test_dopri5_and_its_dense_output_against_scipy(name):
    """States at many times agree with SciPy's to the tolerance, and lie on the space."""
    space, field, x_0 = CASES[name]
    times = np.linspace(0, 1, 21)
    solution = integrate(field, x_0, [0, 1], space=space, method="dopri5", rtol=1e-8, atol=1e-8, save_at=times)
    expected = oracle(field, x_0, times, 3 if name == "product" else None)
    torch.testing.assert_close(joined(solution.states), expected, rtol=0, atol=1e-6)
    assert torch.equal(joined(solution.states)[-1], joined(solution.x))
    torch.testing.assert_close(joined(space.project(solution.states)), joined(solution.states), rtol=0, atol=1e-12)


def test_dopri5_has_order_five_in_its_evaluations():
    """A tenth of the tolerance costs about 10^(1/5) times the evaluations, and the error follows the tolerance."""
    expected = oracle(forced, X_0, [0.0, 1.0])[-1]
    counts = []
    for tolerance in (1e-5, 1e-7, 1e-9, 1e-11):
        solution = integrate(forced, X_0, [0, 1], method="dopri5", rtol=tolerance, atol=tolerance)
        assert float((solution.x - expected).abs().max()) < 5 * tolerance
        counts.append(solution.evaluations)
    assert 2.0 < counts[-1] / counts[-2] < 3.2, counts  # 100^(1/5) is 2.5


def test_more_saved_points_cost_no_evaluations():
    """Dense output is free; evaluations and the end are the same with 2 and with 1,000 saved states."""
    few = integrate(forced, X_0, [0, 1], method="dopri5", save_at=[0.0, 1.0])
    many = integrate(forced, X_0, [0, 1], method="dopri5", save_at=torch.linspace(0, 1, 1000))
    assert few.evaluations == many.evaluations
    assert torch.equal(few.x, many.x)
    assert torch.equal(few.states[0], X_0)


@pytest.mark.parametrize("method", METHODS)
def test_a_solution_does_not_depend_on_its_batch(method):
    """Points solved alone or together are equal, with dopri5 too, where each has its own steps."""
    generator = torch.Generator().manual_seed(2)
    x_0 = 2 * torch.randn(3, 3, generator=generator, dtype=DOUBLE)

    def stiff(x, t):
        return -x * (1 + 10 * x[:, :1] ** 2) + torch.cos(9 * t)[:, None]

    together = integrate(stiff, x_0, 100, method=method, save_at=[0.25, 1.0])
    for row in range(3):
        alone = integrate(stiff, x_0[row : row + 1], 100, method=method, save_at=[0.25, 1.0])
        torch.testing.assert_close(alone.states[:, 0], together.states[:, row], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_there_and_back(method):
    """Decreasing times follow the field backwards."""
    options = {"method": method, "rtol": 1e-9, "atol": 1e-9}
    there = integrate(forced, X_0, 200, **options)
    back = integrate(forced, there.x, torch.linspace(1, 0, 201), save_at=[1.0, 0.0], **options)
    tolerance = {1: 0.05, 2: 1e-3, 4: 1e-6}.get(ORDERS.get(method, 4))
    torch.testing.assert_close(back.x, X_0, rtol=0, atol=tolerance)
    assert torch.equal(back.states[0], there.x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["sphere", "quaternions", "hyperbolic"])
def test_geodesics_are_exact_in_one_step(name, method):
    """Where the field follows a geodesic at constant speed, one step of any method arrives, to rounding."""
    space, _, x_0 = CASES[name]
    generator = torch.Generator().manual_seed(3)
    x_1 = space.project(0.3 * torch.randn(x_0.shape, generator=generator, dtype=DOUBLE))

    def straight(x, t):
        return space.log(x, x_1) / (1 - t)[:, None].clamp_min(1e-12)

    halfway = integrate(straight, x_0, [0, 0.5], space=space, method=method).x
    torch.testing.assert_close(halfway, space.geodesic(x_0, x_1, 0.5), rtol=0, atol=1e-9)


def test_evaluations_are_counted():
    """What is reported is the number of calls."""
    calls = []

    def field(x, t):
        calls.append(t)
        assert t.shape == (2,)
        return -x

    for method, expected in EVALUATIONS.items():
        calls.clear()
        assert integrate(field, X_0, 8, method=method).evaluations == expected == len(calls)
    calls.clear()
    assert integrate(field, X_0, [0, 1], method="dopri5").evaluations == len(calls)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_flow_through_every_solver(method):
    """The derivative of the end by the start and by a parameter of the field is that of the exact solution."""
    rate = torch.tensor(0.7, dtype=DOUBLE, requires_grad=True)
    x_0 = X_0.clone().requires_grad_()
    x = integrate(lambda x, t: -rate * x, x_0, 300, method=method, rtol=1e-8, atol=1e-8).x
    x.sum().backward()
    tolerance = 5e-3 if method == "euler" else 1e-4
    torch.testing.assert_close(x_0.grad, torch.full_like(X_0, math.exp(-0.7)), rtol=0, atol=tolerance)
    torch.testing.assert_close(rate.grad, -math.exp(-0.7) * X_0.sum(), rtol=0, atol=tolerance)


def test_gradients_on_quaternions_are_finite():
    """The derivative through steps of rotations, none of which moves in one of the rows, is finite."""
    q = start(UnitQuaternions(), 4).requires_grad_()
    speed = torch.tensor([[0.0], [1.0]], dtype=DOUBLE)
    x = integrate(lambda q, t: speed * spin(q, t), q, 5, space=UnitQuaternions(), method="heun").x
    x.square()[:, 0].sum().backward()
    assert q.grad.isfinite().all()


def test_saved_states_of_fixed_steps_are_those_of_the_steps():
    """A fixed-step method saves what it steps through, in the order asked for."""
    solution = integrate(forced, X_0, 4, save_at=[0.5, 0.0, 0.5])
    assert torch.equal(solution.states[0], integrate(forced, X_0, [0, 0.25, 0.5]).x)
    assert torch.equal(solution.states[1], X_0)
    assert solution.times.tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "rk5"}, "unknown method 'rk5'"),
        ({"times": 0}, "number of steps is 0"),
        ({"times": [0, 2]}, r"expected two or more in \[0, 1\]"),
        ({"times": [0.5]}, "expected two or more"),
        ({"times": [0, 0.5, 0.5]}, "without repeats"),
        ({"times": [0, float("nan")]}, "expected two or more"),
        ({"save_at": [0.3]}, "0.3, which is none of the times"),
        ({"save_at": [1.5]}, "expected times between 0 and 1"),
        ({"save_at": []}, "expected times between"),
        ({"atol": 0.0}, "tolerances"),
        ({"x_0": torch.zeros(0, 3)}, "at least one point"),
        ({"x_0": torch.zeros(3)}, "add an axis"),
        ({"x_0": torch.full((2, 3), torch.nan)}, "not finite"),
        ({"x_0": torch.zeros(2, 3, dtype=torch.int64)}, "floating-point"),
        ({"x_0": (X_0, X_0)}, "take a Product"),
        ({"space": UnitQuaternions()}, "four coordinates"),
        ({"space": Product(Euclidean(), Torus())}, "tuple of 2 tensors"),
        ({"field": lambda x, t: x[:, :1]}, r"returned the shapes \[\[2, 1\]\]"),
        ({"field": lambda x, t: None}, "NoneType"),
    ],
)
def test_bad_input_is_refused(change, message):
    """Every mistake has a message of one line."""
    arguments = {"field": forced, "x_0": X_0, "times": 4} | change
    with pytest.raises(InputError, match=message) as caught:
        integrate(**arguments)
    assert "\n" not in str(caught.value)


def test_fields_that_cannot_be_followed_end_with_an_error():
    """Fields that blow up, or jump without end, stop the solvers with a message that says where."""
    with pytest.raises(HelicellError, match="solution is not finite"):
        integrate(lambda x, t: 1 / (0.5 - t)[:, None] * torch.ones_like(x), X_0, 4)
    with pytest.raises(HelicellError, match=r"dopri5 stopped at t = 0\.[45].*too short"):
        integrate(lambda x, t: 1 / (0.5 - t)[:, None].abs() * x, X_0, [0, 1], method="dopri5")
    with pytest.raises(HelicellError, match="7 steps did not suffice"):
        integrate(forced, X_0, [0, 1], method="dopri5", rtol=1e-12, atol=1e-12, max_steps=7)
