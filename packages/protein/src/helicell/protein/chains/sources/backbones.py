"""Compact NumPy archives of backbones (``.npz``): one delta-coded table for all chains.

The archive holds ``offsets`` [chains + 1], ``name``, ``seq`` and ``ss`` (ASCII, all residues joined) and the low
and high bytes ``lo``, ``hi`` [12, residues] of zigzag-coded steps of 0.01 A: CA minus the previous CA, N minus CA,
C minus CA, O minus C. Arrays of one value a chain are taken over as columns; ``source`` may index ``sources``.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.chains.sources.source import Item
from helicell.protein.structures import Chain

__all__ = ["BackboneArchive"]

# One unit of the archive in Angstrom.
UNIT = 0.01
REQUIRED = ("offsets", "name", "seq", "ss", "lo", "hi")


class BackboneArchive:
    """The chains of one archive, with every per-chain array as a column."""

    kind = "backbones"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = _read_arrays(path)
        self.total = len(self._arrays["offsets"]) - 1

    def __iter__(self) -> Iterator[Item]:
        arrays = self._arrays
        offsets = arrays["offsets"]
        coordinates = decode_backbones(arrays["lo"], arrays["hi"], offsets)
        sequence, states = arrays["seq"].tobytes(), arrays["ss"].tobytes()
        names = arrays["name"].tolist()
        columns = {name: column.tolist() for name, column in _columns(arrays).items()}
        for index, name in enumerate(names):
            start, stop = offsets[index], offsets[index + 1]
            chain = Chain(
                name=name,
                coordinates=coordinates[start:stop],
                sequence=sequence[start:stop].decode("ascii", "replace"),
                secondary_structure=states[start:stop].decode("ascii", "replace"),
            )
            yield Item(name, (chain,), {key: values[index] for key, values in columns.items()})


def decode_backbones(low: NDArray[np.uint8], high: NDArray[np.uint8], offsets: NDArray[Any]) -> NDArray[np.float32]:
    """Return the coordinates [residues, 4, 3] in Angstrom of all chains, each with its first CA at the origin."""
    zigzag = low.astype(np.uint16) | (high.astype(np.uint16) << 8)
    steps = (zigzag >> 1).astype(np.int16) ^ -(zigzag & 1).astype(np.int16)
    step_alpha, nitrogen, carbon, oxygen = steps.T.astype(np.int32).reshape(-1, 4, 3).swapaxes(0, 1)
    alpha = np.cumsum(step_alpha, axis=0)
    starts = alpha[offsets[:-1]]
    alpha -= np.repeat(starts, np.diff(offsets), axis=0)
    units = np.stack([alpha + nitrogen, alpha, alpha + carbon, alpha + carbon + oxygen], axis=1)
    return np.multiply(units, np.float32(UNIT), dtype=np.float32)


def _columns(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of one plain value a chain; numbered sources become their names."""
    chains = len(arrays["name"])
    known = {*REQUIRED, "sources"}
    columns = {key: array for key, array in arrays.items() if key not in known and array.shape == (chains,)}
    if "sources" in arrays and columns.get("source", np.empty(0)).dtype.kind in "iu":
        columns["source"] = arrays["sources"][columns["source"]]
    return columns


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # NumPy leaves a damaged file open that it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in REQUIRED if name not in archive.files]
            if missing:
                message = f"{path} is no archive of backbones: it lacks the arrays {', '.join(missing)}"
                raise InputError(message)
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        message = f"{path} cannot be read as a NumPy archive ({error}); copy it again"
        raise InputError(message) from error
    offsets, residues = arrays["offsets"], arrays["seq"].shape[0]
    consistent = (
        offsets.ndim == 1
        and offsets[0] == 0
        and offsets[-1] == residues
        and bool((np.diff(offsets) > 0).all())
        and arrays["lo"].shape == arrays["hi"].shape == (12, residues)
        and arrays["ss"].shape == (residues,)
        and arrays["name"].shape == (len(offsets) - 1,)
    )
    if not consistent:
        message = f"{path} is damaged: its arrays do not fit together; copy it again"
        raise InputError(message)
    return arrays
