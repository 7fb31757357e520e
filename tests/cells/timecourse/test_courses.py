"""Time courses from AnnData: visits in order, held-out visits unseen, and what is said about bad input."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from anndata import AnnData

from helicell.cells import Preprocessing, PreprocessingSettings
from helicell.cells.responses import PopulationKey
from helicell.cells.tables import write_anndata
from helicell.cells.timecourse import Course, Courses, TimeColumns, read_courses
from helicell.core.errors import InputError


def test_visits_are_sorted_by_time(visits: AnnData, time_columns: TimeColumns, tmp_path: Path) -> None:
    """A course holds the rows of its donor and day, in the order of time, from memory and from a file."""
    write_anndata(tmp_path / "visits.h5ad", visits)
    courses = Courses.from_anndata(visits, time_columns)
    for course, same in zip(courses.read(), read_courses(tmp_path / "visits.h5ad", time_columns).read(), strict=True):
        assert course.times == (0.0, 2.0, 4.0, 6.0)
        for time, visit, other in zip(course.times, course.visits, same.visits, strict=True):
            rows = ((visits.obs["donor"] == course.key.donor) & (visits.obs["day"] == time)).to_numpy()
            assert np.array_equal(visit.numpy(), visits.X[rows])
            assert torch.equal(visit, other)


def test_a_held_out_visit_is_not_fitted_to(visits: AnnData, time_columns: TimeColumns) -> None:
    """Whatever a held-out visit measures, preprocessing and the remaining course stay the same."""

    def prepared() -> tuple[Preprocessing, Course]:
        courses = Courses.from_anndata(visits, time_columns)
        train = courses.where(lambda key: (key.donor, key.time) != ("A", 4.0))
        fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh", linear=("SSC",)), train)
        return fitted, train.read(fitted)[0]

    fitted, course = prepared()
    visits.X[((visits.obs["donor"] == "A") & (visits.obs["day"] == 4)).to_numpy()] += 100
    again, same = prepared()
    assert course.times == (0.0, 2.0, 6.0)
    assert np.array_equal(fitted.centre, again.centre)
    assert all(torch.equal(a, b) for a, b in zip(course.visits, same.visits, strict=True))


def test_linear_features_stay_linear(visits: AnnData, time_columns: TimeColumns) -> None:
    """Scatter is left alone by arcsinh, there and back; a feature that does not exist is refused."""
    courses = Courses.from_anndata(visits, time_columns)
    fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh", linear=("SSC",), scale="none"), courses)
    transformed = fitted.transform(visits.X)
    np.testing.assert_allclose(transformed[:, 2], visits.X[:, 2], rtol=1e-6)
    np.testing.assert_allclose(transformed[:, :2], np.arcsinh(visits.X[:, :2] / 5), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.inverse(transformed), visits.X, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="unknown linear feature 'FSC'"):
        Preprocessing.fit(PreprocessingSettings(kind="arcsinh", linear=("FSC",)), courses)
    with pytest.raises(InputError, match="linear features need arcsinh, the kind is none"):
        PreprocessingSettings.from_mapping({"linear": ["SSC"]})


def test_neighbours_of_a_time() -> None:
    """`around` finds the visits on both sides, and `without` leaves one out."""
    course = Course(PopulationKey("A", "all"), (0.0, 1.0, 3.0), tuple(torch.zeros(2, 1) for _ in range(3)))
    assert course.around(2.0) == (1, 2)
    assert course.around(1.0) == (1, 1)
    assert course.without(1.0).around(1.0) == (0, 1)
    with pytest.raises(InputError, match=re.escape("the time 4 is not within the course of A / all: 0 to 3")):
        course.around(4.0)


def test_bad_input(visits: AnnData, time_columns: TimeColumns) -> None:
    """Missing columns, times that are no numbers, small visits and visits out of order get one line each."""
    cases = {
        "no column 'visit' in obs": time_columns.model_copy(update={"time": "visit"}),
        "lacks 1 of 1 features: CD5": time_columns.model_copy(update={"features": ("CD5",)}),
        "holds 'A', expected a number": time_columns.model_copy(update={"time": "donor"}),
    }
    for message, columns in cases.items():
        with pytest.raises(InputError, match=re.escape(message).replace("'A'", "'[AB]'")):
            Courses.from_anndata(visits, columns)
    with pytest.raises(InputError, match="has 30 cells, fewer than minimum_cells = 31, and so do 7 more populations"):
        Courses.from_anndata(visits, time_columns, minimum_cells=31)
    with pytest.raises(InputError, match="no population is left of the 8"):
        Courses.from_anndata(visits, time_columns).where(lambda key: key.donor == "C")
    with pytest.raises(InputError, match="expected increasing ones"):
        Course(PopulationKey("A", "all"), (1.0, 0.0), (torch.zeros(1, 1), torch.zeros(1, 1)))
