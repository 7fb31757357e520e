"""The chain, the value that all protein modules exchange, and the names of its atoms and residues."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATOMS", "THREE_LETTER", "Chain"]

ATOMS = ("N", "CA", "C", "O")
THREE_LETTER = {
    "A": "ALA", "C": "CYS", "D": "ASP", "E": "GLU", "F": "PHE", "G": "GLY", "H": "HIS", "I": "ILE", "K": "LYS",
    "L": "LEU", "M": "MET", "N": "ASN", "P": "PRO", "Q": "GLN", "R": "ARG", "S": "SER", "T": "THR", "V": "VAL",
    "W": "TRP", "Y": "TYR", "X": "UNK",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chain:
    """A protein backbone.

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
