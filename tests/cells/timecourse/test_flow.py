"""The flow through time: learned motion and growth that are known, interpolation, and one file for everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from helicell.cells.responses import PopulationKey
from helicell.cells.settings import EncoderSettings
from helicell.cells.timecourse import Course, SharedClock, TimeCourseFlow, TimeFlowSettings
from helicell.cells.timecourse.paths import CoursePaths
from helicell.core.errors import InputError
from helicell.core.statistics.kernels import energy_distance
from timecourses import DRIFT, drifting


@pytest.fixture(scope="module")
def courses() -> list[Course]:
    """Return two courses that drift alike from different places."""
    return [drifting("A", seed=0), drifting("B", seed=1)]


@pytest.fixture(scope="module")
def model(courses: Sequence[Course], quick: TimeFlowSettings) -> TimeCourseFlow:
    """Return a flow trained on them without A's third visit."""
    return TimeCourseFlow.fit([courses[0].without(4.0), courses[1]], quick, seed=0)


def test_the_velocity_is_learned(model: TimeCourseFlow, courses: Sequence[Course]) -> None:
    """On average over a visit, the velocity is the drift, in the units of the data."""
    for time, visit in zip(courses[1].times, courses[1].visits, strict=True):
        mean = model.velocity(visit, courses[1], time).mean(dim=0)
        torch.testing.assert_close(mean, torch.tensor(DRIFT), atol=0.15, rtol=0)
        assert model.growth(visit, courses[1], time).abs().max() == 0  # exact plans keep all mass


def test_a_visit_that_was_not_seen_is_interpolated(model: TimeCourseFlow, courses: Sequence[Course]) -> None:
    """The interpolated population is nearer to the visit that was left out than a tenth of the nearest visit."""
    missing = courses[0].without(4.0)
    predicted = model.interpolate(missing, 4.0, count=200)
    hidden = courses[0].visits[2]
    assert energy_distance(predicted, hidden) < 0.1 * energy_distance(missing.visits[1], hidden)
    torch.testing.assert_close(predicted.mean(dim=0), hidden.mean(dim=0), atol=0.25, rtol=0)
    assert torch.equal(model.interpolate(missing, 2.0), missing.visits[1])  # a visit is itself
    assert torch.equal(predicted, model.interpolate(missing, 4.0, count=200))


def test_a_clock_changes_how_far_it_is(model: TimeCourseFlow, courses: Sequence[Course]) -> None:
    """With a clock that runs ahead, the interpolated population has moved further."""
    missing = courses[0].without(4.0)
    steady = model.interpolate(missing, 4.0).mean(dim=0)

    class Ahead(SharedClock):
        def share(self, before: float, time: float, after: float) -> float:
            return 0.75

    ahead = model.interpolate(missing, 4.0, clock=Ahead()).mean(dim=0)
    torch.testing.assert_close(ahead - steady, 0.25 * 4 * torch.tensor(DRIFT), atol=0.25, rtol=0)


def test_cells_are_followed_there_and_back(model: TimeCourseFlow, courses: Sequence[Course]) -> None:
    """Forwards and backwards through time, cells come back to where they were, and do not depend on each other."""
    visit = courses[1].visits[0]
    there = model.follow(visit, courses[1], (0.0, 1.0, 6.0))
    assert there.states.shape == (3, 200, 2)
    torch.testing.assert_close(there.states[0], visit)
    back = model.follow(there.states[-1], courses[1], (6.0, 0.0))
    torch.testing.assert_close(back.states[-1], visit, atol=0.02, rtol=0)
    some = model.follow(visit[:7], courses[1], (0.0, 1.0, 6.0))
    torch.testing.assert_close(some.states, there.states[:, :7])


