"""The structure database of ProMod3 (``structure_db.dat``, in Debian's package ``promod3-data``).

A binary file, little endian: a header with a magic number, the directory of chains, then six arrays, each led by its
length. Of the arrays, the sequence, the coordinates (N, CA, C, O in steps of 0.01 A from the entry's origin) and the
DSSP states are read; dihedrals, solvent accessibility and depth are passed over. The file is memory-mapped.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.chains.sources.source import Item, segments_of
from helicell.protein.structures import Chain

__all__ = ["DATABASE", "PromodDatabase", "is_promod_database"]

DATABASE = "structure_db.dat"
MAGIC = struct.pack("<I", 1234)
VERSION = struct.pack("<I", 2)
# Fixed-size header: magic number, version, sizes of the C++ types; then the directory begins.
DIRECTORY = 0x49
UNIT = 0.01
# A name is a PDB identifier and a chain letter; anything long means that the layout is another.
MAX_NAME = 64
# Bytes a residue of each array: sequence, coordinates, dihedrals, accessibility, depth, DSSP state.
WIDTHS = {"sequence": 1, "coordinates": 24, "dihedrals": 4, "accessibility": 2, "depth": 2, "states": 1}
# The eight states of DSSP in three, by the usual convention; T, S and C are coil.
THREE_STATES = bytes.maketrans(b"GIBTS", b"HHECC")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A chain of the directory; numbers count residues, the shift is in Angstrom."""

    name: str
    offset: int
    size: int
    first_residue: int
    shift: tuple[float, float, float]


class PromodDatabase:
    """The chains of a ``structure_db.dat``, all of them experimental."""

    kind = "promod3"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._data = np.asarray(np.memmap(path, np.uint8, mode="r"))
            self._entries, end = _read_directory(self._data)
            self._arrays = _locate_arrays(self._data, end)
        except (OSError, ValueError, struct.error) as error:
            message = f"{path} cannot be read as a structure database of promod3: {error}"
            raise InputError(message) from error
        self.total = len(self._entries)

    def __iter__(self) -> Iterator[Item]:
        available = len(self._arrays["sequence"])
        for entry in self._entries:
            if not entry.size or entry.offset + entry.size > available:
                yield Item(entry.name, reason="entry outside the data", detail=f"{entry.name} points past the end")
                continue
            residues = slice(entry.offset, entry.offset + entry.size)
            units = self._arrays["coordinates"][residues].view("<u2").reshape(-1, 4, 3)
            chain = Chain(
                name=entry.name,
                coordinates=(units * UNIT + np.array(entry.shift)).astype(np.float32),
                sequence=self._arrays["sequence"][residues].tobytes().decode("ascii", "replace"),
                secondary_structure=self._arrays["states"][residues].tobytes().translate(THREE_STATES).decode("ascii"),
            )
            yield Item(entry.name, segments_of(entry.name, chain, first_residue=entry.first_residue), _COLUMNS)


_COLUMNS = {"predicted": False}


def is_promod_database(path: Path) -> bool:
    """Whether a file begins as a structure database does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read_directory(data: NDArray[np.uint8]) -> tuple[list[_Entry], int]:
    """Return the entries, and where the arrays begin."""
    if data[:4].tobytes() != MAGIC or data[4:8].tobytes() != VERSION:
        message = "its header is not that of version 2"
        raise ValueError(message)
    cursor = _Cursor(data, DIRECTORY)
    cursor.take("<i")  # identifier of a stored object, always -1
    (count,) = cursor.take("<Q")
    entries = []
    for _ in range(count):
        structure, chain = cursor.text(), cursor.text()
        offset, size, first_residue, *shift = cursor.take("<IHH3f")
        entries.append(_Entry(f"{structure}_{chain}", offset, size, first_residue, tuple(shift)))
    return entries, cursor.position


def _locate_arrays(data: NDArray[np.uint8], start: int) -> dict[str, NDArray[np.uint8]]:
    """Return each array as bytes [residues, width]."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    cursor = _Cursor(data, start)
    for name, width in WIDTHS.items():
        (count,) = cursor.take("<Q")
        part = data[cursor.position : cursor.position + count * width]
        if len(part) != count * width or (arrays and count != len(arrays["sequence"])):
            message = f"it ends inside its {name}, or they have another length; the file is cut or damaged"
            raise ValueError(message)
        arrays[name] = part.reshape(count, width)
        cursor.position += len(part)
    return arrays


class _Cursor:
    """Reads packed values one after the other."""

    def __init__(self, data: NDArray[np.uint8], position: int) -> None:
        self.data, self.position = data, position

    def take(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize(layout)
        part = self.data[self.position : self.position + size].tobytes()
        self.position += size
        return struct.unpack(layout, part)

    def text(self) -> str:
        (length,) = self.take("<I")
        if length > MAX_NAME:
            message = f"a name of {length} letters in its directory; the layout is another or the file is damaged"
            raise ValueError(message)
        return self.take(f"{length}s")[0].decode("ascii")
