"""The update that keeps the original noise."""

import pytest
import torch

from helicell.core.dynamics.endpoint import follow_endpoint, time_grid
from helicell.core.dynamics.ode import integrate
from helicell.core.dynamics.rectified import follow_from_noise, predict_endpoint, sample_rectified
from helicell.core.errors import InputError
from helicell.core.paths import Exponential, GeodesicPath, Linear, Power
from helicell.core.spaces import Euclidean, Product, UnitQuaternions

DOUBLE = torch.float64
RIGID = Product(Euclidean(), UnitQuaternions())


def points(count, seed):
    """Return points of R^3 x S^3."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randn(count, 3, generator=generator, dtype=DOUBLE)
    return flat, UnitQuaternions().project(torch.randn(count, 4, generator=generator, dtype=DOUBLE))


@pytest.mark.parametrize("schedules", [(Linear(), Linear()), (Linear(), Power(2.0)), (Exponential(4.0), Linear())])
def test_straight_paths_arrive_in_one_step_and_stay_on_the_path(schedules):
    """For the velocity of one pair, any number of steps passes through the path's own points, whatever the schedule."""
    path = GeodesicPath(RIGID, schedules)
    x_0, x_1 = points(4, seed=0), points(4, seed=1)

    def field(x, t):
        return path.velocity(x, x_1, t)

    for steps in (1, 2, 5):
        x = sample_rectified(field, x_0, steps, path=path).x
        for part, expected in zip(x, x_1, strict=True):
            torch.testing.assert_close(part.abs(), expected.abs(), rtol=0, atol=1e-9)
    half = sample_rectified(field, x_0, [0, 0.2, 0.5], path=path).x
    expected = path.sample(x_0, x_1, torch.full((4,), 0.5, dtype=DOUBLE)).x_t
    for part, other in zip(half, expected, strict=True):
        torch.testing.assert_close(part, other, rtol=0, atol=1e-9)


def test_it_is_the_papers_update():
    """In flat space, x_s = s x_1 + (1 - s) x_0 with x_1 = x_t + (1 - t) v, worked out step by step."""
    x_0 = torch.tensor([[1.0, -2.0]], dtype=DOUBLE)

    def field(x, t):
        return torch.sin(3 * x) + t[:, None]

    x = x_0
    for t, s in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        end = x + (1 - t) * field(x, torch.full((1,), t, dtype=DOUBLE))
        x = s * end + (1 - s) * x_0
    solution = sample_rectified(field, x_0, 4)
    torch.testing.assert_close(solution.x, x)
    assert (solution.evaluations, solution.steps) == (4, 4)


def test_it_forgets_the_errors_of_early_steps():
    """A field that errs early and knows the end later: the update repairs what Euler's step carries along."""
    x_0, x_1 = torch.zeros(1, 2, dtype=DOUBLE), torch.ones(1, 2, dtype=DOUBLE)

    def field(x, t):
        exact = (x_1 - x) / (1 - t)[:, None]
        wrong = exact + torch.tensor([[2.0, -2.0]], dtype=DOUBLE)
        return torch.where((t < 0.5)[:, None], wrong, x_1 - x_0)

    kept = (sample_rectified(field, x_0, 10).x - x_1).norm()
    euler = (integrate(field, x_0, 10).x - x_1).norm()
    assert kept < 0.5 * euler


def test_the_first_steps_of_both_walks_agree():
    """Walking from the noise and from the last state differ only from the second step on."""
    path = GeodesicPath(Euclidean())
    predict = predict_endpoint(lambda x, t: torch.cos(x), path=path)
    x_0 = torch.randn(3, 2, generator=torch.Generator().manual_seed(4), dtype=DOUBLE)
    kept = list(follow_from_noise(predict, x_0, time_grid(3), path=path))
    usual = list(follow_endpoint(predict, x_0, time_grid(3), path=path))
    torch.testing.assert_close(kept[1].x_t, usual[1].x_t)
    assert not torch.allclose(kept[2].x_t, usual[2].x_t)


def test_a_correction_moves_the_state_that_the_walk_goes_on_from():
    """Each state but the first is the place on the way from the noise, corrected; the noise itself stays."""
    path = GeodesicPath(Euclidean())
    x_0, end = torch.zeros(1, 1, dtype=DOUBLE), torch.ones(1, 1, dtype=DOUBLE)

    def shift(x, endpoint, t, s):
        return x + 10 * s

    walk = follow_from_noise(lambda x, t, _: end, x_0, time_grid(4), path=path, correct=shift)
    assert [float(step.x_t) for step in walk] == pytest.approx([0, 2.75, 5.5, 8.25])


@pytest.mark.parametrize(("times", "message"), [([0.2, 1], "original noise is at 0"), ([1, 0], "start at 1"), (0, "0")])
def test_times_that_do_not_start_at_the_noise_are_refused(times, message):
    """The original noise is at time 0 and nowhere else."""
    with pytest.raises(InputError, match=message):
        sample_rectified(lambda x, t: x, torch.zeros(1, 2), times)
