"""Writing a chain store: chains are streamed to disk, and the folder appears only when it is whole."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helicell.core.errors import InputError
from helicell.core.runs.files import PARTIAL, atomic_folder
from helicell.protein.chains.layout import (
    COLUMN_FOLDER,
    FORMAT_NAME,
    FORMAT_VERSION,
    METADATA_FILE,
    RESIDUE_ARRAYS,
    encode,
)
from helicell.protein.structures import Chain

__all__ = ["StoreWriter", "new_store"]


@contextlib.contextmanager
def new_store(path: str | Path, *, overwrite: bool = False) -> Iterator["StoreWriter"]:
    """Give a writer; the store stands at `path` once the block has ended well, and nothing does otherwise.

    Parameters
    ----------
    path
        Folder to create, with its parents; it may exist only when empty.
    overwrite
        Replace a store that is already there, at the end. Anything else is never replaced.

    Raises
    ------
    InputError
        If `path` holds something already.

    Examples
    --------
    >>> with new_store("stores/crystal") as writer:           # doctest: +SKIP
    ...     writer.add(chain, {"predicted": False})
    """
    path = Path(path)
    _check_destination(path, overwrite=overwrite)
    replaces = (path / METADATA_FILE).exists()
    staging = path.with_name(f".{path.name}.new.{PARTIAL}") if replaces else path
    if replaces:
        shutil.rmtree(staging, ignore_errors=True)
    with atomic_folder(staging) as folder, contextlib.closing(StoreWriter(folder)) as writer:
        yield writer
        writer.finish()
    if replaces:
        old = path.with_name(f".{path.name}.old.{PARTIAL}")
        path.rename(old)
        staging.rename(path)
        shutil.rmtree(old)


class StoreWriter:
    """Append chains and their columns to a new store; see :func:`new_store`.

    Attributes
    ----------
    folder
        Where the files lie until the store is whole; further files put here become part of it.
    provenance
        JSON-ready notes on where the chains come from, to be filled before the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provenance: dict[str, Any] = {}
        self._offsets = [0]
        self._origins: list[NDArray[np.int32]] = []
        self._names: list[str] = []
        self._columns: dict[str, Any] = {}
        self._hash = hashlib.sha256()
        self._files = {
            name: _GrowingArray(folder / f"{name}.npy", dtype, tail) for name, (dtype, tail) in RESIDUE_ARRAYS.items()
        }

    def __len__(self) -> int:
        return len(self._names)

    @property
    def residues(self) -> int:
        """Number of residues written so far."""
        return self._offsets[-1]

    def add(self, chain: Chain, columns: Mapping[str, object] | None = None) -> None:
        """Append one chain and its value in every column.

        Raises
        ------
        InputError
            If the chain is inconsistent (see :func:`~helicell.protein.chains.store.write_store`) or has other columns
            than those before it.
        """
        values = dict(columns or {})
        if len(self) and values.keys() != self._columns.keys():
            message = f"chain {chain.name} has the columns {sorted(values)}, the others {sorted(self._columns)}"
            raise InputError(message)
        steps, origin = encode(chain)
        residues: dict[str, NDArray[Any]] = {
            "coordinates": steps,
            "sequence": np.frombuffer(chain.sequence.encode("ascii", "replace"), np.uint8),
            "secondary": np.frombuffer(chain.secondary_structure.encode("ascii", "replace"), np.uint8),
        }
        self._hash.update(chain.name.encode())
        for name, array in residues.items():
            self._files[name].append(array)
            self._hash.update(array.tobytes())
        self._offsets.append(self._offsets[-1] + len(steps))
        self._origins.append(origin)
        self._names.append(chain.name)
        for name, value in values.items():
            self._columns.setdefault(name, []).append(value)

    def set_column(self, name: str, values: ArrayLike) -> None:
        """Add or replace a whole column, one value for each chain written so far."""
        self._columns[name] = values

    def finish(self) -> None:
        """Write what is known only when all chains are there."""
        self.close()
        np.save(self.folder / "offsets.npy", np.asarray(self._offsets, np.int64))
        np.save(self.folder / "origins.npy", np.asarray(self._origins, np.int32).reshape(-1, 3))
        np.save(self.folder / "names.npy", np.asarray(self._names, np.str_))
        (self.folder / COLUMN_FOLDER).mkdir()
        for name, values in self._columns.items():
            np.save(self.folder / COLUMN_FOLDER / f"{name}.npy", _plain_column(name, values, len(self)))
        metadata = {
            "format": FORMAT_NAME,
            "version": FORMAT_VERSION,
            "chains": len(self),
            "residues": self.residues,
            "columns": sorted(self._columns),
            "fingerprint": self._hash.hexdigest(),
            "provenance": self.provenance,
        }
        (self.folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n")

    def close(self) -> None:
        """Close the files."""
        for array in self._files.values():
            array.close()


class _GrowingArray:
    """A ``.npy`` file whose first axis grows; NumPy leaves room in the header for the final length."""

    def __init__(self, path: Path, dtype: type[np.generic], tail: tuple[int, ...]) -> None:
        self._dtype, self._tail, self._length = np.dtype(dtype), tail, 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def append(self, array: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(array, self._dtype).tobytes())
        self._length += len(array)

    def close(self) -> None:
        if self._file.closed:
            return
        with contextlib.closing(self._file):
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        shape = (self._length, *self._tail)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _plain_column(name: str, values: ArrayLike, chains: int) -> NDArray[Any]:
    """Return a column as the array that is written: one value a chain, no Python objects."""
    array = np.asarray(values)
    if array.shape != (chains,) or array.dtype.kind not in "biufU" or not name.isidentifier():
        message = (
            f"column {name!r} has shape {array.shape} and type {array.dtype}; "
            f"it needs {chains} numbers, booleans or strings, and a plain word as its name"
        )
        raise InputError(message)
    return array


def _check_destination(path: Path, *, overwrite: bool) -> None:
    is_store = (path / METADATA_FILE).exists()
    is_free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if is_free or (overwrite and is_store):
        return
    if is_store:
        message = f"{path} is a chain store already; choose another folder, or pass --overwrite to replace it"
    else:
        message = f"{path} exists and is no chain store; choose a new folder"
    raise InputError(message)
