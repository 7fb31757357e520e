"""Visits that are held out: nothing of them reaches the model, and they are measured as `benchmarks` does by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData

from helicell.cells import Preprocessing, PreprocessingSettings
from helicell.cells.splits import HeldOut, parse_holdout
from helicell.cells.timecourse import Courses, TimeColumns, TimeCourseFlow, TimeFlowSettings, between
from helicell.cells.timecourse.predicting import interpolate
from helicell.cells.timecourse.visits import evaluate_visits, hidden_visits, split_visits, without_training
from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator


@pytest.fixture
def courses(visits: AnnData, time_columns: TimeColumns) -> Courses:
    """Return the courses of the shared table: days 0, 2, 4 and 6 of A and B."""
    return Courses.from_anndata(visits, time_columns)


def test_visits_are_held_out_by_time_and_donor(courses: Courses) -> None:
    """`time=2` hides everybody's visit, a combination one donor's; both sides together are all visits."""
    for text, donors in (("time=2", ["A", "B"]), ("combination=donor:B+time:2", ["B"])):
        seen, hidden = split_visits(courses, parse_holdout(text))
        assert [key.donor for key in hidden] == donors
        assert {key.time for key in hidden} == {2.0}
        assert sorted(map(str, [*seen, *hidden])) == sorted(map(str, courses))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (HeldOut(time=0.0), "on both sides"),
        (HeldOut(donor="A"), "on both sides"),
        (HeldOut(time=3.0), "the times 0, 2, 4, 6"),
        (HeldOut(donor="C", time=2.0), "the donors are A, B"),
    ],
)
def test_what_cannot_be_interpolated_is_refused(courses: Courses, entry: HeldOut, said: str) -> None:
    """First visits, whole courses, and visits that do not exist are named."""
    with pytest.raises(InputError, match=said):
        split_visits(courses, [entry])


def test_they_are_measured_beside_what_needs_no_training(courses: Courses, quick: TimeFlowSettings) -> None:
    """Populations that drift steadily are met by transport and flow, not by the nearest visit; the floor is there."""
    seen, hidden = split_visits(courses, parse_holdout("time=2"))
    train = seen.read()
    found = hidden_visits(train, hidden, None)
    assert [visit.time for visit in found] == [2.0, 2.0]
    assert not any(visit.time in visit.course.times for visit in found)
    plain = without_training(found[0])
    x_0, x_1 = found[0].course.visits[:2]
    assert torch.equal(plain["linear_ot"], between(x_0, x_1, 0.5, marginal_weight=None))
    assert torch.equal(plain["nearest_visit"], x_0)
    model = TimeCourseFlow.fit(train, quick, seed=0)
    summary = evaluate_visits(model, found, cells=30).summary()["w2"]
    assert {"model", "nearest_visit", "linear_ot", "unbalanced_ot", "floor"} <= set(summary)
    assert summary["model"] < 0.9 * summary["nearest_visit"]
    assert summary["linear_ot"] < 0.9 * summary["nearest_visit"]


def test_populations_between_visits_come_as_anndata(
    visits: AnnData, courses: Courses, quick: TimeFlowSettings, time_columns: TimeColumns, tmp_path
) -> None:
    """Features, labels and coordinates are those of the data and the model, also after saving; misuse is named."""
    fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), courses)
    steps = quick.model_copy(update={"optimiser": quick.optimiser.model_copy(update={"steps": 3, "warm_up": 1})})
    bare = TimeCourseFlow.fit(courses.read(fitted), steps, seed=0)
    with pytest.raises(InputError, match="helicell cells course"):
        interpolate(bare, courses, [1.0])
    model = TimeCourseFlow.fit(courses.read(fitted), steps, preprocessing=fitted, columns=time_columns, seed=0)
    model.save(tmp_path / "a.safetensors")
    loaded = TimeCourseFlow.load(tmp_path / "a.safetensors")
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    first, second = (interpolate(one, courses, [1.0, 3.0], count=20) for one in (model, loaded))
    assert np.array_equal(first.X, second.X)
    assert first.shape == (80, 3)
    assert list(first.var_names) == list(visits.var_names)
    assert first.obs.groupby(["donor", "day"]).size().to_dict() == dict.fromkeys(
        [("A", 1.0), ("A", 3.0), ("B", 1.0), ("B", 3.0)], 20
    )
    np.testing.assert_allclose(fitted.transform(first.X), first.obsm["X_flow"], atol=1e-4)
    assert set(interpolate(loaded, courses, [1.0], donors=["B"]).obs["donor"]) == {"B"}
    course = courses.read(fitted)[0]
    mixed = loaded.interpolate(course, 1.0, transport=0.5, count=20)
    generator = sample_generator(0, 0, stream=f"interpolation of {course.key} at 1.0")
    plain = between(*course.visits[:2], 0.5, count=10, marginal_weight=None, generator=generator)
    assert mixed.shape == (20, 3)
    assert torch.equal(mixed[:10], plain)
    with pytest.raises(InputError, match="0 to 1"):
        loaded.interpolate(course, 1.0, transport=2.0)
    with pytest.raises(InputError, match="7"):
        interpolate(loaded, courses, [7.0])
    with pytest.raises(InputError, match="'C'"):
        interpolate(loaded, courses, [1.0], donors=["C"])
