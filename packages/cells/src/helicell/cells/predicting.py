"""From AnnData to AnnData: control cells in, predicted cells out, with where they are from.

Measurements are read, brought into the model's space, moved and brought back a block of cells at a time. `move` holds
the cells in the model's space; `predict` returns their measured features too, `predict_to_file` writes these block by
block, so that a million cells of thousands of genes need no more than their few coordinates in the model's space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from helicell.cells.columns import Columns
from helicell.cells.conditions import parse_condition
from helicell.cells.populations import MINIMUM_CELLS, group_rows
from helicell.cells.preprocessing import Preprocessing
from helicell.cells.provenance import Provenance
from helicell.cells.responses import PopulationKey
from helicell.cells.tables import CHUNK_ROWS, Table, build_anndata, check_table_path, open_table, write_blocks
from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.manifest import installed_versions

if TYPE_CHECKING:
    from anndata import AnnData

    from helicell.cells.flow import PopulationFlow

# Where the cells in the model's space, and what becomes of a mass of one, are kept.
MODEL_SPACE, GROWTH = "X_helicell", "growth"


@dataclass(frozen=True, slots=True)
class Moved:
    """Predicted cells in the model's space, with all that is said of them.

    Attributes
    ----------
    cells
        Shape [cells, dimensions].
    obs, uns
        Labels, and where the cells are from.
    preprocessing
        Leads back to the measured features.
    """

    cells: NDArray[np.float32]
    obs: pd.DataFrame
    uns: Mapping[str, str]
    preprocessing: Preprocessing

    def measured(self) -> Iterator[NDArray[np.float32]]:
        """Yield the measured features of the cells, a block of them at a time."""
        for start in range(0, len(self.cells), CHUNK_ROWS):
            yield self.preprocessing.inverse(self.cells[start : start + CHUNK_ROWS])

    def anndata(self, values: NDArray[np.float32] | None) -> AnnData:
        """Return the AnnData object with these values of the measured features, or without any."""
        return build_anndata(
            values,
            features=self.preprocessing.kept_features,
            obs=self.obs,
            obsm={MODEL_SPACE: self.cells},
            uns=self.uns,
        )


def predict(
    model: PopulationFlow, control: AnnData | str | Path, condition: str, *, seed: int = 0, **options: Any
) -> AnnData:
    """Predict treated cells; see `PopulationFlow.predict`, and `move` for all options."""
    moved = move(model, control, condition, seed=seed, **options)
    values = np.empty((len(moved.cells), len(moved.preprocessing.kept)), dtype=np.float32)
    begin = 0
    for block in moved.measured():
        values[begin : begin + len(block)] = block
        begin += len(block)
    return moved.anndata(values)


def predict_to_file(
    model: PopulationFlow,
    control: AnnData | str | Path,
    condition: str,
    out: str | Path,
    *,
    seed: int = 0,
    **options: Any,
) -> tuple[int, int]:
    """Predict treated cells into a file: what `predict` returns, but the measured features are never all in memory.

    Parameters
    ----------
    out
        The file to write, .h5ad or .zarr.
    model, control, condition, seed, **options
        As for `move`.

    Returns
    -------
    tuple of int
        How many cells and features were written.

    Raises
    ------
    InputError
        As `move` and `tables.write_anndata`.
    """
    check_table_path(out)
    moved = move(model, control, condition, seed=seed, **options)
    without = moved.anndata(None)
    write_blocks(out, without, moved.measured())
    return without.shape


def move(
    model: PopulationFlow,
    control: AnnData | str | Path,
    condition: str,
    *,
    dose: float | None = None,
    embeddings: Mapping[str, Tensor] | None = None,
    steps: int | None = None,
    guidance: float = 1.0,
    noise: float = 0.0,
    seed: int = 0,
    donors: Sequence[str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Moved:
    """Predict treated cells in the model's space.

    Parameters
    ----------
    model
        The model.
    control, condition, dose, embeddings, steps, guidance, noise, seed
        As for `PopulationFlow.predict`.
    donors
        Only these; all unless given.
    facts
        More to say of where the cells are from, such as the checksum of the model.
    """
    columns = _columns(model)
    preprocessing = _preprocessing(model, control)
    table = _table(control, columns, preprocessing)
    rows = _control_rows(table, columns, donors)
    cells, growth = _transformed(table, rows, preprocessing), np.empty(len(rows), dtype=np.float32)
    options: dict[str, Any] = {"embeddings": embeddings, "seed": seed}
    for key, members in _populations(table, rows, columns, condition, dose):
        before = torch.from_numpy(cells[members])
        growth[members] = model.growth(before, key, **options).numpy() if model.network.growth is not None else 1
        # The populations are apart, so each takes the place of its control cells.
        cells[members] = model.transport(before, key, steps=steps, guidance=guidance, noise=noise, **options).numpy()
    obs = table.obs.iloc[rows].copy()
    obs[columns.condition] = pd.Categorical([condition] * len(rows))
    if dose is not None and columns.dose is not None:
        obs[columns.dose] = dose
    if model.network.growth is not None:
        obs[GROWTH] = growth
    about = {"condition": condition, "seed": str(seed), "steps": str(steps or model.settings.steps)}
    about |= {"guidance": f"{guidance:g}", "noise": f"{noise:g}", "share of the flow": f"{model.share:.3f}"}
    about |= installed_versions() | dict(facts or {})
    provenance = Provenance(columns, model.trained_on, preprocessing.settings, about)
    return Moved(cells, obs, provenance.to_uns(), preprocessing)


def _columns(model: PopulationFlow) -> Columns:
    if model.columns is not None:
        return model.columns
    # A model of bare responses knows no table; these names are then what its predictions are told apart by.
    return Columns(donor="donor", condition="condition", control="control")


def _preprocessing(model: PopulationFlow, control: AnnData | str | Path) -> Preprocessing:
    if model.preprocessing is not None:
        return model.preprocessing
    names = [] if isinstance(control, str | Path) else [str(name) for name in control.var_names]
    if len(names) != model.network.features:
        message = (
            f"the model was trained on responses of {model.network.features} features without names, the cells have "
            f"{len(names) or 'unknown'} features; give AnnData of just those features, or use transport"
        )
        raise InputError(message)
    return Preprocessing.identity(names)


def _table(control: AnnData | str | Path, columns: Columns, preprocessing: Preprocessing) -> Table:
    if isinstance(control, str | Path):
        return open_table(control, layer=columns.layer, features=preprocessing.features)
    return Table.from_anndata(control, layer=columns.layer, features=preprocessing.features)


def _control_rows(table: Table, columns: Columns, donors: Sequence[str] | None) -> NDArray[np.int64]:
    if columns.condition not in table.obs:
        rows = np.arange(len(table))
    else:
        conditions = table.text(columns.condition)
        rows = np.flatnonzero(conditions == columns.control)
        if not len(rows) and len(table):
            what = f"control condition in the column {columns.condition!r} of {table.name}:"
            raise unknown_option(what, columns.control, sorted(set(conditions.tolist())))
    if donors is not None:
        present = table.text(columns.donor)[rows]
        for donor in donors:
            if donor not in present:
                raise unknown_option("donor", donor, sorted(set(present.tolist())))
        rows = rows[np.isin(present, donors)]
    if not len(rows):
        message = f"{table.name} holds no cells; give control cells"
        raise InputError(message)
    return rows


def _populations(
    table: Table, rows: NDArray[np.int64], columns: Columns, condition: str, dose: float | None
) -> list[tuple[PopulationKey, NDArray[np.int64]]]:
    """Return the key of each population of control cells, and which of the rows are its members."""
    parse_condition(condition)
    has_types = columns.cell_type is not None and columns.cell_type in table.obs
    donors = table.text(columns.donor)[rows] if columns.donor in table.obs else np.full(len(rows), "unknown")
    types = table.text(columns.cell_type)[rows] if has_types else np.full(len(rows), "")  # type: ignore[arg-type]
    found = []
    for members in group_rows([donors, types], np.arange(len(rows))):
        first = members[0]
        cell_type = str(types[first]) if has_types else None
        key = PopulationKey(str(donors[first]), condition, cell_type=cell_type, dose=dose)
        if len(members) < MINIMUM_CELLS:
            message = (
                f"the control population {key.donor}{f' / {cell_type}' if cell_type else ''} of {table.name} has "
                f"{len(members)} cells, too few to tell what it is like; give at least {MINIMUM_CELLS}, or leave it out"
            )
            raise InputError(message)
        found.append((key, members))
    return found


def _transformed(table: Table, rows: NDArray[np.int64], preprocessing: Preprocessing) -> NDArray[np.float32]:
    result = np.empty((len(rows), preprocessing.dimensions), dtype=np.float32)
    for start in range(0, len(rows), CHUNK_ROWS):
        block = slice(start, start + CHUNK_ROWS)
        result[block] = preprocessing.transform(table.matrix(rows[block]))
    return result


def read_embeddings(path: str | Path) -> dict[str, Tensor]:
    """Read vectors of treatments from a CSV file: a row for each, its name first, without a header.

    Raises
    ------
    InputError
        If the file cannot be read or holds anything but numbers after the names.
    """
    try:
        frame = pd.read_csv(path, header=None, index_col=0)
        return {str(name): torch.tensor(row.to_numpy(dtype=np.float32)) for name, row in frame.iterrows()}
    except (OSError, ValueError) as error:
        message = f"cannot read embeddings from {path}: {error}; give a CSV file of a name and numbers in each row"
        raise InputError(message) from error
