"""Protein chains and the files that hold them: the only package that touches biotite's readers and writers.

``chain.py`` is the value, ``reading.py`` takes it out of PDB, mmCIF and BinaryCIF files, ``writing.py`` puts it in, and
``names.py`` tells these files by their names.
"""

from helicell.protein.structures.chain import ATOMS, THREE_LETTER, Chain
from helicell.protein.structures.names import file_stem, is_structure_file
from helicell.protein.structures.reading import (
    Residues,
    Structure,
    StructureError,
    read_backbone,
    read_chains,
    read_residues,
    read_structure,
)
from helicell.protein.structures.writing import FORMATS, write_assembly, write_backbone

__all__ = [
    "ATOMS",
    "FORMATS",
    "THREE_LETTER",
    "Chain",
    "Residues",
    "Structure",
    "StructureError",
    "file_stem",
    "is_structure_file",
    "read_backbone",
    "read_chains",
    "read_residues",
    "read_structure",
    "write_assembly",
    "write_backbone",
]
