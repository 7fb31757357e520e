"""Training a flow through time from a table of cells into a run folder, with its test on visits that are held out."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from helicell.cells.populations import MINIMUM_CELLS
from helicell.cells.preprocessing import Preprocessing, PreprocessingSettings
from helicell.cells.splits import parse_holdout
from helicell.cells.timecourse.courses import TimeColumns, read_courses
from helicell.cells.timecourse.flow import TimeCourseFlow
from helicell.cells.timecourse.settings import TimeFlowSettings
from helicell.cells.timecourse.visits import evaluate_visits, hidden_visits, split_visits
from helicell.core.console import progress_bar
from helicell.core.runs.files import sha256
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.runs.settings import Settings

MODEL = "model.safetensors"


class TimeTrainingSettings(Settings):
    """Everything that determines the training of a flow through time on a table of cells."""

    seed: int = Field(0, ge=0, description="seed of weights, plans and draws")
    columns: TimeColumns = Field(description="what the columns of the table mean")
    holdout: tuple[str, ...] = Field(
        (), description="visits to test on, such as time=8 or combination=donor:A+time:8; not first or last ones"
    )
    minimum_cells: int = Field(MINIMUM_CELLS, ge=1, description="populations with fewer cells are an error")
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    model: TimeFlowSettings = TimeFlowSettings()
    evaluation_cells: int = Field(500, ge=2, description="cells of a held-out visit that are compared")


def train_to_folder(
    settings: TimeTrainingSettings, data: str | Path, out: str | Path, *, progress: bool = True
) -> Path:
    """Train into a run folder and return the model file in it.

    The folder also gets `metrics.json` and `metrics.csv`: the model on the held-out visits, beside interpolation
    without training.

    Parameters
    ----------
    settings
        Everything that determines the run.
    data
        The table of cells, .h5ad or .zarr.
    out
        The folder; absent or empty.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If settings, data or folder do not fit.
    """
    courses = read_courses(data, settings.columns, minimum_cells=settings.minimum_cells)
    held_out = [entry for text in settings.holdout for entry in parse_holdout(text)]
    seen, hidden = split_visits(courses, held_out) if held_out else (courses, None)
    preprocessing = Preprocessing.fit(settings.preprocessing, seen)
    train = seen.read(preprocessing)
    visits = hidden_visits(train, hidden, preprocessing) if hidden is not None else []
    folder = RunFolder.create(out, settings)  # claimed last, so that data which does not fit leaves no folder behind
    with progress_bar("Training", settings.model.optimiser.steps, quiet=not progress) as advance:
        model = TimeCourseFlow.fit(
            train,
            settings.model,
            preprocessing=preprocessing,
            columns=settings.columns,
            seed=settings.seed,
            report=lambda *_: advance(1),
        )
    checksum = sha256(data) if Path(data).is_file() else "a folder"
    model.card |= {
        "title": "Time courses of cell populations",
        "data": {"sha256": checksum, "visits": len(seen), "held out": len(visits)},
        "training": settings.to_mapping(),
    }
    outputs = [MODEL, METRICS_NAME]
    if visits:
        evaluation = evaluate_visits(model, visits, cells=settings.evaluation_cells, seeds=(settings.seed,))
        evaluation.write(folder.path / METRICS_NAME)
        model.card["metrics"] = json.loads(json.dumps(evaluation.summary()))
        outputs.append(Path(METRICS_NAME).with_suffix(".csv").name)
    else:
        folder.write_metrics({})
    path = folder.path / MODEL
    model.save(path)
    manifest = Manifest(
        "cells course",
        seed=settings.seed,
        inputs={Path(data).name: checksum},
        outputs=checksums(folder.path, outputs),
    )
    folder.finish(manifest)
    return path
