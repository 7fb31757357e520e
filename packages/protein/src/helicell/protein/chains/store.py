"""The chain store: memory-mapped backbones with O(1) access to any chain (files: see ``layout.py``)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helicell.core.errors import InputError, unknown_option
from helicell.protein.chains.layout import (
    COLUMN_FOLDER,
    FORMAT_NAME,
    FORMAT_VERSION,
    METADATA_FILE,
    RESIDUE_ARRAYS,
    decode,
)
from helicell.protein.chains.writer import new_store
from helicell.protein.structures import Chain

__all__ = ["ChainStore", "write_store"]


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
        self, path: Path, *, metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], indices: NDArray[Any]
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
        shapes |= {name: (residues, *tail) for name, (_, tail) in RESIDUE_ARRAYS.items()}
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
            coordinates=decode(self._arrays["coordinates"][start:stop], self._arrays["origins"][chain]),
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

    def column(self, name: str) -> NDArray[Any]:
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
    provenance
        JSON-ready notes on where the chains come from.
    overwrite
        Replace a store that is already there, never anything else.

    Raises
    ------
    InputError
        If coordinates are not finite [residues, 4, 3] values, if sequence or secondary structure have another
        length, if consecutive CA atoms are over 32 A apart, or if a column has another length.
    """
    with new_store(path, overwrite=overwrite) as writer:
        writer.provenance = dict(provenance or {})
        for chain in chains:
            writer.add(chain)
        for name, values in (columns or {}).items():
            writer.set_column(name, values)
    return ChainStore.open(path)


def _read_metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA_FILE).read_text())
        if metadata["format"] != FORMAT_NAME:
            raise KeyError(metadata["format"])
        version = int(metadata["version"])
        _ = int(metadata["chains"]), int(metadata["residues"]), list(metadata["columns"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder} is no chain store (no readable {METADATA_FILE}); make one with: helicell protein import"
        raise InputError(message) from error
    if version != FORMAT_VERSION:
        message = (
            f"the chain store {folder} has format {version}, this helicell reads {FORMAT_VERSION}; import it again"
        )
        raise InputError(message)
    return metadata


def _open_array(folder: Path, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
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


def _reopen(path: Path, indices: NDArray[Any]) -> ChainStore:
    return ChainStore.open(path).select(indices)
