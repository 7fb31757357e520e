"""Populations of cells: treated ones by donor, condition and more, each with its matched control.

`Populations` sorts the rows of a table into populations and checks that every treated one has a control of the same
donor and cell type. It reads measurements only when asked (`matrix`), changes nothing, and gives what models learn from
(`responses`). Parts of it, for hold-outs, come from `select` and `splits`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from helicell.cells.columns import Columns
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.tables import Table, build_anndata, open_table
from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.seeds import sample_generator

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Columns", "Populations", "build_anndata", "read_populations"]

logger = logging.getLogger(__name__)

# Below this a population says too little about its distribution: the mean of ten cells has a third of their spread.
MINIMUM_CELLS = 10

# Donor and cell type: what a treated population shares with its control.
ControlKey = tuple[str, str | None]


class Transform(Protocol):
    """What brings measurements into the space that a model works in: `preprocessing.Preprocessing`."""

    def transform(self, values: NDArray[np.floating]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Populations:
    """Treated populations and their controls; made by `from_anndata` or `read_populations`.

    Attributes
    ----------
    columns
        Which columns told them apart.
    keys
        The treated populations, sorted.
    controls
        Rows of the control cells by (donor, cell type).
    """

    columns: Columns
    keys: tuple[PopulationKey, ...]
    controls: Mapping[ControlKey, NDArray[np.int64]]
    _table: Table
    _rows: Mapping[PopulationKey, NDArray[np.int64]]
    _times: NDArray[np.float64] | None = None

    @classmethod
    def from_anndata(cls, adata: AnnData, columns: Columns, *, minimum_cells: int | None = None) -> Populations:
        """Sort the cells of an AnnData object, in memory or backed, sparse or dense; the object is not changed.

        Parameters
        ----------
        adata
            Cells by features.
        columns
            Where labels and measurements are.
        minimum_cells
            Leave out populations with fewer cells than this, treated or control, and say how many. Unless given, one
            with fewer than ten is an error.

        Raises
        ------
        InputError
            If a column, layer or feature is missing, a label is empty, no cell is a control or none is treated, a donor
            has no control, a population is too small, or a measurement is not a finite number.
        """
        table = Table.from_anndata(adata, layer=columns.layer, features=columns.features)
        return _sorted_out(table, columns, minimum_cells)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Populations({self.name!r}, populations={len(self)}, donors={len(self.donors)})"

    def __iter__(self) -> Iterator[PopulationKey]:
        return iter(self.keys)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the measurements."""
        return self._table.features

    @property
    def name(self) -> str:
        """What errors call the table."""
        return self._table.name

    @property
    def donors(self) -> tuple[str, ...]:
        """The donors of the treated populations."""
        return tuple(sorted({key.donor for key in self.keys}))

    @property
    def conditions(self) -> tuple[str, ...]:
        """The treatments, without the control."""
        return tuple(sorted({key.condition for key in self.keys}))

    @property
    def cell_types(self) -> tuple[str, ...]:
        """The cell types, where populations are told apart by them."""
        return tuple(sorted({key.cell_type for key in self.keys if key.cell_type is not None}))

    def rows(self, key: PopulationKey) -> NDArray[np.int64]:
        """Return the rows of the treated cells of a population.

        Raises
        ------
        InputError
            If there is no such population.
        """
        if key not in self._rows:
            names = {str(known): None for known in self.keys}
            raise unknown_option("population", str(key), names)
        return self._rows[key]

    def control_rows(self, key: PopulationKey) -> NDArray[np.int64]:
        """Return the rows of the matched control: same donor and cell type and, where it was taken then, same time."""
        self.rows(key)
        rows = self.controls[key.donor, key.cell_type]
        if self._times is None:
            return rows
        matched = rows[self._times[rows] == key.time]
        return matched if len(matched) else rows

    def used_rows(self) -> NDArray[np.int64]:
        """Return the rows of all cells of these populations, treated and control, each once and in order."""
        parts = [*self._rows.values(), *self.controls.values()]
        return np.unique(np.concatenate(parts))

    def matrix(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Read measurements, shape [rows, features], as they are in the table."""
        return self._table.matrix(rows)

    def chunks(self, rows: ArrayLike) -> Iterator[NDArray[np.float32]]:
        """Read measurements piece by piece, in bounded memory."""
        return self._table.chunks(rows)

    def select(
        self,
        *,
        donors: Sequence[str] | None = None,
        conditions: Sequence[str] | None = None,
        cell_types: Sequence[str] | None = None,
    ) -> Populations:
        """Return the populations of these donors, conditions and cell types, with the controls of those alone.

        Raises
        ------
        InputError
            If a name is unknown, or no population is left.
        """
        wanted = (
            _known("donor", donors, self.donors),
            _known("condition", conditions, self.conditions),
            _known("cell type", cell_types, self.cell_types),
        )
        return self.where(
            lambda key: all(
                names is None or name in names
                for names, name in zip(wanted, (key.donor, key.condition, key.cell_type), strict=True)
            )
        )

    def where(self, keep: Callable[[PopulationKey], bool]) -> Populations:
        """Return the populations whose key fulfils `keep`, with the controls of those alone.

        Raises
        ------
        InputError
            If none does.
        """
        keys = tuple(key for key in self.keys if keep(key))
        if not keys:
            message = f"no population is left of the {len(self)} of {self.name}; choose fewer restrictions"
            raise InputError(message)
        pairs = {(key.donor, key.cell_type) for key in keys}
        controls = {pair: rows for pair, rows in self.controls.items() if pair in pairs}
        return replace(self, keys=keys, controls=controls, _rows={key: self._rows[key] for key in keys})

    def responses(
        self,
        preprocessing: Transform | None = None,
        *,
        cells: int | None = None,
        seed: int = 0,
        minimum_cells: int = 0,
    ) -> list[Response]:
        """Read the populations into memory, in the features that a model works in.

        Parameters
        ----------
        preprocessing
            Applied to all measurements; unless given, they stay as they are.
        cells
            Most cells a population: of larger ones, this many are drawn without repetition. Which ones depends on the
            seed and the population alone, not on the other populations.
        seed
            Of the draw.
        minimum_cells
            Leave out populations with fewer treated or control cells.

        Returns
        -------
        list of Response
            In the order of `keys`. Conditions with the same control share its tensor.
        """
        controls: dict[bytes, torch.Tensor] = {}
        responses = []
        for key in self.keys:
            control_rows, rows = self.control_rows(key), self.rows(key)
            if min(len(control_rows), len(rows)) < minimum_cells:
                continue
            identity = control_rows.tobytes()
            if identity not in controls:
                name = f"{key.donor} / {key.cell_type} / {self.columns.control}"
                controls[identity] = self._read(draw_rows(control_rows, cells, seed, name), preprocessing)
            treated = self._read(draw_rows(rows, cells, seed, str(key)), preprocessing)
            responses.append(Response(key=key, control=controls[identity], treated=treated))
        return responses

    def _read(self, rows: NDArray[np.int64], preprocessing: Transform | None) -> torch.Tensor:
        values = self.matrix(rows)
        return torch.from_numpy(values if preprocessing is None else preprocessing.transform(values))


def read_populations(path: str | Path, columns: Columns, *, minimum_cells: int | None = None) -> Populations:
    """Sort the cells of an h5ad file or zarr store, whose measurements stay on disk until they are needed.

    Parameters and errors are those of `Populations.from_anndata`, and of `tables.open_table` for the file.

    Examples
    --------
    >>> columns = Columns(donor="patient", condition="drug", control="DMSO", cell_type="cell_type")
    >>> populations = read_populations("screen.h5ad", columns, minimum_cells=60)  # doctest: +SKIP
    """
    table = open_table(path, layer=columns.layer, features=columns.features)
    return _sorted_out(table, columns, minimum_cells)


def _sorted_out(table: Table, columns: Columns, minimum_cells: int | None) -> Populations:
    """Sort all cells into populations, and check them."""
    if minimum_cells is not None and minimum_cells < 1:
        message = f"minimum_cells is {minimum_cells}, expected 1 or more"
        raise InputError(message)
    if not len(table):
        message = f"{table.name} holds no cells"
        raise InputError(message)
    donors, conditions = table.text(columns.donor), table.text(columns.condition)
    types = None if columns.cell_type is None else table.text(columns.cell_type)
    doses = None if columns.dose is None else table.numbers(columns.dose)
    times = None if columns.time is None else table.numbers(columns.time)
    control = conditions == columns.control
    _check_controls(table, columns, donors, conditions, control)

    labels = [label for label in (donors, conditions, types, doses, times) if label is not None]
    treated = {
        PopulationKey(
            donor=str(donors[rows[0]]),
            condition=str(conditions[rows[0]]),
            cell_type=None if types is None else str(types[rows[0]]),
            dose=None if doses is None else float(doses[rows[0]]),
            time=None if times is None else float(times[rows[0]]),
        ): rows
        for rows in group_rows(labels, np.flatnonzero(~control))
    }
    labels = [label for label in (donors, types) if label is not None]
    controls: dict[ControlKey, NDArray[np.int64]] = {
        (str(donors[rows[0]]), None if types is None else str(types[rows[0]])): rows
        for rows in group_rows(labels, np.flatnonzero(control))
    }
    keys = _large_enough(table, treated, controls, minimum_cells)
    pairs = {(key.donor, key.cell_type) for key in keys}
    populations = Populations(
        columns=columns,
        keys=keys,
        controls={pair: rows for pair, rows in controls.items() if pair in pairs},
        _table=table,
        _rows={key: treated[key] for key in keys},
        _times=times,
    )
    for _ in populations.chunks(populations.used_rows()):
        pass  # reading checks that every number is finite, before anything is trained on them
    return populations


def _check_controls(
    table: Table,
    columns: Columns,
    donors: NDArray[np.str_],
    conditions: NDArray[np.str_],
    control: NDArray[np.bool_],
) -> None:
    if not control.any():
        what = f"control condition in the column {columns.condition!r} of {table.name}:"
        raise unknown_option(what, columns.control, sorted(set(conditions.tolist())))
    if control.all():
        message = f"all cells of {table.name} are controls ({columns.condition} = {columns.control}); add treated cells"
        raise InputError(message)
    without = sorted(set(donors[~control].tolist()) - set(donors[control].tolist()))
    if without:
        message = (
            f"no control cells ({columns.condition} = {columns.control}) of the donor {', '.join(without)} in "
            f"{table.name}; every treated donor needs some, so add them or drop the donor"
        )
        raise InputError(message)


def _large_enough(
    table: Table,
    treated: Mapping[PopulationKey, NDArray[np.int64]],
    controls: Mapping[ControlKey, NDArray[np.int64]],
    minimum_cells: int | None,
) -> tuple[PopulationKey, ...]:
    """Return the keys with enough cells on both sides; complain of the others or leave them out."""
    least = MINIMUM_CELLS if minimum_cells is None else minimum_cells
    sizes = {key: (len(controls.get((key.donor, key.cell_type), ())), len(rows)) for key, rows in treated.items()}
    small = sorted((key for key, counts in sizes.items() if min(counts) < least), key=sort_key)
    if small:
        counts = sizes[small[0]]
        described = f"{small[0]} ({counts[0]} control and {counts[1]} treated cells)"
        more = f" and {len(small) - 1} more populations" if len(small) > 1 else ""
        if minimum_cells is None or len(small) == len(treated):
            message = (
                f"{described}{more} of {table.name} {'have' if more else 'has'} fewer than {least} cells a side; "
                "give minimum_cells (--minimum-cells) to leave such out or to allow them"
            )
            raise InputError(message)
        logger.info("left out %s%s: fewer than %d cells a side", described, more, least)
    return tuple(sorted(set(treated) - set(small), key=sort_key))


def group_rows(labels: Sequence[NDArray[np.generic]], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows that share all labels, in order."""
    group = np.zeros(len(rows), dtype=np.int64)
    for label in labels:
        codes, names = pd.factorize(label[rows], sort=True)
        # Renumbered after every label, so that numbers stay below the number of rows times names.
        group = np.unique(group * len(names) + codes, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    yield from np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)


def sort_key(key: PopulationKey) -> tuple[object, ...]:
    """Order keys that lack some of their parts."""
    return key.donor, key.cell_type or "", key.condition, key.dose or 0.0, key.time or 0.0


def _known(what: str, given: Sequence[str] | None, known: Sequence[str]) -> Sequence[str] | None:
    for name in given or ():
        if name not in known:
            raise unknown_option(what, name, known)
    return given


def draw_rows(rows: NDArray[np.int64], cells: int | None, seed: int, name: str) -> NDArray[np.int64]:
    """Draw rows without repetition, by a stream that belongs to the population."""
    if cells is None or len(rows) <= cells:
        return rows
    generator = sample_generator(seed, 0, stream=f"cells of {name}")
    return rows[torch.randperm(len(rows), generator=generator)[:cells].sort().values.numpy()]
