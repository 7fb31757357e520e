"""The training proteins of the package ``cgdms``: 2,204 chains of at most 100 residues from the PDB.

One text file a chain: its sequence, its secondary structure, then N, CA, C and the side-chain centroid of each residue,
in Angstrom. There is no oxygen: it is placed in the peptide plane, and the last residue of a stretch, whose oxygen has
no plane, is left out. The second line of the files is no DSSP assignment, so the states are assigned anew.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.chains.sources.source import Item
from helicell.protein.evaluation.secondary_structure import assign_secondary_structure
from helicell.protein.peptides import place_oxygens, unbroken_segments
from helicell.protein.structures import Chain

__all__ = ["CgdmsProteins", "find_cgdms"]

PACKAGE = "cgdms"
# Where the proteins lie below the folder that a user may name: site-packages, the package, its data.
FOLDERS = ("cgdms/protein_data/train_val", "protein_data/train_val", "train_val")
# A hundred residues take 9 kB; a larger file is none of these.
MAX_BYTES = 1_000_000


def find_cgdms(source: Path) -> Path | None:
    """Return the folder of proteins in an installed package's folder, or in the package if `source` is its name."""
    if str(source) == PACKAGE and not source.exists():
        found = find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            message = (
                "the package cgdms is not installed; install it with: pip install --no-deps cgdms==1.0, "
                "or give the folder that holds it"
            )
            raise InputError(message)
        source = Path(found.submodule_search_locations[0])
    for folder in FOLDERS:
        if (source / folder).is_dir():
            return source / folder
    return source if source.name == "train_val" and source.is_dir() else None


class CgdmsProteins:
    """The chains of one folder of text files."""

    kind = "cgdms"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = sorted(path.glob("*.txt"))
        self.total = len(self._files)
        if not self._files:
            message = f"{path} holds no proteins of cgdms (files *.txt); install the package again"
            raise InputError(message)

    def __iter__(self) -> Iterator[Item]:
        for file in self._files:
            try:
                yield Item(file.name, _read(file), {"predicted": False})
            except (OSError, ValueError) as error:
                yield Item(file.name, reason="damaged file", detail=f"{file}: {error}")


def _read(file: Path) -> tuple[Chain, ...]:
    if file.stat().st_size > MAX_BYTES:
        message = f"over {MAX_BYTES} bytes"
        raise ValueError(message)
    sequence, _, numbers = file.read_text(encoding="utf-8").split("\n", 2)
    coordinates = np.array(numbers.split(), np.float32).reshape(-1, 4, 3)
    if len(coordinates) != len(sequence) or not np.isfinite(coordinates).all():
        message = f"{len(coordinates)} residues for {len(sequence)} letters, or coordinates that are not finite"
        raise ValueError(message)
    coordinates[:, 3] = np.nan
    stretches = [stretch for stretch in unbroken_segments(coordinates) if stretch.stop - stretch.start > 1]
    return tuple(_finish(file.stem, sequence, coordinates, stretch) for stretch in stretches)


def _finish(name: str, sequence: str, coordinates: NDArray[np.float32], stretch: slice) -> Chain:
    """Place the oxygens of an unbroken stretch, leave out its last residue, and assign the states."""
    complete = place_oxygens(coordinates[stretch])[:-1]
    letters = sequence[stretch][:-1]
    states = assign_secondary_structure(complete, sequence=letters)
    return Chain(f"{name}:{stretch.start + 1}-{stretch.stop - 1}", complete, letters, states)
