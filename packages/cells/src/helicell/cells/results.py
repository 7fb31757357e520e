"""Predicted cells beside the data they are about: what the commands `evaluate` and `report` work on.

`read_results` finds the populations of files of predictions in the data, brings both into the space of the model, and
takes the training populations, whose shifts are the baselines, from what the predictions say of their model.
`evaluate_results` measures them: distances in the model's space, scores of single features in the features themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from helicell.cells.baselines import StoredPrediction, fit_baselines
from helicell.cells.columns import Columns
from helicell.cells.evaluation.evaluating import CELLS, Evaluation, evaluate_responses
from helicell.cells.evaluation.measures import FEATURE_SCORES, MEASURES
from helicell.cells.populations import Populations, group_rows, read_populations
from helicell.cells.predicting import MODEL_SPACE
from helicell.cells.preprocessing import Preprocessing, PreprocessingSettings
from helicell.cells.provenance import Provenance
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.tables import Table, read_anndata
from helicell.core.errors import InputError
from helicell.core.runs.files import sha256

if TYPE_CHECKING:
    from anndata import AnnData

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Space:
    """Populations in one set of coordinates.

    Attributes
    ----------
    train, held_out
        Real cells: what the model was trained on, and what was predicted.
    predicted
        The predicted cells of each held-out population.
    """

    train: Sequence[Response]
    held_out: Sequence[Response]
    predicted: Mapping[PopulationKey, Tensor]


@dataclass(frozen=True, slots=True)
class Results:
    """Predictions with everything that they are held against.

    Attributes
    ----------
    model_space
        All cells as the model sees them.
    feature_space
        The same with a coordinate for each feature; None where the model's coordinates are the features.
    features
        Names of the features.
    preprocessing
        From measurements to the model's space.
    provenance
        What the predictions say of their model.
    facts
        Files and checksums.
    """

    model_space: Space
    feature_space: Space | None
    features: tuple[str, ...]
    preprocessing: Preprocessing
    provenance: Provenance
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Predictions:
    """A file of predicted cells, and the rows of its populations."""

    name: str
    adata: AnnData
    rows: Mapping[PopulationKey, NDArray[np.int64]]


def read_results(
    predicted: Sequence[str | Path],
    reference: str | Path,
    *,
    columns: Columns | None = None,
    preprocessing: Preprocessing | PreprocessingSettings | None = None,
    minimum_cells: int | None = None,
) -> Results:
    """Read predicted cells and the data that they are about.

    Parameters
    ----------
    predicted
        Files of cells that `helicell cells predict` wrote, such as one for each condition, or any .h5ad or .zarr with
        the same columns and features.
    reference
        The data: controls and treated cells of the predicted populations and of those the model was trained on.
    columns
        What tells populations apart; as the predictions say unless given.
    preprocessing
        That of the model, or settings to be fitted to the training populations; as the predictions say unless given.
    minimum_cells
        Leave out populations with fewer control or treated cells.

    Raises
    ------
    InputError
        If a file cannot be read, a column or feature is missing, or predictions and data have no population in common.
    """
    opened = {str(path): read_anndata(path) for path in predicted}
    provenance = _provenance(
        {name: Provenance.from_uns(adata.uns, name=name) for name, adata in opened.items()}, columns
    )
    columns = provenance.columns
    populations = read_populations(reference, columns, minimum_cells=minimum_cells)
    files = [_Predictions(name, adata, _rows_of(adata, columns, name)) for name, adata in opened.items()]
    _check_once(files)
    train, held_out = _split(populations, files, provenance)
    fitted = _fitted(preprocessing, provenance, train)
    if fitted.features != populations.features:
        columns = columns.model_copy(update={"features": fitted.features})
        populations = read_populations(reference, columns, minimum_cells=minimum_cells)
        train, held_out = _split(populations, files, provenance)
    cells = {key: some for file in files for key, some in _in_model_space(file, fitted).items()}
    in_features = None
    if fitted.loadings is not None:
        loadings = fitted.loadings
        real = replace(fitted, loadings=None, centre=np.zeros(len(loadings)), spread=np.ones(len(loadings)))
        decoded = {
            key: (some * fitted.spread + fitted.centre) @ loadings.T + fitted.offset for key, some in cells.items()
        }
        in_features = _space(train, held_out, real, decoded)
    facts = dict(provenance.facts)
    facts |= {f"SHA-256 of {Path(path).name}": _checksum(path) for path in (*predicted, reference)}
    return Results(_space(train, held_out, fitted, cells), in_features, fitted.kept_features, fitted, provenance, facts)


def evaluate_results(
    results: Results,
    *,
    cells: int = CELLS,
    seeds: Sequence[int] = (0,),
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure predictions beside all baselines and the floor.

    Parameters and errors are those of `evaluation.evaluate_responses`.
    """
    spaces: list[tuple[Space, Sequence[str]]] = [(results.model_space, tuple(MEASURES))]
    if results.feature_space is not None:
        distances = tuple(name for name in MEASURES if name not in FEATURE_SCORES)
        spaces = [(results.model_space, distances), (results.feature_space, FEATURE_SCORES)]
    parts = [
        evaluate_responses(
            [StoredPrediction(space.predicted), *fit_baselines(space.train)],
            space.held_out,
            cells=cells,
            measures=measures,
            seeds=seeds,
            facts={**results.facts, "Training populations": str(len(space.train))},
            advance=advance,
        )
        for space, measures in spaces
    ]
    return parts[0] if len(parts) == 1 else parts[0].beside(parts[1])


