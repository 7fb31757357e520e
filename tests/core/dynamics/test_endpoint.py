"""Following predicted ends: exact for true ends, equal to Euler's method in flat space, never overshooting."""

import pytest
import torch

from helicell.core.dynamics.endpoint import follow_endpoint, time_grid
from helicell.core.errors import InputError
from helicell.core.paths import GeodesicPath, Linear, Power
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions


def test_time_grids_rise_from_zero_to_one() -> None:
    """Grids have steps + 1 times, and an exponent above one makes the last steps the shortest."""
    grid = time_grid(10, finer_at_data=2.0)
    assert grid.shape == (11,)
    assert (grid[0], grid[-1]) == (0, 1)
    widths = grid.diff()
    assert (widths.diff() < 0).all()
    with pytest.raises(InputError, match="at least one step"):
        time_grid(0)


def test_a_true_end_is_approached_along_the_path() -> None:
    """With the true end predicted, every visited state lies on the path, whatever the steps and the schedules."""
    generator = torch.Generator().manual_seed(0)
    x_0, x_1 = (
        (torch.randn(5, 3, generator=generator), quaternions.random_quaternions((5,), generator=generator))
        for _ in "01"
    )
    path = GeodesicPath(Product(Euclidean(), UnitQuaternions()), (Linear(), Power(2.5)))
    steps = list(follow_endpoint(lambda _x, _t, _previous: x_1, x_0, time_grid(7, finer_at_data=1.5), path=path))
    assert len(steps) == 7
    for step in steps[1:]:
        expected = path.sample(x_0, x_1, torch.full((5,), step.t)).x_t
        torch.testing.assert_close(step.x_t[0], expected[0], atol=1e-5, rtol=0)
        assert float(UnitQuaternions().distance(step.x_t[1], expected[1]).max()) < 2e-3


def test_flat_space_gives_eulers_method() -> None:
    """On R^n with the linear schedule a step is x + (s - t) (x_1 - x) / (1 - t)."""

    def predict(x: torch.Tensor, t: torch.Tensor, _previous: object) -> torch.Tensor:
        return torch.sin(3 * x) + t.float()

    x = torch.linspace(-1, 1, 5)[:, None]
    times = time_grid(6)
    steps = list(follow_endpoint(predict, x, times, path=GeodesicPath(Euclidean())))
    for step, t, s in zip(steps, times[:-1].tolist(), times[1:].tolist(), strict=True):
        torch.testing.assert_close(step.x_t, x)
        x = x + (s - t) * (predict(x, torch.tensor(t), None) - x) / (1 - t)
    torch.testing.assert_close(steps[-1].endpoint, x)


def test_the_previous_prediction_is_fed_back() -> None:
    """Self-conditioning: the first call gets None, every other the end predicted before."""
    seen = []

    def predict(x: torch.Tensor, t: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
        seen.append(previous)
        return x + 1

    steps = list(follow_endpoint(predict, torch.zeros(1, 1), time_grid(3), path=GeodesicPath(Euclidean())))
    assert seen[0] is None
    assert [s is step.endpoint for s, step in zip(seen[1:], steps, strict=False)] == [True, True]


def test_bad_grids_are_refused() -> None:
    """A grid needs a step, and an exponent that keeps the times in order."""
    for options in ({"steps": 0}, {"steps": 3, "finer_at_data": -1.0}):
        with pytest.raises(InputError, match="at least one step and an exponent above 0"):
            time_grid(**options)
