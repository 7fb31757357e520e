"""From AnnData to AnnData through time: populations between visits, in the features that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from helicell.cells.preprocessing import Preprocessing
from helicell.cells.tables import build_anndata
from helicell.cells.timecourse.courses import Course, Courses, TimeColumns, read_courses
from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.manifest import installed_versions

if TYPE_CHECKING:
    from anndata import AnnData

    from helicell.cells.timecourse.flow import TimeCourseFlow

MODEL_SPACE, KEY = "X_flow", "helicell"


def interpolate(
    model: TimeCourseFlow,
    cells: Courses | str | Path,
    times: Sequence[float],
    *,
    donors: Sequence[str] | None = None,
    transport: float = 0.0,
    count: int | None = None,
    seed: int = 0,
    facts: Mapping[str, str] | None = None,
) -> AnnData:
    """Return what populations were at times at which nobody looked.

    Parameters
    ----------
    model
        The model, with the columns and the preprocessing that it was trained with.
    cells
        The visits, or a file of them. Courses that a time is not within are left out.
    times
        The times.
    donors
        Only these; all unless given.
    transport
        Share of the cells that come from linear transport; see `TimeCourseFlow.interpolate`.
    count
        Cells of each population; as many as the larger of the two visits around it unless given.
    seed
        Of draws.
    facts
        More to say of where the cells are from, such as the checksum of the model.

    Returns
    -------
    anndata.AnnData
        `obs` has the columns that tell courses apart and the time, `obsm["X_flow"]` the model's space,
        `uns["helicell"]` where the cells are from.

    Raises
    ------
    InputError
        If the model knows no columns, a donor is unknown, or a time is within no course.
    """
    columns, steps = table_parts(model)
    courses = read_courses(cells, columns) if isinstance(cells, str | Path) else cells
    for donor in donors or ():
        if donor not in courses.donors:
            raise unknown_option("donor", donor, courses.donors)
    chosen = [course for course in courses.read(steps) if donors is None or course.key.donor in donors]
    parts, frames = [], []
    for time in times:
        within = [course for course in chosen if course.times[0] <= time <= course.times[-1]]
        if not within:
            message = f"the time {time:g} is within none of the {len(chosen)} courses; give one between their visits"
            raise InputError(message)
        for course in within:
            parts.append(model.interpolate(course, time, transport=transport, count=count, seed=seed))
            frames.append(pd.DataFrame(_labels(course, time, columns), index=range(len(parts[-1]))))
    points = torch.cat(parts).numpy()
    about = {"times": " ".join(f"{time:g}" for time in times), "seed": str(seed), "transport": f"{transport:g}"}
    about |= installed_versions() | dict(facts or {})
    return build_anndata(
        np.asarray(steps.inverse(points), dtype=np.float32),
        features=steps.kept_features,
        obs=pd.concat(frames, ignore_index=True),
        obsm={MODEL_SPACE: points},
        uns={KEY: about},
    )


def table_parts(model: TimeCourseFlow) -> tuple[TimeColumns, Preprocessing]:
    """Return columns and preprocessing of a model.

    Raises
    ------
    InputError
        If it has none.
    """
    if model.columns is None or model.preprocessing is None:
        message = (
            "the model was trained on courses without a table; give columns and preprocessing to TimeCourseFlow.fit, "
            "or train with `helicell cells course`"
        )
        raise InputError(message)
    return model.columns, model.preprocessing


def _labels(course: Course, time: float, columns: TimeColumns) -> dict[str, object]:
    labels: dict[str, object] = {columns.donor: course.key.donor, columns.time: time}
    if columns.condition is not None:
        labels[columns.condition] = course.key.condition
    if columns.cell_type is not None:
        labels[columns.cell_type] = course.key.cell_type
    return labels
