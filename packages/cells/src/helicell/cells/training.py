"""Training a model of responses from a table of cells into a run folder, with its test on held-out populations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from helicell.cells.baselines import fit_baselines
from helicell.cells.calibration import calibrate, fold_steps, folds_of
from helicell.cells.evaluation import Evaluation, evaluate_responses
from helicell.cells.flow import PopulationFlow
from helicell.cells.objective import PopulationObjective
from helicell.cells.populations import Populations, read_populations
from helicell.cells.predicting import read_embeddings
from helicell.cells.preprocessing import Preprocessing
from helicell.cells.responses import Response
from helicell.cells.settings import TrainingSettings
from helicell.cells.splits import parse_holdout, split
from helicell.core.console import progress_bar
from helicell.core.runs.files import sha256
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.training.module import FlowTraining

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = "model.safetensors"


@dataclass(frozen=True, slots=True)
class ModelPredictor:
    """A model as evaluation takes it.

    Attributes
    ----------
    model
        The model.
    name
        What tables call it.
    seed
        Of prediction.
    """

    model: PopulationFlow
    name: str = "model"
    seed: int = 0

    def predict(self, response: Response) -> Tensor:
        """Return what the control cells of a response become."""
        return self.model.transport(response.control, response.key, seed=self.seed)


def train_to_folder(
    settings: TrainingSettings,
    data: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    embeddings: Mapping[str, Tensor] | str | Path | None = None,
    **options: Any,
) -> Path:
    """Train into a run folder and return the model file in it.

    The folder also gets `metrics.json` and `metrics.csv`: the model on the held-out populations, beside the baselines.

    Parameters
    ----------
    settings
        Everything that determines the run.
    data
        The table of cells, .h5ad or .zarr.
    out
        The folder; absent or empty, or with `resume` that of an interrupted run with the same settings.
    resume
        Go on from the last checkpoint.
    progress
        Show a progress bar.
    embeddings
        Of treatments, or a CSV file of them; see `PopulationFlow.fit` and `predicting.read_embeddings`.
    **options
        Of Lightning's `Trainer`.

    Raises
    ------
    InputError
        If settings, data or folder do not fit.
    """
    from helicell.core.training.fit import fit

    inputs = {Path(data).name: _checksum(data)}
    if isinstance(embeddings, str | Path):
        inputs[Path(embeddings).name] = _checksum(embeddings)
        embeddings = read_embeddings(embeddings)
    train, held_out = read_split(settings, data)
    preprocessing = Preprocessing.fit(settings.preprocessing, train)
    if held_out is not None:
        for cells in held_out.chunks(held_out.used_rows()):
            preprocessing.transform(cells)  # which finds what is no measurement before anything is trained
    model, batches = PopulationFlow.prepare(
        train, settings.model, preprocessing=preprocessing, embeddings=embeddings, seed=settings.seed
    )
    # Claimed last, so that data which does not fit leaves no folder behind.
    folder = RunFolder.create(out, settings, resume=resume, inputs=inputs)
    objective = PopulationObjective(model.network).train().requires_grad_()
    module = FlowTraining(objective, settings.model.optimiser, seed=settings.seed)
    fit(module, batches, folder=folder.path, resume=resume, progress=progress, **options)
    model.network.eval().requires_grad_(requires_grad=False)
    with progress_bar("Calibration", len(folds_of(model)) * fold_steps(model), quiet=not progress) as advance:
        calibrate(model, batches, seed=settings.seed, report=lambda *_: advance(1))
    model.network.cpu()
    model.card |= {
        "title": "Responses of cell populations",
        "data": {
            "sha256": inputs[Path(data).name],
            "populations": len(train),
            "held out": len(held_out) if held_out else 0,
        },
        "training": settings.to_mapping(),
    }
    path = folder.path / MODEL
    outputs = [MODEL]
    if held_out is not None:
        evaluation = evaluate(model, train, held_out, settings)
        evaluation.write(folder.path / METRICS_NAME)
        model.card["metrics"] = json.loads(json.dumps(evaluation.summary()))
        outputs += [METRICS_NAME, Path(METRICS_NAME).with_suffix(".csv").name]
    else:
        folder.write_metrics({})
        outputs.append(METRICS_NAME)
    model.save(path)
    folder.finish(
        Manifest(
            "cells train",
            seed=settings.seed,
            inputs=inputs,
            outputs=checksums(folder.path, outputs),
        )
    )
    return path


def read_split(settings: TrainingSettings, data: str | Path) -> tuple[Populations, Populations | None]:
    """Return the training and the held-out populations of a table; None where nothing is held out."""
    populations = read_populations(data, settings.columns, minimum_cells=settings.minimum_cells)
    held_out = [entry for text in settings.holdout for entry in parse_holdout(text)]
    return split(populations, held_out) if held_out else (populations, None)


def evaluate(
    model: PopulationFlow, train: Populations, held_out: Populations, settings: TrainingSettings
) -> Evaluation:
    """Return the model's measures on held-out populations beside those of the baselines."""
    preprocessing = cast(Preprocessing, model.preprocessing)
    return evaluate_responses(
        [ModelPredictor(model, seed=settings.seed), *fit_baselines(train.responses(preprocessing))],
        held_out.responses(preprocessing),
        cells=settings.evaluation_cells,
        seeds=(settings.seed,),
        facts={"Training populations": str(len(train))},
    )


def _checksum(path: str | Path) -> str:
    return sha256(path) if Path(path).is_file() else "a folder"