def test_growth_is_learned(quick: TimeFlowSettings) -> None:
    """One of two types falls from 80 % to 20 %: its mass falls, the other's rises, neither turns into the other."""
    generator = torch.Generator().manual_seed(0)

    def mixture(low: int, high: int) -> torch.Tensor:
        centres = torch.cat([torch.zeros(low), torch.full((high,), 8.0)])
        return torch.stack([centres, torch.zeros(low + high)], dim=1) + 0.3 * torch.randn(
            low + high, 2, generator=generator
        )

    course = Course(PopulationKey("A", "all"), (0.0, 1.0), (mixture(240, 60), mixture(60, 240)))
    settings = quick.model_copy(update={"coupling": "unbalanced", "marginal_weight": 0.05})
    model = TimeCourseFlow.fit([course], settings, seed=0)
    moved = model.follow(course.visits[0], course, (0.0, 1.0))
    falling, rising = moved.masses[-1][:240].mean(), moved.masses[-1][240:].mean()
    assert falling.item() == pytest.approx(0.25, abs=0.1)
    assert rising.item() == pytest.approx(4.0, rel=0.3)
    middle = model.interpolate(course, 0.5)
    assert ((middle[:, 0] - 4).abs() < 2).float().mean() < 0.05
    assert (middle[:, 0] < 4).float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_paths_pass_through_every_visit(courses: Sequence[Course], quick: TimeFlowSettings) -> None:
    """At the time of a visit the paths are its cells, for straight lines and for splines, with and without growth."""
    times = (0.0, 1 / 3, 2 / 3, 1.0)
    for update in ({}, {"path": "spline"}, {"coupling": "unbalanced"}):
        paths = CoursePaths.of(courses[0], times, quick.model_copy(update=update), seed=0)
        for number, time in enumerate(times):
            drawn = paths.at(time, 200, generator=torch.Generator().manual_seed(0)).x
            visit = courses[0].visits[number]
            near = torch.cdist(drawn, visit, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
            assert near.values.max() < 1e-5
            assert len(near.indices.unique()) == 200


@pytest.mark.parametrize("path", ["neighbours", "spline"])
def test_velocities_are_those_of_the_paths(courses: Sequence[Course], quick: TimeFlowSettings, path: str) -> None:
    """The velocity is the difference of positions of the same paths a moment later."""
    settings = quick.model_copy(update={"path": path})
    paths = CoursePaths.of(courses[0], (0.0, 0.3, 0.7, 1.0), settings, seed=0)
    # At these two times as many paths start at either neighbour, so that the same draws give the same paths.
    now, later = (paths.at(time, 100, generator=torch.Generator().manual_seed(3)) for time in (0.5, 0.5 + 1e-4))
    torch.testing.assert_close((later.x - now.x) / 1e-4, now.velocity, atol=0.05, rtol=0.01)


def test_saved_and_loaded(model: TimeCourseFlow, courses: Sequence[Course], tmp_path: Path) -> None:
    """A loaded model gives the same numbers and is saved to the same bytes."""
    model.save(tmp_path / "first.safetensors")
    loaded = TimeCourseFlow.load(tmp_path / "first.safetensors")
    visit = courses[1].visits[1]
    assert torch.equal(loaded.velocity(visit, courses[1], 3.0), model.velocity(visit, courses[1], 3.0))
    loaded.save(tmp_path / "second.safetensors")
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_model(courses: Sequence[Course], quick: TimeFlowSettings) -> None:
    """Training is a function of data, settings and seed."""
    settings = quick.model_copy(update={"optimiser": quick.optimiser.model_copy(update={"steps": 3})})
    states = [TimeCourseFlow.fit(courses, settings, seed=seed).network.state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_an_unseen_donor_is_told_by_the_first_visit(courses: Sequence[Course], quick: TimeFlowSettings) -> None:
    """With an encoder that looks at cells, a new donor's course is followed from its first visit."""
    settings = quick.model_copy(update={"encoder": EncoderSettings(kind="moments", width=8)})
    model = TimeCourseFlow.fit(courses, settings, seed=0)
    new = drifting("C", seed=7)
    moved = model.follow(new.visits[0], new, (0.0, 6.0)).states[-1]
    still = (new.visits[0].mean(dim=0) - new.visits[3].mean(dim=0)).norm()
    assert (moved.mean(dim=0) - new.visits[3].mean(dim=0)).norm() < 0.5 * still


def test_bad_input(model: TimeCourseFlow, courses: Sequence[Course], quick: TimeFlowSettings, tmp_path: Path) -> None:
    """Too few visits, other features, times out of range, and files of other kinds are refused in one line."""
    single = Course(courses[0].key, (0.0,), courses[0].visits[:1])
    cases = [
        ("there are no courses to train on", lambda: TimeCourseFlow.fit([], quick)),
        ("has a single visit; give courses of two or more", lambda: TimeCourseFlow.fit([single], quick)),
        ("have 3 features, the model 2", lambda: model.velocity(torch.zeros(4, 3), courses[0], 1.0)),
        (
            "the time 7 is outside of what was trained on, 0 to 6",
            lambda: model.velocity(torch.zeros(4, 2), courses[0], 7),
        ),
        ("the time 7 is not within the course of A", lambda: model.interpolate(courses[0], 7.0)),
    ]
    for message, call in cases:
        with pytest.raises(InputError, match=message):
            call()
    from helicell.core.training.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"architecture": "other"})
    with pytest.raises(InputError, match="holds a model of architecture 'other', expected 'time course flow'"):
        TimeCourseFlow.load(tmp_path / "other.safetensors")
