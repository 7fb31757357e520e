"""Tables of cells: AnnData in and out, in memory or on disk. The only module that imports anndata.

A `Table` is a view of what is needed of an AnnData object, an h5ad file or a zarr store: the columns of `obs`, the
names, and the measurements, which stay where they are until `matrix` reads some rows. It changes nothing. What goes
the other way, from values to AnnData, is built by `build_anndata`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from helicell.core.errors import InputError, suggestion
from helicell.core.runs.files import atomic_folder, atomic_write

if TYPE_CHECKING:
    from anndata import AnnData

T = TypeVar("T")

# Rows that are read at once from a file: 16,384 cells of 2,000 genes are 131 MB as float32.
CHUNK_ROWS = 16_384
# Numbers that are kept together in a file that is written piece by piece.
CHUNK_NUMBERS = 1 << 18
FORMATS = {".h5ad": "h5ad", ".zarr": "zarr"}


@dataclass(frozen=True, slots=True)
class Table:
    """Cells with their labels and measurements, read only.

    Attributes
    ----------
    obs
        One row a cell.
    features
        Names of the measurements that are read, in order.
    name
        What errors call the table: the file, or "the AnnData object".
    """

    obs: pd.DataFrame
    features: tuple[str, ...]
    name: str
    _values: Any = field(repr=False)
    _positions: NDArray[np.int64] = field(repr=False)

    @classmethod
    def from_anndata(
        cls, adata: AnnData, *, layer: str | None = None, features: Sequence[str] | None = None, name: str | None = None
    ) -> Table:
        """View an AnnData object, in memory or backed.

        Parameters
        ----------
        adata
            Cells by features; sparse or dense.
        layer
            The layer of the measurements; X unless given.
        features
            The features to read, in this order; all unless given.
        name
            What errors call the table.

        Raises
        ------
        InputError
            If there is no such layer or feature, or a feature's name is not unique.
        """
        name = name or "the AnnData object"
        if layer is not None and layer not in adata.layers:
            raise _no_layer(layer, list(adata.layers), name)
        values = adata.X if layer is None else adata.layers[layer]
        return _table(adata.obs, adata.var_names, values, features=features, name=name)

    def __len__(self) -> int:
        return len(self.obs)

    def restricted(self, features: Sequence[str]) -> Table:
        """Return the table with only these features, in this order."""
        positions = _positions(pd.Index(self.features), features, self.name)
        return Table(self.obs, tuple(features), self.name, self._values, self._positions[positions])

    def matrix(self, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """Read the measurements of some cells.

        Parameters
        ----------
        rows
            Their numbers, in any order, repeated or not; all cells unless given.

        Returns
        -------
        numpy.ndarray
            Shape [rows, features].

        Raises
        ------
        InputError
            If a number is missing or infinite; the line names the cell and the feature.
        """
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        values = np.empty((len(wanted), len(self.features)), dtype=np.float32)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        begin = 0
        while begin < len(ordered):
            # Files are read in blocks: picking single rows of HDF5 is slower by orders of magnitude.
            first = int(ordered[begin])
            end = int(np.searchsorted(ordered, first + CHUNK_ROWS))
            last = int(ordered[end - 1])
            block = self._block(first, last + 1, ordered[begin:end])
            values[order[begin:end]] = block
            begin = end
        return values

    def chunks(self, rows: ArrayLike | None = None) -> Iterator[NDArray[np.float32]]:
        """Read the measurements of some cells piece by piece, sorted by row, in bounded memory."""
        wanted = np.arange(len(self)) if rows is None else np.sort(np.asarray(rows, dtype=np.int64))
        for begin in range(0, len(wanted), CHUNK_ROWS):
            yield self.matrix(wanted[begin : begin + CHUNK_ROWS])

    def text(self, column: str) -> NDArray[np.str_]:
        """Return a column of `obs` as text.

        Raises
        ------
        InputError
            If there is no such column, or some cells have no value.
        """
        return np.asarray(self._column(column).astype(str), dtype=np.str_)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of `obs` as numbers.

        Raises
        ------
        InputError
            If there is no such column, some cells have no value, or a value is not a number.
        """
        values = self._column(column)
        converted = pd.to_numeric(values.astype(str), errors="coerce")
        if converted.isna().any():
            example = values[converted.isna()].iloc[0]
            message = f"the column {column!r} of {self.name} holds {example!r}, expected a number for every cell"
            raise InputError(message)
        return converted.to_numpy(dtype=np.float64)

    def _column(self, column: str) -> pd.Series[Any]:
        if column not in self.obs.columns:
            known = [str(name) for name in self.obs.columns]
            message = (
                f"{self.name} has no column {column!r} in obs{suggestion(column, known)}; it has: {_listed(known)}"
            )
            raise InputError(message)
        values = self.obs[column]
        missing = int(values.isna().sum())
        if missing:
            message = f"the column {column!r} of {self.name} is empty for {missing} cells; fill it or drop these cells"
            raise InputError(message)
        return values

    def _block(self, first: int, stop: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the rows, which lie from `first` up to `stop`, and check them."""
        if isinstance(self._values, np.ndarray):
            block = self._values[np.ix_(rows, self._positions)]
        else:
            block = self._stored(first, stop)[rows - first][:, self._positions]
            block = block.toarray() if hasattr(block, "toarray") else block
        block = np.asarray(block, dtype=np.float32)
        if not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            cell = self.obs.index[rows[row]]
            message = (
                f"{self.features[column]!r} of cell {cell!r} of {self.name} is {block[row, column]}, "
                "expected finite numbers; drop such cells or features, or fill them"
            )
            raise InputError(message)
        return block

    def _stored(self, first: int, stop: int) -> Any:
        try:
            return self._values[first:stop]
        except (OSError, RuntimeError) as error:
            message = f"the cells {first} to {stop} of {self.name} cannot be read: {' '.join(str(error).split())}"
            raise InputError(message + "; is the file whole? Copy or write it again") from error


def open_table(path: str | Path, *, layer: str | None = None, features: Sequence[str] | None = None) -> Table:
    """Open an h5ad file or a zarr store without reading its measurements.

    Parameters
    ----------
    path
        A file ending in .h5ad, or a folder ending in .zarr.
    layer, features
        As in `Table.from_anndata`.

    Raises
    ------
    InputError
        If there is no such file, it is not of this format or damaged, or it lacks the layer or a feature.
    """
    path = Path(path)
    kind = _format(path)
    if not path.exists():
        message = f"there is no {path}; give an .h5ad file or a .zarr store"
        raise InputError(message)
    root = _reading(path, kind, lambda: _root(path, kind))
    for part in ("obs", "var"):
        if part not in root:
            message = f"{path} has no {part!r}, so it is no AnnData file; write it with AnnData.write_{kind}"
            raise InputError(message)
    obs, var, values = _reading(path, kind, lambda: _parts(root, layer, str(path)))
    return _table(obs, var.index, values, features=features, name=str(path))


def read_anndata(path: str | Path) -> AnnData:
    """Read a whole h5ad file or zarr store into memory.

    Raises
    ------
    InputError
        If there is no such file, or it is not of this format or damaged.
    """
    import anndata

    path = Path(path)
    kind = _format(path)
    if not path.exists():
        message = f"there is no {path}; give an .h5ad file or a .zarr store"
        raise InputError(message)
    read = anndata.read_h5ad if kind == "h5ad" else anndata.read_zarr
    return cast("AnnData", _reading(path, kind, lambda: read(path)))


def write_anndata(path: str | Path, adata: AnnData) -> None:
    """Write an AnnData object as .h5ad or .zarr, by the ending of the path, whole or not at all.

    Raises
    ------
    InputError
        If the ending is another, or there is a zarr store already; an h5ad file is replaced.
    """
    path = Path(path)
    if _format(path) == "h5ad":
        with atomic_write(path) as temporary:
            adata.write_h5ad(temporary, compression="gzip")
        return
    if path.exists():
        message = f"{path} exists; remove it first, or write elsewhere"
        raise InputError(message)
    with atomic_folder(path) as temporary, _quiet_zarr():
        adata.write_zarr(temporary)


def write_blocks(path: str | Path, adata: AnnData, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write an AnnData object without X as .h5ad or .zarr, with an X that comes a block of rows at a time.

    Only one block is in memory at once; the file is the same as if all had been.

    Raises
    ------
    InputError
        As `write_anndata`.
    """
    path = Path(path)
    if _format(path) == "h5ad":
        import h5py

        with atomic_write(path) as temporary:
            adata.write_h5ad(temporary, compression="gzip")
            with h5py.File(temporary, "a") as file:
                file.pop("X", None)
                options = {"compression": "gzip", "chunks": _chunks(adata.shape)}
                _fill(file.create_dataset("X", adata.shape, dtype="float32", **options), blocks)
        return
    if path.exists():
        message = f"{path} exists; remove it first, or write elsewhere"
        raise InputError(message)
    import zarr

    with atomic_folder(path) as temporary, _quiet_zarr():
        adata.write_zarr(temporary)
        root = zarr.open_group(temporary, mode="a", use_consolidated=False)
        _fill(root.create_array("X", shape=adata.shape, dtype="float32", chunks=_chunks(adata.shape)), blocks)
        zarr.consolidate_metadata(root.store)


def build_anndata(
    values: Any,
    *,
    features: Sequence[str],
    obs: pd.DataFrame | Mapping[str, Any] | None = None,
    var: pd.DataFrame | None = None,
    obsm: Mapping[str, Any] | None = None,
    layers: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> AnnData:
    """Build an AnnData object.

    Parameters
    ----------
    values
        The measurements, shape [cells, features], dense or sparse; None for an object without X.
    features
        Their names.
    obs
        Columns of the cells; cells are numbered where it brings no names. A frame where there are no values.
    var, obsm, layers, uns
        As in AnnData.

    Examples
    --------
    >>> build_anndata(np.zeros((2, 1)), features=["CD3"], obs={"donor": ["A", "A"]}).shape
    (2, 1)
    """
    from anndata import AnnData

    cells = values.shape[0] if values is not None else len(cast(pd.DataFrame, obs))
    frame = obs.copy() if isinstance(obs, pd.DataFrame) else pd.DataFrame(obs or {}, index=range(cells))
    frame.index = frame.index.astype(str)
    about = var.copy() if var is not None else pd.DataFrame(index=list(features))
    about.index = pd.Index(list(features), dtype=str)
    return AnnData(values, obs=frame, var=about, obsm=dict(obsm or {}), layers=dict(layers or {}), uns=dict(uns or {}))


def _fill(array: Any, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write blocks of rows to an array of h5py or zarr, one after the other, and mark it as anndata does."""
    array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    begin = 0
    for block in blocks:
        array[begin : begin + len(block)] = block
        begin += len(block)


def _chunks(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the part of X that a file keeps together: rows that are read fast both one by one and all."""
    cells, features = shape
    return max(min(cells, CHUNK_NUMBERS // max(features, 1)), 1), max(features, 1)


@contextmanager
def _quiet_zarr() -> Iterator[None]:
    """The format of zarr is anndata's to choose; it warns of its next choice at every write."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Writing zarr v2")
        yield


def check_table_path(path: str | Path) -> None:
    """Raise an InputError unless the ending of a path names a format of AnnData: .h5ad or .zarr."""
    _format(Path(path))


def _format(path: Path) -> str:
    if path.suffix not in FORMATS:
        message = f"{path} is neither .h5ad nor .zarr; these are the endings of AnnData files"
        raise InputError(message)
    return FORMATS[path.suffix]


def _root(path: Path, kind: str) -> Any:
    if kind == "h5ad":
        import h5py

        return h5py.File(path, "r")
    import zarr

    return zarr.open_group(path, mode="r")


def _parts(root: Any, layer: str | None, name: str) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Return obs, var and the measurements of an opened file, the last not read yet."""
    from anndata.io import read_elem, sparse_dataset

    layers = list(root["layers"]) if "layers" in root else []
    if layer is not None and layer not in layers:
        raise _no_layer(layer, layers, name)
    if layer is None and "X" not in root:
        message = f"{name} has no X; choose a layer: {_listed(layers)}"
        raise InputError(message)
    values = root["X"] if layer is None else root["layers"][layer]
    if dict(values.attrs).get("encoding-type", "array") in ("csr_matrix", "csc_matrix"):
        values = sparse_dataset(values)
    return read_elem(root["obs"]), read_elem(root["var"]), values


def _reading(path: Path, kind: str, read: Callable[[], T]) -> T:
    """Call `read`, and say what is wrong with the file when it cannot."""
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # h5py, zarr and anndata raise errors of any kind over broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"{path} cannot be read as {kind}: {reason}; is the file whole? Copy or write it again"
        raise InputError(message) from error


def _table(obs: pd.DataFrame, names: pd.Index[Any], values: Any, *, features: Sequence[str] | None, name: str) -> Table:
    if values is None:
        message = f"{name} has no X; choose a layer"
        raise InputError(message)
    names = names.astype(str)
    chosen = tuple(features) if features is not None else tuple(names)
    return Table(obs, chosen, name, values, _positions(names, chosen, name))


def _positions(names: pd.Index[Any], features: Sequence[str], table: str) -> NDArray[np.int64]:
    """Return where the features stand among all names."""
    doubles = names[names.duplicated()].intersection(pd.Index(features))
    if len(doubles):
        message = (
            f"{table} has several features named {doubles[0]!r}; make the names unique (adata.var_names_make_unique)"
        )
        raise InputError(message)
    repeated = pd.Index(features)[pd.Index(features).duplicated()]
    if len(repeated):
        message = f"the feature {repeated[0]!r} is asked for twice; give every feature once"
        raise InputError(message)
    known = {feature: position for position, feature in enumerate(names)}
    absent = [feature for feature in features if feature not in known]
    if absent:
        message = (
            f"{table} lacks {len(absent)} of {len(features)} features: {_listed(absent)}"
            f"{suggestion(absent[0], list(names))}; it has: {_listed(list(names))}"
        )
        raise InputError(message)
    return np.array([known[feature] for feature in features], dtype=np.int64)


def _no_layer(layer: str, known: list[str], table: str) -> InputError:
    return InputError(f"{table} has no layer {layer!r}{suggestion(layer, known)}; it has: {_listed(known) or 'none'}")


def _listed(names: Sequence[str], *, most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
