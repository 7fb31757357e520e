"""Structure files are known by how their names end."""

from pathlib import Path

__all__ = ["SUFFIXES", "file_stem", "format_of", "is_structure_file"]

SUFFIXES = {".pdb": "pdb", ".ent": "pdb", ".cif": "cif", ".mmcif": "cif", ".bcif": "bcif"}
ZIPPED = ".gz"


def format_of(path: Path) -> str | None:
    """Return ``pdb``, ``cif`` or ``bcif``, or None for any other file; a final ``.gz`` does not matter.

    Examples
    --------
    >>> format_of(Path("1ABC.mmCIF.gz")), format_of(Path("notes.txt"))
    ('cif', None)
    """
    return SUFFIXES.get(Path(_unzipped(path)).suffix.lower())


def is_structure_file(path: Path) -> bool:
    """Whether the name ends as that of a PDB, mmCIF or BinaryCIF file, perhaps gzipped."""
    return format_of(path) is not None


def file_stem(path: Path) -> str:
    """Return the name of a structure file without its suffix.

    Examples
    --------
    >>> file_stem(Path("designs/noise_0.5.pdb.gz")), file_stem(Path("1abc"))
    ('noise_0.5', '1abc')
    """
    name = _unzipped(path)
    return Path(name).stem if is_structure_file(path) else name


def _unzipped(path: Path) -> str:
    return path.name[: -len(ZIPPED)] if path.name.lower().endswith(ZIPPED) else path.name
