"""Protein chains out of PDB, mmCIF and BinaryCIF files.

Reading keeps the first model and the first alternative location. A residue counts when it has N, CA and C, whatever
it is called; its letter is that of the standard parent which the Chemical Component Dictionary gives (MSE is M, SEP
is S), selenocysteine is C, pyrrolysine K, and ``X`` stands for all others, D-amino acids among them. An oxygen that is
left out is placed in the peptide plane.
"""

import gzip
import io
import warnings
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.evaluation.secondary_structure import assign_secondary_structure
from helicell.protein.peptides import place_oxygens, unbroken_segments
from helicell.protein.structures.chain import ATOMS, THREE_LETTER, Chain
from helicell.protein.structures.names import SUFFIXES, file_stem, format_of

__all__ = ["Residues", "Structure", "StructureError", "read_backbone", "read_chains", "read_residues", "read_structure"]

ONE_LETTER = {name: letter for letter, name in THREE_LETTER.items()}
# Standard amino acids that stand in for the 21st and the 22nd.
RARE_PARENTS = {"U": "C", "O": "K"}

# The largest entries of the PDB, capsids of 2.4 million atoms, unpack to 250 MB; more is damage or malice.
MAX_FILE_BYTES = 320 * 2**20
MAX_ATOMS = 10_000_000
# No structure is ten micrometres wide (A).
MAX_COORDINATE = 1e5
# Words that mark a prediction in the title of a PDB file that names no experiment.
PREDICTION_MARKS = ("ALPHAFOLD", "ESMFOLD", "ROSETTAFOLD", "PREDICTION", "PREDICTED")


