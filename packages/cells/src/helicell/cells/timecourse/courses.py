"""Time courses: the populations of a donor at several times, from AnnData.

`Courses` sorts the rows of a table by donor (and condition and cell type, where told) and time; `read` gives them as
`Course`s, in the space that models work in. A visit is held out by `where`, so that nothing is fitted to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import Tensor

from helicell.cells.populations import MINIMUM_CELLS, Transform, draw_rows, group_rows, sort_key
from helicell.cells.responses import PopulationKey
from helicell.cells.tables import Table, open_table
from helicell.core.errors import InputError
from helicell.core.runs.settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData

# The condition of courses that are not told apart by one.
ANY = "all"


class TimeColumns(Settings):
    """Names of the columns of `obs` that say whose a cell is and when it was taken, and what of the table is read."""

    donor: str = Field(description="column of the donor, patient, sample or cell line")
    time: str = Field(description="column of the time, a number")
    condition: str | None = Field(None, description="column of the treatment, to tell courses of a donor apart")
    cell_type: str | None = Field(None, description="column of the cell type, to tell courses of a donor apart")
    layer: str | None = Field(None, description="layer that holds the measurements; unless given, X")
    features: tuple[str, ...] | None = Field(None, min_length=1, description="features to read; unless given, all")


@dataclass(frozen=True, slots=True)
class Course:
    """The populations of one donor over time.

    Attributes
    ----------
    key
        Whose they are; its time is None.
    times
        When they were taken, increasing.
    visits
        Their cells, one tensor [cells, features] a time.
    """

    key: PopulationKey
    times: tuple[float, ...]
    visits: tuple[Float[Tensor, "cells features"], ...]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.visits) or not self.times:
            message = f"{self.key} has {len(self.times)} times and {len(self.visits)} visits, expected one time a visit"
            raise InputError(message)
        if any(later <= earlier for earlier, later in zip(self.times, self.times[1:], strict=False)):
            message = f"the times of {self.key} are {list(self.times)}, expected increasing ones"
            raise InputError(message)

    def without(self, time: float) -> Course:
        """Return the course without the visit at a time."""
        kept = [number for number, other in enumerate(self.times) if other != time]
        times = tuple(self.times[number] for number in kept)
        return Course(self.key, times, tuple(self.visits[number] for number in kept))

    def around(self, time: float) -> tuple[int, int]:
        """Return the numbers of the visits before and after a time, which are the same at a visit.

        Raises
        ------
        InputError
            If the time lies before the first visit or after the last.
        """
        if not self.times[0] <= time <= self.times[-1]:
            message = (
                f"the time {time:g} is not within the course of {self.key}: {self.times[0]:g} to {self.times[-1]:g}"
            )
            raise InputError(message)
        after = next(number for number, other in enumerate(self.times) if other >= time)
        return (after, after) if self.times[after] == time else (after - 1, after)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Courses:
    """Rows of a table by donor and time; made by `from_anndata` or `read_courses`.

    Attributes
    ----------
    columns
        Which columns told them apart.
    keys
        The populations, each with its time, sorted.
    """

    columns: TimeColumns
    keys: tuple[PopulationKey, ...]
    _table: Table
    _rows: Mapping[PopulationKey, NDArray[np.int64]]

    @classmethod
    def from_anndata(cls, adata: AnnData, columns: TimeColumns, *, minimum_cells: int = MINIMUM_CELLS) -> Courses:
        """Sort the cells of an AnnData object; the object is not changed.

        Raises
        ------
        InputError
            If a column, layer or feature is missing, a label is empty, a time is not a number, a population has fewer
            cells than `minimum_cells`, or a measurement is not a finite number.
        """
        table = Table.from_anndata(adata, layer=columns.layer, features=columns.features)
        return _sorted_out(table, columns, minimum_cells)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[PopulationKey]:
        return iter(self.keys)

    def __repr__(self) -> str:
        return f"Courses({self._table.name!r}, populations={len(self)}, donors={len(self.donors)})"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the measurements."""
        return self._table.features

    @property
    def donors(self) -> tuple[str, ...]:
        """The donors."""
        return tuple(sorted({key.donor for key in self.keys}))

    def rows(self, key: PopulationKey) -> NDArray[np.int64]:
        """Return the rows of a population."""
        if key not in self._rows:
            message = f"there is no population {key}; {self._table.name} holds {len(self)} others"
            raise InputError(message)
        return self._rows[key]

    def used_rows(self) -> NDArray[np.int64]:
        """Return the rows of all cells, in order."""
        return np.sort(np.concatenate(list(self._rows.values())))

    def matrix(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Read measurements, shape [rows, features], as they are in the table."""
        return self._table.matrix(rows)

    def chunks(self, rows: ArrayLike) -> Iterator[NDArray[np.float32]]:
        """Read measurements piece by piece, in bounded memory."""
        return self._table.chunks(rows)

    def where(self, keep: Callable[[PopulationKey], bool]) -> Courses:
        """Return the populations whose key, which has a time, fulfils `keep`.

        Raises
        ------
        InputError
            If none does.
        """
        keys = tuple(key for key in self.keys if keep(key))
        if not keys:
            message = f"no population is left of the {len(self)} of {self._table.name}; choose fewer restrictions"
            raise InputError(message)
        return replace(self, keys=keys, _rows={key: self._rows[key] for key in keys})

    def read(self, preprocessing: Transform | None = None, *, cells: int | None = None, seed: int = 0) -> list[Course]:
        """Read the courses into memory.

        Parameters
        ----------
        preprocessing
            Applied to all measurements; unless given, they stay as they are.
        cells
            Most cells a population, drawn without repetition.
        seed
            Of the draw, which depends on nothing else but the population.
        """
        courses: dict[PopulationKey, list[tuple[float, Tensor]]] = {}
        for key in self.keys:
            values = self.matrix(draw_rows(self.rows(key), cells, seed, str(key)))
            points = torch.from_numpy(values if preprocessing is None else preprocessing.transform(values))
            courses.setdefault(replace(key, time=None), []).append((key.time, points))  # type: ignore[arg-type]
        return [
            Course(key, tuple(time for time, _ in visits), tuple(points for _, points in visits))
            for key, visits in courses.items()
        ]


def read_courses(path: str | Path, columns: TimeColumns, *, minimum_cells: int = MINIMUM_CELLS) -> Courses:
    """Sort the cells of an h5ad file or zarr store; the measurements stay on disk until they are needed.

    Parameters and errors are those of `Courses.from_anndata`, and of `tables.open_table` for the file.
    """
    table = open_table(path, layer=columns.layer, features=columns.features)
    return _sorted_out(table, columns, minimum_cells)


def _sorted_out(table: Table, columns: TimeColumns, minimum_cells: int) -> Courses:
    donors, times = table.text(columns.donor), table.numbers(columns.time)
    conditions = None if columns.condition is None else table.text(columns.condition)
    types = None if columns.cell_type is None else table.text(columns.cell_type)
    if not len(table):
        message = f"{table.name} holds no cells"
        raise InputError(message)
    labels: Sequence[NDArray[np.generic]] = [label for label in (donors, conditions, types, times) if label is not None]
    rows_of = {
        PopulationKey(
            donor=str(donors[rows[0]]),
            condition=ANY if conditions is None else str(conditions[rows[0]]),
            cell_type=None if types is None else str(types[rows[0]]),
            time=float(times[rows[0]]),
        ): rows
        for rows in group_rows(labels, np.arange(len(table)))
    }
    small = sorted((key for key, rows in rows_of.items() if len(rows) < minimum_cells), key=sort_key)
    if small:
        message = (
            f"{small[0]} of {table.name} has {len(rows_of[small[0]])} cells, fewer than minimum_cells = {minimum_cells}"
            f"{f', and so do {len(small) - 1} more populations' if len(small) > 1 else ''}; drop them, or allow fewer"
        )
        raise InputError(message)
    courses = Courses(columns, tuple(sorted(rows_of, key=sort_key)), table, rows_of)
    for _ in courses.chunks(courses.used_rows()):
        pass  # reading checks that every number is finite
    return courses