def _provenance(found: Mapping[str, Provenance | None], columns: Columns | None) -> Provenance:
    """Return what all files of predictions say, with the columns that were given in place of theirs."""
    if not found:
        message = "there are no predictions to evaluate; give one file or more"
        raise InputError(message)
    (first, said), *others = found.items()
    for name, other in others:
        if (said and said.trained_on) != (other and other.trained_on):
            message = f"{first} and {name} are predictions of differently trained models; evaluate them one by one"
            raise InputError(message)
    if columns is None and said is None:
        message = f"{first} does not say which columns tell populations apart; give --donor, --condition and --control"
        raise InputError(message)
    said = said or Provenance(columns)  # type: ignore[arg-type]
    # Of files for different conditions, only what is true of all.
    common = {
        name: value
        for name, value in said.facts.items()
        if all(other is None or other.facts.get(name) == value for _, other in others)
    }
    return replace(said, columns=columns or said.columns, facts=common)


def _rows_of(adata: AnnData, columns: Columns, name: str) -> dict[PopulationKey, NDArray[np.int64]]:
    """Return the rows of every predicted population."""
    table = Table.from_anndata(adata, name=name)
    if not len(table):
        message = f"{name} holds no cells; predict some"
        raise InputError(message)
    given = {
        "donor": table.text(columns.donor),
        "condition": table.text(columns.condition),
        "cell_type": None if columns.cell_type is None else table.text(columns.cell_type),
        "dose": None if columns.dose is None else table.numbers(columns.dose),
        "time": None if columns.time is None else table.numbers(columns.time),
    }
    labels = {part: values for part, values in given.items() if values is not None}
    found = {}
    for rows in group_rows(list(labels.values()), np.flatnonzero(labels["condition"] != columns.control)):
        key = PopulationKey(**{part: values[rows[0]].item() for part, values in labels.items()})
        found[key] = rows
    return found


def _check_once(files: Sequence[_Predictions]) -> None:
    seen: dict[PopulationKey, str] = {}
    for file in files:
        for key in file.rows:
            if key in seen:
                message = f"{key} is predicted in {seen[key]} and in {file.name}; give every population once"
                raise InputError(message)
            seen[key] = file.name


def _split(
    populations: Populations, files: Sequence[_Predictions], provenance: Provenance
) -> tuple[Populations, Populations]:
    """Return the populations of the data that the model was trained on, and those that were predicted."""
    rows = [key for file in files for key in file.rows]
    known = [key for key in populations.keys if key in rows]
    if not known:
        some = str(rows[0]) if rows else f"only {provenance.columns.control}"
        message = (
            f"no population of {files[0].name} ({some}) has treated cells in {populations.name} "
            f"({populations.keys[0]} and {len(populations) - 1} more); give the data that the predictions are about"
        )
        raise InputError(message)
    for key in rows:
        if key not in known:
            log.info("left out %s: there are no treated cells of it in %s", key, populations.name)
    seen = set(provenance.trained_on) or set(populations.keys) - set(known)
    if not seen & set(populations.keys):
        message = (
            f"{populations.name} holds no population that the model was trained on, whose shifts are the baselines; "
            "give all of the data as the reference"
        )
        raise InputError(message)
    both = [key for key in known if key in provenance.trained_on]
    if both:
        log.warning("the model was trained on %s: what is predicted there is no test of it", ", ".join(map(str, both)))
    return populations.where(lambda key: key in seen), populations.where(lambda key: key in rows)


def _fitted(
    preprocessing: Preprocessing | PreprocessingSettings | None, provenance: Provenance, train: Populations
) -> Preprocessing:
    if isinstance(preprocessing, Preprocessing):
        return preprocessing
    return Preprocessing.fit(preprocessing or provenance.preprocessing or PreprocessingSettings(), train)


def _in_model_space(file: _Predictions, fitted: Preprocessing) -> dict[PopulationKey, NDArray[np.float32]]:
    """Return the predicted cells in the model's space: as they were stored, or transformed again."""
    if MODEL_SPACE in file.adata.obsm:
        cells = np.asarray(file.adata.obsm[MODEL_SPACE], dtype=np.float32)
        if cells.shape[1] != fitted.dimensions:
            message = (
                f"obsm[{MODEL_SPACE!r}] of {file.name} has {cells.shape[1]} dimensions, the model's space has "
                f"{fitted.dimensions}; evaluate with the model that predicted"
            )
            raise InputError(message)
    else:
        table = Table.from_anndata(file.adata, features=fitted.features, name=file.name)
        cells = fitted.transform(table.matrix())
    return {key: cells[rows] for key, rows in file.rows.items()}


def _space(
    train: Populations,
    held_out: Populations,
    transform: Preprocessing,
    cells: Mapping[PopulationKey, NDArray[np.floating]],
) -> Space:
    predicted = {key: torch.from_numpy(cells[key].astype(np.float32)) for key in held_out.keys}
    return Space(train.responses(transform), held_out.responses(transform), predicted)


def _checksum(path: str | Path) -> str:
    """The beginning of a file's checksum; a zarr store, being a folder, has none."""
    return f"{sha256(path)[:16]}..." if Path(path).is_file() else "none (a folder)"
