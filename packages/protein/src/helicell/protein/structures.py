"""Protein chains and the files that hold them: PDB, mmCIF and BinaryCIF, in and out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chain"]


@dataclass(frozen=True, slots=True)
class Chain:
    """An unbroken protein backbone.

    Attributes
    ----------
    name
        Where it comes from, such as ``1a12_C:1-212``: structure, chain, first and last residue.
    coordinates
        float32 [residues, 4, 3], atoms N, CA, C, O in Angstrom.
    sequence
        One-letter codes, ``X`` for anything without a standard parent.
    secondary_structure
        ``H`` (helix), ``E`` (strand) or ``C`` (coil) of each residue.
    """

    name: str
    coordinates: NDArray[np.float32]
    sequence: str
    secondary_structure: str

    def __len__(self) -> int:
        return len(self.sequence)
