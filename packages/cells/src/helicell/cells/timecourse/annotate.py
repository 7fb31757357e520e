"""What a flow through time says of the cells of an AnnData object, where scanpy and scvelo look for it.

`annotated` returns a copy with positions, velocities, growth and trajectories; `embedded_velocity` draws velocities in
an embedding such as a UMAP. Put it into `obsm["velocity_umap"]`, and scvelo's plots of velocities find it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from helicell.cells.preprocessing import Preprocessing
from helicell.cells.timecourse.courses import Courses
from helicell.core.errors import InputError, unknown_option

if TYPE_CHECKING:
    from anndata import AnnData

    from helicell.cells.timecourse.flow import TimeCourseFlow

# Velocities of measurements are differences over a step of this share of a coordinate's spread.
STEP = 0.01
# How sharply neighbours in the direction of a velocity are preferred, as in scvelo.
SHARPNESS = 10.0


def annotated(
    adata: AnnData,
    courses: Courses,
    model: TimeCourseFlow,
    *,
    preprocessing: Preprocessing | None = None,
    times: Sequence[float] = (),
) -> AnnData:
    """Return a copy of an AnnData object with what a model says of its cells.

    Parameters
    ----------
    adata
        What `courses` was made from; it is not changed.
    courses
        Its populations, all or some.
    model
        Trained on courses in the space of `preprocessing`.
    preprocessing
        From measurements to that space; none unless given.
    times
        Times in order for the trajectories: every cell is followed from its own time through those that lie after it.

    Returns
    -------
    anndata.AnnData
        With `obsm["X_flow"]`, positions in the model's space; `obsm["velocity_flow"]`, their velocities per unit of
        time; `layers["velocity"]` and `layers["Ms"]`, the same for measurements, with `var["velocity_genes"]` for those
        that are modelled; `obs["growth"]`, growth per unit of time; and, with `times`, `obsm["trajectory"]`, the
        positions at all times side by side, whose times `uns["trajectory"]` tells. Cells of no course, and times before
        a cell's own, hold NaN.

    Raises
    ------
    InputError
        If the object has other cells than the courses, or the model other features.
    """
    result = adata.to_memory() if adata.isbacked else adata.copy()
    steps = preprocessing or Preprocessing.identity(courses.features)
    if courses.used_rows()[-1] >= adata.n_obs or not set(steps.kept_features) <= set(adata.var_names):
        message = "the AnnData object is not the one that the courses were made from: cells or features are missing"
        raise InputError(message)
    size = (adata.n_obs, model.network.features)
    positions, velocities = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    growth = np.full(adata.n_obs, np.nan, np.float32)
    trajectories = np.full((adata.n_obs, len(times), size[1]), np.nan, np.float32)
    for course in courses.read(steps):
        for time, visit in zip(course.times, course.visits, strict=True):
            rows = courses.rows(replace(course.key, time=time))
            positions[rows] = visit.numpy()
            velocities[rows] = model.velocity(visit, course, time).numpy()
            growth[rows] = model.growth(visit, course, time).numpy()
            later = [number for number, other in enumerate(times) if other > time]
            if later:
                moved = model.follow(visit, course, [time, *(times[number] for number in later)])
                trajectories[rows[:, None], np.array(later)] = moved.states[1:].transpose(0, 1).numpy()
            for number in (number for number, other in enumerate(times) if other == time):
                trajectories[rows, number] = visit.numpy()
    result.obsm["X_flow"], result.obsm["velocity_flow"] = positions, velocities
    result.obs["growth"] = growth
    columns = result.var_names.get_indexer(list(steps.kept_features))
    result.layers["velocity"] = np.zeros(result.shape, np.float32)
    result.layers["velocity"][:, columns] = _measured(positions, velocities, steps)
    result.layers["Ms"] = np.asarray(result.X.toarray() if hasattr(result.X, "toarray") else result.X, np.float32)
    result.var["velocity_genes"] = np.isin(np.arange(result.n_vars), columns)
    if len(times):
        result.obsm["trajectory"] = trajectories.reshape(adata.n_obs, -1)
        result.uns["trajectory"] = {"times": np.asarray(times, dtype=float), "dimensions": size[1]}
    return result


def followed(
    adata: AnnData, model: TimeCourseFlow, *, times: Sequence[float] = (), embedding: str | None = None
) -> AnnData:
    """Return `annotated` with the columns and the preprocessing that the model was trained with.

    Parameters
    ----------
    adata, model, times
        As there.
    embedding
        Of the cells, such as "umap" for `obsm["X_umap"]`; velocities are drawn in it as `obsm["velocity_umap"]`.

    Raises
    ------
    InputError
        As there, or if the model knows no columns, or there is no such embedding.
    """
    from helicell.cells.timecourse.predicting import table_parts

    if embedding is not None and f"X_{embedding}" not in adata.obsm:
        raise unknown_option("embedding", embedding, [name.removeprefix("X_") for name in adata.obsm])
    columns, preprocessing = table_parts(model)
    courses = Courses.from_anndata(adata, columns)
    result = annotated(adata, courses, model, preprocessing=preprocessing, times=times)
    if embedding is not None:
        result.obsm[f"velocity_{embedding}"] = embedded_velocity(
            result.obsm["X_flow"], result.obsm["velocity_flow"], np.asarray(result.obsm[f"X_{embedding}"])
        )
    return result


def embedded_velocity(
    positions: NDArray[np.floating],
    velocities: NDArray[np.floating],
    embedding: NDArray[np.floating],
    *,
    neighbours: int = 30,
) -> NDArray[np.float32]:
    """Return velocities in an embedding: which of its neighbours a cell heads for.

    Parameters
    ----------
    positions, velocities
        In the model's space, shape [cells, dimensions].
    embedding
        Of the same cells, shape [cells, axes].
    neighbours
        How many nearest cells are looked at.

    Returns
    -------
    numpy.ndarray
        Shape [cells, axes]. Only directions and relative lengths mean anything.

    References
    ----------
    La Manno and others, RNA velocity of single cells, Nature 560 (2018) 494-498; Bergen and others, Generalizing RNA
    velocity to transient cell states, Nature Biotechnology 38 (2020) 1408-1414.
    """
    if not len(positions) == len(velocities) == len(embedding):
        message = (
            f"there are {len(positions)} positions, {len(velocities)} velocities and {len(embedding)} embedded cells; "
            "give those of the same cells"
        )
        raise InputError(message)
    from scipy.spatial import cKDTree

    count = min(neighbours, len(positions) - 1)
    _, near = cKDTree(positions).query(positions, k=count + 1)
    near = near[:, 1:]
    offsets = positions[near] - positions[:, None]
    lengths = np.linalg.norm(offsets, axis=2) * np.linalg.norm(velocities, axis=1)[:, None]
    cosines = (offsets * velocities[:, None]).sum(axis=2) / np.maximum(lengths, 1e-12)
    weights = np.exp(SHARPNESS * (cosines - cosines.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    steps = embedding[near] - embedding[:, None]
    steps = steps / np.maximum(np.linalg.norm(steps, axis=2, keepdims=True), 1e-12)
    # Against neighbours at random, so that where most of them lie does not count.
    directions = ((weights - 1 / count)[..., None] * steps).sum(axis=1)
    return np.asarray(directions * np.linalg.norm(velocities, axis=1)[:, None], dtype=np.float32)


def _measured(
    positions: NDArray[np.float32], velocities: NDArray[np.float32], steps: Preprocessing
) -> NDArray[np.float32]:
    """Return velocities of the measurements, by a difference over a small step."""
    fastest = float(np.nanmax(np.abs(velocities))) if np.isfinite(velocities).any() else 0.0
    step = STEP / max(fastest, 1e-12)
    ahead, behind = (steps.inverse(positions + sign * step * velocities) for sign in (1, -1))
    return (ahead - behind) / (2 * step)