class StructureError(InputError):
    """A structure file that cannot be used.

    Parameters
    ----------
    path
        The file.
    reason
        The cause in the same few words for every file, to be counted.
    detail
        What more is known, and how to mend it.
    """

    def __init__(self, path: Path, reason: str, detail: str) -> None:
        super().__init__(f"{path} cannot be used: {reason} ({detail})")
        self.path, self.reason, self.detail = path, reason, detail

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is rebuilt from its message by default, when a process sends it to another.
        return type(self), (self.path, self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Structure:
    """What a structure file holds: unbroken chains, and whether it says that it is a prediction."""

    chains: tuple[Chain, ...]
    predicted: bool


@dataclass(frozen=True, slots=True)
class Residues:
    """The backbone residues of a file, in its order.

    Attributes
    ----------
    coordinates
        float32 [residues, 4, 3], atoms N, CA, C, O in Angstrom; an oxygen that is absent is NaN.
    chain, number, letters
        Of each residue its chain, its number with the insertion code if it has one, and its one-letter code.
    """

    coordinates: NDArray[np.float32]
    chain: NDArray[np.str_]
    number: NDArray[np.str_]
    letters: NDArray[np.str_]

    def __getitem__(self, part: Any) -> "Residues":
        return Residues(self.coordinates[part], self.chain[part], self.number[part], self.letters[part])


def read_chains(path: str | Path) -> list[Chain]:
    """Read all protein chains of the first model, cut at chain breaks.

    Parameters
    ----------
    path
        A PDB, mmCIF or BinaryCIF file, perhaps gzipped, known by its suffix.

    Returns
    -------
    list of Chain
        Unbroken chains in the order of the file; each is named after the file, its chain and its residue numbers.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, holds CA atoms only, or no protein at all.
    """
    return list(read_structure(path).chains)


def read_structure(path: str | Path) -> Structure:
    """Read the chains of a file as :func:`read_chains` does, and whether the file declares a prediction."""
    path = Path(path)
    residues, predicted = _parse_residues(path)
    stem = file_stem(path)
    chains: list[Chain] = []
    edges = np.flatnonzero(residues.chain[1:] != residues.chain[:-1]) + 1
    for start, stop in zip([0, *edges], [*edges, len(residues.chain)], strict=True):
        whole = residues[start:stop]
        for part in unbroken_segments(whole.coordinates):
            segment = whole[part]
            # The psi of a last residue without oxygen is unknown: nothing is invented for a training set.
            known = len(segment.letters) - int(np.isnan(segment.coordinates[-1, 3]).any())
            if known:
                complete = replace(segment, coordinates=place_oxygens(segment.coordinates))[:known]
                name = f"{stem}_{segment.chain[0]}:{segment.number[0]}-{segment.number[known - 1]}"
                chains.append(_make_chain(name, complete))
    return Structure(tuple(chains), predicted)


def read_residues(path: str | Path) -> Residues:
    """Read the residues of all chains under the numbers that the file gives them.

    Raises
    ------
    InputError
        As for :func:`read_chains`.
    """
    return _parse_residues(Path(path))[0]


def read_backbone(path: str | Path) -> Chain:
    """Read the one chain of a file, such as a generated backbone, whole even where its geometry is broken.

    Raises
    ------
    InputError
        As for :func:`read_chains`, or if the file holds several chains.
    """
    path = Path(path)
    residues = read_residues(path)
    names = list(dict.fromkeys(residues.chain.tolist()))
    if len(names) > 1:
        raise StructureError(path, "several protein chains", f"{', '.join(names[:5])}; expected one, split it first")
    complete = replace(residues, coordinates=place_oxygens(residues.coordinates))
    return _make_chain(file_stem(path), complete)


def _make_chain(name: str, residues: Residues) -> Chain:
    sequence = "".join(residues.letters.tolist())
    # The display of names is a terminal's or a table's: keep them printable.
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    states = assign_secondary_structure(residues.coordinates, sequence=sequence)
    return Chain(name, residues.coordinates, sequence, states)


def _parse_residues(path: Path) -> tuple[Residues, bool]:
    """Read and check a file; every way in which a parser can fail on a bad file becomes one `InputError`."""
    kind = format_of(path)
    if kind is None:
        raise StructureError(path, "not a structure file by its name", f"known: {', '.join(SUFFIXES)}, also with .gz")
    content = _read_bounded(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms, predicted = PARSERS[kind](content)
    except Exception as error:  # parsers fail on damaged files in every way there is
        cause = " ".join(str(error).split())[:120] or type(error).__name__
        raise StructureError(path, f"damaged {kind} file", f"{cause}; fetch or write it again") from error
    return _backbone_residues(path, atoms), predicted


def _parse_pdb(content: bytes) -> tuple[Any, bool]:
    from biotite.structure.io import pdb

    file = pdb.PDBFile.read(io.StringIO(_decode_text(content)))
    methods = [line.upper() for line in file.lines if line.startswith("EXPDTA")]
    titles = [line.upper() for line in file.lines if line.startswith("TITLE")]
    predicted = any("THEORETICAL" in method for method in methods)
    if not methods:
        predicted = any(mark in title for title in titles for mark in PREDICTION_MARKS)
    return file.get_structure(model=1, altloc="first"), predicted


def _parse_cif(content: bytes) -> tuple[Any, bool]:
    from biotite.structure.io import pdbx

    return _first_block(pdbx.CIFFile.read(io.StringIO(_decode_text(content))))


def _parse_bcif(content: bytes) -> tuple[Any, bool]:
    import msgpack
    from biotite.structure.io import pdbx

    unpacked = msgpack.unpackb(content)
    _refuse_inflation(unpacked)
    return _first_block(pdbx.BinaryCIFFile.deserialize(unpacked))


PARSERS = {"pdb": _parse_pdb, "cif": _parse_cif, "bcif": _parse_bcif}


def _first_block(file: Any) -> tuple[Any, bool]:
    """Return the atoms of an mmCIF file, and whether it says that it is a prediction."""
    from biotite.structure.io import pdbx

    first = next(iter(file), None)
    if first is None:
        message = "it has no data block"
        raise ValueError(message)
    block = file[first]
    predicted = any(name.startswith("ma_") for name in block)
    if "exptl" in block:
        methods = block["exptl"]["method"].as_array(str)
        predicted |= any("THEORETICAL" in method.upper() for method in methods)
    return pdbx.get_structure(block, model=1, altloc="first"), predicted


def _refuse_inflation(part: Any) -> None:
    """Refuse a BinaryCIF file in which a few bytes stand for a column of more rows than any structure has atoms."""
    if isinstance(part, dict):
        if part.get("kind") in ("RunLength", "IntegerPacking") and not 0 <= part["srcSize"] <= MAX_ATOMS:
            message = f"a column of {part['srcSize']} rows"
            raise ValueError(message)
        part = list(part.values())
    for member in part if isinstance(part, list) else ():
        _refuse_inflation(member)


def _backbone_residues(path: Path, atoms: Any) -> Residues:
    """Gather N, CA, C and O of each residue; residues without the first three are left out."""
    names = atoms.atom_name
    # Calcium ions are called CA as well, in residues called CA.
    wanted = np.isin(names, ATOMS) & (atoms.res_name != "CA")
    atoms = atoms[wanted]
    if not np.isin("CA", atoms.atom_name):
        raise StructureError(path, "no protein", "it has no residue with a CA atom")
    labels = np.stack([atoms.chain_id, atoms.res_id.astype(str), atoms.ins_code])
    starts = np.concatenate([[True], (labels[:, 1:] != labels[:, :-1]).any(axis=0)])
    residue = np.cumsum(starts) - 1
    slot = np.argmax(atoms.atom_name[:, None] == np.array(ATOMS), axis=1)
    table = np.full((residue[-1] + 1, len(ATOMS), 3), np.nan, np.float32)
    present = np.zeros(table.shape[:2], bool)
    # Backwards, so that of two atoms with one name the first stays.
    table[residue[::-1], slot[::-1]] = atoms.coord[::-1]
    present[residue, slot] = True
    if not (np.abs(table[present]) < MAX_COORDINATE).all():
        raise StructureError(path, "coordinates that are not finite", f"expected numbers within {MAX_COORDINATE:g} A")
    complete = present[:, :3].all(axis=1)
    if not complete.any():
        raise StructureError(path, "CA atoms without N and C", "give full backbones: N, CA, C, O")
    first = np.flatnonzero(starts)[complete]
    letters = np.array([_letter(name) for name in atoms.res_name[first].tolist()])
    number = np.strings.add(labels[1, first], labels[2, first])
    return Residues(table[complete], labels[0, first], number, letters)


@lru_cache(maxsize=4096)
def _letter(residue: str) -> str:
    """Letter of a residue or of its standard parent (rule in the module's first lines)."""
    if residue in ONE_LETTER:
        return ONE_LETTER[residue]
    from biotite.structure import info

    letter = info.one_letter_code(residue) or "X"
    if (info.link_type(residue) or "").startswith("D-"):
        return "X"
    letter = RARE_PARENTS.get(letter, letter)
    return letter if letter in THREE_LETTER else "X"


def _read_bounded(path: Path) -> bytes:
    """Read a file, unpacking gzip by its first bytes, up to a size that real structures keep."""
    if path.exists() and not path.is_file():
        raise StructureError(path, "no file", "it is a folder, a pipe or a device")
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if zipped else raw
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StructureError(path, "unreadable", f"{reason}; fetch or write it again") from error
    if len(content) > MAX_FILE_BYTES:
        raise StructureError(path, "too large", f"over {MAX_FILE_BYTES >> 20} MB unpacked, more than any structure")
    if not content.strip():
        raise StructureError(path, "empty file", "fetch or write it again")
    return content


def _decode_text(content: bytes) -> str:
    """Decode a text format: UTF-8, or Latin-1 as old author lists have it; NUL bytes mean that it is no text."""
    if b"\0" in content:
        message = "it holds NUL bytes, which no text file has"
        raise ValueError(message)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
