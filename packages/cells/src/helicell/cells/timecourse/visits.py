"""Visits that are held out of time courses: predicted from their neighbours, beside what needs no training.

| name | predicts |
| --- | --- |
| `model` | the learned flow, from the visit before and the one after |
| `nearest_visit` | the cells of the visit that is nearer in time |
| `linear_ot` | McCann's interpolation along the exact plan between the two |
| `unbalanced_ot` | the same with masses that change |
| `floor` | the other half of the visit's own cells |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from helicell.cells.baselines import StoredPrediction
from helicell.cells.evaluation import Evaluation, evaluate_responses
from helicell.cells.preprocessing import Preprocessing
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.splits import HeldOut
from helicell.cells.timecourse.bridges import between
from helicell.cells.timecourse.courses import Course, Courses
from helicell.cells.timecourse.flow import TimeCourseFlow
from helicell.core.errors import InputError

MODEL, NEAREST, LINEAR, UNBALANCED = "model", "nearest_visit", "linear_ot", "unbalanced_ot"


@dataclass(frozen=True, slots=True)
class HiddenVisit:
    """A visit that no model sees, and the course that it is of, without it.

    Attributes
    ----------
    course
        With the visits before and after.
    time
        When it was.
    cells
        The visit.
    """

    course: Course
    time: float
    cells: Tensor

    @property
    def key(self) -> PopulationKey:
        """Whose it is, and when it was taken."""
        return replace(self.course.key, time=self.time)


def split_visits(courses: Courses, held_out: Sequence[HeldOut]) -> tuple[Courses, Courses]:
    """Return the visits to train on, and those that are held out.

    Raises
    ------
    InputError
        If an entry matches no visit, a visit that is held out is the first or last of its course, or courses of
        a single visit are left.
    """
    for entry in held_out:
        if not any(entry.matches(key) for key in courses.keys):
            message = f"no visit is {entry}; the donors are {', '.join(courses.donors)}, the times {_times(courses)}"
            raise InputError(message)
    seen = courses.where(lambda key: not any(entry.matches(key) for entry in held_out))
    hidden = courses.where(lambda key: any(entry.matches(key) for entry in held_out))
    for key in hidden:
        times = [other.time for other in seen if replace(other, time=None) == replace(key, time=None)]
        if not times or not min(times) < key.time < max(times):  # type: ignore[type-var, operator]
            message = f"{key} has no visits on both sides to interpolate it from; hold out inner visits"
            raise InputError(message)
    return seen, hidden


def hidden_visits(courses: Sequence[Course], hidden: Courses, preprocessing: Preprocessing | None) -> list[HiddenVisit]:
    """Return visits that are held out, each with its course among those that are seen."""
    by_key = {course.key: course for course in courses}
    return [
        HiddenVisit(by_key[course.key], time, cells)
        for course in hidden.read(preprocessing)
        for time, cells in zip(course.times, course.visits, strict=True)
    ]


def without_training(visit: HiddenVisit) -> dict[str, Tensor]:
    """Return what the methods that learn nothing predict of a visit."""
    before, after = visit.course.around(visit.time)
    first, last = visit.course.times[before], visit.course.times[after]
    share, (x_0, x_1) = (visit.time - first) / (last - first), visit.course.visits[before : after + 1]
    return {
        NEAREST: x_0 if share <= 0.5 else x_1,
        LINEAR: between(x_0, x_1, share, marginal_weight=None),
        UNBALANCED: between(x_0, x_1, share),
    }


def evaluate_visits(
    model: TimeCourseFlow, visits: Sequence[HiddenVisit], *, cells: int = 500, seeds: Sequence[int] = (0,)
) -> Evaluation:
    """Measure a model on visits that it has not seen, beside what needs no training.

    Parameters
    ----------
    model
        Trained on the courses without these visits.
    visits
        The visits.
    cells
        At most so many predicted and real cells are compared.
    seeds
        Of the draws of cells.
    """
    predicted: dict[str, dict[PopulationKey, Tensor]] = {}
    for visit in visits:
        ways: Mapping[str, Tensor] = {MODEL: model.interpolate(visit.course, visit.time)} | without_training(visit)
        for name, points in ways.items():
            predicted.setdefault(name, {})[visit.key] = points
    # What is "control" of a visit is what it would be if nothing had happened since the nearest one.
    held_out = [Response(visit.key, predicted[NEAREST][visit.key], visit.cells) for visit in visits]
    predictors = [StoredPrediction(points, name=name) for name, points in predicted.items()]
    return evaluate_responses(predictors, held_out, cells=cells, seeds=seeds)


def _times(courses: Courses) -> str:
    return ", ".join(f"{time:g}" for time in sorted({key.time for key in courses}))  # type: ignore[type-var]
