"""What is written into AnnData, where plots look for it."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy
import torch
from anndata import AnnData

from helicell.cells import Preprocessing, PreprocessingSettings
from helicell.cells.timecourse import (
    Courses,
    TimeColumns,
    TimeCourseFlow,
    TimeFlowSettings,
    annotated,
    embedded_velocity,
)
from helicell.core.errors import InputError


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")  # scanpy calls it
def test_velocities_and_trajectories_are_written(
    visits: AnnData, time_columns: TimeColumns, quick: TimeFlowSettings
) -> None:
    """Positions, velocities and trajectories fit each other and the model; scanpy draws them; the input stays."""
    before = visits.copy()
    part = time_columns.model_copy(update={"features": ("CD4", "CD3")})
    courses = Courses.from_anndata(visits, part)
    fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), courses)
    model = TimeCourseFlow.fit(courses.read(fitted), quick, seed=0)
    result = annotated(visits, courses, model, preprocessing=fitted, times=(0.0, 3.0, 6.0))
    assert np.array_equal(visits.X, before.X)
    assert not visits.obsm
    assert list(result.obs_names) == list(visits.obs_names)
    np.testing.assert_allclose(result.obsm["X_flow"], fitted.transform(visits.X[:, [1, 0]]), atol=1e-6)
    assert result.obsm["velocity_flow"].shape == (240, 2)
    # The measured drift is 1 and -0.5 a day; SSC is not modelled.
    np.testing.assert_allclose(result.layers["velocity"].mean(axis=0), [1.0, -0.5, 0.0], atol=0.3)
    assert list(result.var["velocity_genes"]) == [True, True, False]
    assert np.array_equal(result.layers["Ms"], visits.X)
    paths = result.obsm["trajectory"].reshape(240, 3, 2)
    day = result.obs["day"].to_numpy()
    np.testing.assert_array_equal(paths[day == 0][:, 0], result.obsm["X_flow"][day == 0])
    assert np.isnan(paths[day == 4][:, 1]).all()
    assert np.isfinite(paths[day == 4][:, 2]).all()
    first = courses.read(fitted)[0]
    followed = model.follow(first.visits[0], first, (0.0, 3.0, 6.0)).states
    rows = (day == 0) & (result.obs["donor"] == "A").to_numpy()
    np.testing.assert_allclose(paths[rows], followed.transpose(0, 1).numpy(), atol=1e-5)
    result.obsm["velocity_pca"] = embedded_velocity(
        result.obsm["X_flow"], result.obsm["velocity_flow"], scanpy.pp.pca(result.obsm["X_flow"], n_comps=1)
    )
    scanpy.pl.embedding(result, basis="flow", color="growth", show=False)


def test_cells_without_a_course_hold_nothing(
    visits: AnnData, time_columns: TimeColumns, quick: TimeFlowSettings
) -> None:
    """Cells of populations that were left out have NaN, not numbers of something else."""
    courses = Courses.from_anndata(visits, time_columns).where(lambda key: key.donor == "A")
    short = quick.model_copy(update={"optimiser": quick.optimiser.model_copy(update={"steps": 2})})
    result = annotated(visits, courses, TimeCourseFlow.fit(courses.read(), short))
    of_a = (visits.obs["donor"] == "A").to_numpy()
    assert np.isfinite(result.obsm["velocity_flow"][of_a]).all()
    assert np.isnan(result.obsm["velocity_flow"][~of_a]).all()
    assert "trajectory" not in result.obsm
    with pytest.raises(InputError, match="is not the one that the courses were made from"):
        annotated(visits[:5], courses, TimeCourseFlow.fit(courses.read(), short))


def test_directions_in_an_embedding_are_those_of_the_velocities() -> None:
    """Where the embedding is the plane itself, embedded velocities point where velocities do."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(600, 2, generator=generator).numpy()
    angles = 2 * np.pi * torch.rand(600, generator=generator).numpy()
    velocities = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    drawn = embedded_velocity(points, velocities, points)
    inner = np.all(np.abs(points - 0.5) < 0.4, axis=1)  # at the border there are neighbours on one side only
    cosines = (drawn * velocities).sum(axis=1) / np.linalg.norm(drawn, axis=1)
    assert np.median(cosines[inner]) > 0.95
    with pytest.raises(InputError, match="give those of the same cells"):
        embedded_velocity(points, velocities[:5], points)
