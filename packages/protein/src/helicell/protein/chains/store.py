"""The chain store: a folder of memory-mapped arrays with O(1) access to any chain.

======================== ============================ =====================================================
file                     array                        holds
======================== ============================ =====================================================
``store.json``                                        format version, counts, fingerprint, provenance
``offsets.npy``          int64 [chains + 1]           where each chain starts in the per-residue arrays
``origins.npy``          int32 [chains, 3]            first CA of each chain, in 0.001 A
``coordinates.npy``      int16 [residues, 4, 3]       N, CA, C, O as steps of 0.001 A, see below
``sequence.npy``         uint8 [residues]             one-letter codes, ASCII
``secondary.npy``        uint8 [residues]             H, E or C, ASCII
``names.npy``            unicode [chains]             name of each chain
``columns/NAME.npy``     any plain type [chains]      further facts: cluster30, predicted, source, globular...
======================== ============================ =====================================================

Every array is an ordinary NumPy file that ``numpy.load(..., mmap_mode="r")`` reads anywhere.

Coordinates are integers in thousandths of an Angstrom, the precision of a PDB file: the CA row of a residue
is the step from the previous CA, the other rows are relative to the residue's own CA. Steps between bonded
residues fit 16 bits many times over, so a residue takes 24 bytes, half of float32, and integer sums bring the
coordinates back exactly, to half a thousandth of an Angstrom, anywhere in space.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helicell.core.errors import InputError, unknown_option
from helicell.protein.structures import Chain

__all__ = ["FORMAT_VERSION", "ChainStore", "StoreWriter", "write_store"]

FORMAT_NAME = "helicell-chains"
FORMAT_VERSION = 1
METADATA_FILE = "store.json"
COLUMN_FOLDER = "columns"

# Resolution of a stored coordinate in Angstrom: the third decimal of a PDB file.
RESOLUTION = 0.001
# A step of this many units (32.8 A) does not fit 16 bits; bonded residues stay under 4 A.
MAX_STEP = np.iinfo(np.int16).max
# Origins are 32-bit; nothing real lies a kilometre away, and sums must not overflow either.
MAX_COORDINATE = 1_000_000.0

_RESIDUE_ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "coordinates": (np.int16, (4, 3)),
    "sequence": (np.uint8, ()),
    "secondary": (np.uint8, ()),
}


class ChainStore(Sequence[Chain]):
    """Read-only view of all or some chains of a store.

    Parameters are internal: use :meth:`open`, then :meth:`select` for a part of it. Views share the mapped
    files, and pickling a view sends its path and its indices only, so data-loader workers open it afresh.

    Examples
    --------
    >>> store = ChainStore.open("stores/crystal")               # doctest: +SKIP
    >>> small = store.select(store.lengths <= 128)              # doctest: +SKIP
    >>> small[0].coordinates.shape                              # doctest: +SKIP
    (91, 4, 3)
    """

    def __init__(
        self, path: Path, *, metadata: Mapping[str, Any], arrays: Mapping[str, NDArray], indices: NDArray
    ) -> None:
        self.path = path
        self._metadata = metadata
        self._arrays = arrays
        self._indices = indices

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the store in folder ``path`` without reading its data.

        Raises
        ------
        InputError
            If the folder is no store, is damaged, or was written by a newer version.
        """
        folder = Path(path)
        metadata = _read_metadata(folder)
        chains, residues = metadata["chains"], metadata["residues"]
        shapes = {"offsets": (chains + 1,), "origins": (chains, 3), "names": (chains,)}
        shapes |= {name: (residues, *tail) for name, (_, tail) in _RESIDUE_ARRAYS.items()}
        shapes |= {f"{COLUMN_FOLDER}/{name}": (chains,) for name in metadata["columns"]}
        arrays = {name: _open_array(folder, name, shape) for name, shape in shapes.items()}
        if arrays["offsets"][-1] != residues:
            message = f"the chain store {folder} is damaged: its offsets end at {arrays['offsets'][-1]}, not {residues}"
            raise InputError(message + "; import it again")
        return cls(folder, metadata=metadata, arrays=arrays, indices=np.arange(chains))

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Chain:  # type: ignore[override]  # a slice is what `select` is for
        chain = self._indices[index]
        start, stop = self._arrays["offsets"][chain], self._arrays["offsets"][chain + 1]
        return Chain(
            name=str(self._arrays["names"][chain]),
            coordinates=_decode(self._arrays["coordinates"][start:stop], self._arrays["origins"][chain]),
            sequence=self._arrays["sequence"][start:stop].tobytes().decode("ascii"),
            secondary_structure=self._arrays["secondary"][start:stop].tobytes().decode("ascii"),
        )

    def __iter__(self) -> Iterator[Chain]:
        return (self[index] for index in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self._indices)

    def __repr__(self) -> str:
        return f"ChainStore({str(self.path)!r}, chains={len(self)}, residues={int(self.lengths.sum())})"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of residues of each chain."""
        offsets = self._arrays["offsets"]
        return offsets[self._indices + 1] - offsets[self._indices]

    @property
    def names(self) -> NDArray[np.str_]:
        """Name of each chain."""
        return self._arrays["names"][self._indices]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that :meth:`column` knows."""
        return tuple(self._metadata["columns"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the names and the residues of the whole store, in order: what a model card quotes."""
        return str(self._metadata["fingerprint"])

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the writer noted: the source, the settings of the import, its counts."""
        return dict(self._metadata["provenance"])

    def column(self, name: str) -> NDArray:
        """Return one value a chain, such as ``cluster30``, ``predicted``, ``source`` or ``globular``.

        Raises
        ------
        InputError
            If the store has no such column; the message lists those it has.
        """
        if name not in self._metadata["columns"]:
            raise unknown_option("column", name, self.column_names)
        return self._arrays[f"{COLUMN_FOLDER}/{name}"][self._indices]

    def select(self, chosen: ArrayLike) -> Self:
        """Return a view of the chains chosen by a boolean mask or by indices, in the order given."""
        chosen = np.asarray(chosen)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            message = f"a mask over this store needs {len(self)} entries, not {chosen.shape}"
            raise InputError(message)
        indices = self._indices[chosen if chosen.size else chosen.astype(np.int64)]
        return type(self)(self.path, metadata=self._metadata, arrays=self._arrays, indices=indices)


class StoreWriter:
    """Write a store chain by chain; it appears under its name only when everything was written.

    Parameters
    ----------
    path
        Folder to create. Its parent folders are created too.
    provenance
        JSON-ready notes on where the chains come from, kept in ``store.json``; may be changed until the end.
    overwrite
        Replace a store that is already there (never anything else).

    Examples
    --------
    >>> with StoreWriter("stores/crystal") as writer:           # doctest: +SKIP
    ...     writer.add(chain, {"predicted": False})
    """

    def __init__(
        self, path: str | Path, *, provenance: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.provenance = dict(provenance or {})
        self._overwrite = overwrite
        self._offsets = [0]
        self._origins: list[NDArray[np.int32]] = []
        self._names: list[str] = []
        self._columns: dict[str, Any] = {}
        self._hash = hashlib.sha256()

    def __len__(self) -> int:
        return len(self._names)

    def __enter__(self) -> Self:
        _check_destination(self.path, overwrite=self._overwrite)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", suffix=".partial", dir=self.path.parent))
        self._growing = {
            name: _GrowingArray(self._folder / f"{name}.npy", dtype, tail)
            for name, (dtype, tail) in _RESIDUE_ARRAYS.items()
        }
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *_: object) -> None:
        try:
            for array in self._growing.values():
                array.close()
            if exception_type is None:
                self._finish()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, chain: Chain, columns: Mapping[str, object] | None = None) -> None:
        """Append one chain and its value in every column.

        Raises
        ------
        InputError
            If the chain is inconsistent (see :func:`write_store`) or has other columns than those before it.
        """
        values = dict(columns or {})
        if len(self) and values.keys() != self._columns.keys():
            message = f"chain {chain.name} has the columns {sorted(values)}, the others {sorted(self._columns)}"
            raise InputError(message)
        steps, origin = _encode(chain)
        residues = {
            "coordinates": steps,
            "sequence": np.frombuffer(chain.sequence.encode("ascii", "replace"), np.uint8),
            "secondary": np.frombuffer(chain.secondary_structure.encode("ascii", "replace"), np.uint8),
        }
        self._hash.update(chain.name.encode())
        for name, array in residues.items():
            self._growing[name].append(array)
            self._hash.update(array.tobytes())
        self._offsets.append(self._offsets[-1] + len(steps))
        self._origins.append(origin)
        self._names.append(chain.name)
        for name, value in values.items():
            self._columns.setdefault(name, []).append(value)

    def set_column(self, name: str, values: ArrayLike) -> None:
        """Add or replace a whole column, one value for each chain written so far."""
        self._columns[name] = values

    def _finish(self) -> None:
        """Write what is known only at the end, then move the folder to its name."""
        np.save(self._folder / "offsets.npy", np.asarray(self._offsets, np.int64))
        np.save(self._folder / "origins.npy", np.asarray(self._origins, np.int32).reshape(-1, 3))
        np.save(self._folder / "names.npy", np.asarray(self._names, np.str_))
        (self._folder / COLUMN_FOLDER).mkdir()
        for name, values in self._columns.items():
            np.save(self._folder / COLUMN_FOLDER / f"{name}.npy", _plain_column(name, values, len(self)))
        metadata = {
            "format": FORMAT_NAME,
            "version": FORMAT_VERSION,
            "chains": len(self),
            "residues": self._offsets[-1],
            "columns": sorted(self._columns),
            "fingerprint": self._hash.hexdigest(),
            "provenance": self.provenance,
        }
        (self._folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n")
        # mkdtemp makes a private folder; a store is as readable as any other new folder.
        self._folder.chmod(self.path.parent.stat().st_mode & 0o777)
        if self.path.exists():
            shutil.rmtree(self.path)
        self._folder.rename(self.path)


def write_store(
    path: str | Path,
    chains: Iterable[Chain],
    *,
    columns: Mapping[str, ArrayLike] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> ChainStore:
    """Write chains, and facts on each of them, as a new store and open it.

    Parameters
    ----------
    path
        Folder to create; on any failure, an interrupt included, nothing is left there.
    chains
        Any iterable; it is consumed one chain at a time.
    columns
        Arrays of one value a chain (numbers, booleans or strings), by name.
    provenance, overwrite
        See :class:`StoreWriter`.

    Raises
    ------
    InputError
        If coordinates are not finite [residues, 4, 3] values, if sequence or secondary structure have another
        length, if consecutive CA atoms are over 32 A apart, or if a column has another length.
    """
    with StoreWriter(path, provenance=provenance, overwrite=overwrite) as writer:
        for chain in chains:
            writer.add(chain)
        for name, values in (columns or {}).items():
            writer.set_column(name, values)
    return ChainStore.open(path)


class _GrowingArray:
    """A ``.npy`` file whose first axis grows; NumPy leaves room in the header for the final length."""

    def __init__(self, path: Path, dtype: type[np.generic], tail: tuple[int, ...]) -> None:
        self._dtype, self._tail, self._length = np.dtype(dtype), tail, 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def append(self, array: NDArray) -> None:
        self._file.write(np.ascontiguousarray(array, self._dtype).tobytes())
        self._length += len(array)

    def close(self) -> None:
        with contextlib.closing(self._file):
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        shape = (self._length, *self._tail)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _encode(chain: Chain) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Integer steps [residues, 4, 3] of a chain and the position of its first CA, in units of the resolution."""
    coordinates = np.asarray(chain.coordinates, np.float64)
    residues = len(coordinates)
    problem = None
    if coordinates.shape != (residues, 4, 3) or not residues:
        problem = f"coordinates of shape {coordinates.shape}, not [residues, 4, 3]"
    elif not (len(chain.sequence) == len(chain.secondary_structure) == residues):
        problem = f"{residues} residues, {len(chain.sequence)} letters, {len(chain.secondary_structure)} states"
    elif not np.abs(coordinates).max() < MAX_COORDINATE:
        problem = "coordinates that are not finite numbers"
    if problem is None:
        units = np.rint(coordinates / RESOLUTION).astype(np.int32)
        alpha = units[:, 1].copy()
        steps = units - alpha[:, None]
        steps[1:, 1] = np.diff(alpha, axis=0)
        if np.abs(steps).max() <= MAX_STEP:
            return steps.astype(np.int16), alpha[0]
        problem = f"neighbouring atoms over {MAX_STEP * RESOLUTION:.0f} A apart; cut it at its breaks"
    message = f"chain {chain.name} cannot be stored: it has {problem}"
    raise InputError(message)


def _decode(steps: NDArray[np.int16], origin: NDArray[np.int32]) -> NDArray[np.float32]:
    """Coordinates [residues, 4, 3] in Angstrom from the stored steps."""
    units = steps.astype(np.int32)
    alpha = np.cumsum(units[:, 1], axis=0) + origin
    units[:, 1] = 0
    units += alpha[:, None]
    return np.multiply(units, np.float32(RESOLUTION), dtype=np.float32)


def _plain_column(name: str, values: ArrayLike, chains: int) -> NDArray:
    """A column as the array that is written: one value a chain, no Python objects."""
    array = np.asarray(values)
    if array.shape != (chains,) or array.dtype.kind not in "biufU" or not name.isidentifier():
        message = (
            f"column {name!r} has shape {array.shape} and type {array.dtype}; "
            f"it needs {chains} numbers, booleans or strings, and a plain word as its name"
        )
        raise InputError(message)
    return array


def _check_destination(path: Path, *, overwrite: bool) -> None:
    if not path.exists() or (overwrite and (path / METADATA_FILE).is_file()):
        return
    advice = "choose another folder" if overwrite else "choose another folder or ask to overwrite it"
    kind = "" if not overwrite else " and is no chain store"
    message = f"{path} already exists{kind}; {advice}"
    raise InputError(message)


def _read_metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA_FILE).read_text())
        if metadata["format"] != FORMAT_NAME:
            raise KeyError
        version = int(metadata["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder} is no chain store ({METADATA_FILE} is missing or unreadable); make one with helicell protein import"
        raise InputError(message) from error
    if version != FORMAT_VERSION:
        message = f"the chain store {folder} has format version {version}, this helicell reads {FORMAT_VERSION}; import it again"
        raise InputError(message)
    return metadata


def _open_array(folder: Path, name: str, shape: tuple[int, ...]) -> NDArray:
    """Map one file; a plain array over the mapping slices faster than ``np.memmap`` does."""
    path = folder / f"{name}.npy"
    try:
        # An empty file cannot be mapped.
        array = np.load(path, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        message = f"the chain store {folder} is damaged: {path.name} cannot be read ({error}); import it again"
        raise InputError(message) from error
    if array.shape != shape:
        message = (
            f"the chain store {folder} is damaged: {path.name} has shape {array.shape}, not {shape}; import it again"
        )
        raise InputError(message)
    return np.asarray(array)


def _reopen(path: Path, indices: NDArray) -> ChainStore:
    return ChainStore.open(path).select(indices)
