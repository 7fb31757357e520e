"""Backbones into mmCIF, PDB and BinaryCIF files, fast enough for tens of thousands of samples.

All but the coordinates of a file depends on the sequence and the number of chains alone, so each text format is one
template for these, filled by a single formatting operation. The mmCIF carries the entity and its sequence, so that
viewers show one polymer, or several copies of one.
"""

import io
import re
import string
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.files import atomic_write
from helicell.protein.structures.chain import ATOMS, THREE_LETTER
from helicell.protein.structures.names import file_stem

__all__ = ["FORMATS", "write_assembly", "write_backbone"]

FORMATS = ("cif", "pdb", "bcif")
ELEMENTS = ("N", "C", "C", "O")
# Columns of a PDB file: four digits for the residue number, %8.3f for a coordinate.
PDB_MAX_RESIDUES = 9999
PDB_COORDINATES = (-999.999, 9999.999)
# Five columns for the number of an atom.
PDB_MAX_SERIAL = 99999
# A chain of a PDB file has a letter or a digit.
CHAIN_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits

ATOM_SITE = (
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
    "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
    "B_iso_or_equiv", "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id", "pdbx_PDB_model_num",
)  # fmt: skip


def write_backbone(
    path: str | Path,
    coordinates: ArrayLike,
    *,
    sequence: str | None = None,
    format: str = "cif",  # noqa: A002  # the word that users of structure files look for
) -> None:
    """Write one backbone as chain A, whole or not at all.

    Parameters
    ----------
    path
        File to write; an existing one is replaced. Its suffix does not matter.
    coordinates
        [residues, 4, 3], atoms N, CA, C, O in Angstrom; written with three decimals.
    sequence
        One-letter codes; glycine throughout by default, as side chains are not given. ``X`` is written as UNK.
    format
        ``cif``, ``pdb`` or ``bcif``.

    Raises
    ------
    InputError
        If the format or a letter is unknown, the shapes do not fit, a coordinate is not finite, or the
        backbone is too long or too wide for a PDB file.
    """
    write_assembly(path, np.asarray(coordinates, np.float64)[None], sequence=sequence, format=format)


def write_assembly(
    path: str | Path,
    coordinates: ArrayLike,
    *,
    sequence: str | None = None,
    format: str = "cif",  # noqa: A002  # the word that users of structure files look for
) -> None:
    """Write copies of one chain as chains A, B, C ..., whole or not at all.

    Parameters
    ----------
    path, sequence, format
        As for :func:`write_backbone`; all chains have the same sequence.
    coordinates
        [chains, residues, 4, 3], atoms N, CA, C, O in Angstrom; written with three decimals.

    Raises
    ------
    InputError
        As for :func:`write_backbone`, or if there are more chains than letters and digits.
    """
    if format not in FORMATS:
        raise unknown_option("format", format, FORMATS)
    backbones = np.asarray(coordinates, np.float64)
    _check(backbones, sequence)
    chains, residues = backbones.shape[:2]
    sequence = sequence or "G" * residues
    title = re.sub(r"[^A-Za-z0-9_.-]", "_", file_stem(Path(path)))
    if format == "bcif":
        content = _binary_cif(title, backbones, sequence)
    else:
        if format == "pdb":
            _check_fits_pdb(backbones)
        template = _cif_template(sequence, chains) if format == "cif" else _pdb_template(sequence, chains)
        content = (template % (title, *_rounded(backbones.reshape(-1)).tolist())).encode("ascii")
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _check(backbones: NDArray[np.float64], sequence: str | None) -> None:
    if backbones.ndim != 4 or backbones.shape[2:] != (4, 3) or not backbones.size:
        message = f"coordinates of shape {backbones.shape[1:]} were given; give N, CA, C and O as [residues, 4, 3]"
        raise InputError(message)
    if len(backbones) > len(CHAIN_LETTERS):
        message = f"{len(backbones)} chains cannot be written; {len(CHAIN_LETTERS)} is the most"
        raise InputError(message)
    if not np.isfinite(backbones).all():
        message = "the backbone has coordinates that are not finite numbers; it cannot be written"
        raise InputError(message)
    if sequence is None:
        return
    residues = backbones.shape[1]
    if len(sequence) != residues:
        message = f"a sequence of {len(sequence)} letters was given for {residues} residues; give one a residue"
        raise InputError(message)
    strange = "".join(sorted(set(sequence) - THREE_LETTER.keys()))
    if strange:
        message = f"the sequence has the letters {strange!r}; known: {''.join(THREE_LETTER)}"
        raise InputError(message)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the three decimals of every format, alike in all of them, and to 0 instead of -0."""
    return np.rint(values * 1000.0) / 1000.0 + 0.0


def _check_fits_pdb(backbones: NDArray[np.float64]) -> None:
    lowest, highest = PDB_COORDINATES
    chains, residues = backbones.shape[:2]
    serials = chains * (4 * residues + 1)
    fits = residues <= PDB_MAX_RESIDUES and serials <= PDB_MAX_SERIAL
    if not fits or backbones.min() < lowest or backbones.max() > highest:
        message = (
            f"{chains * residues} residues from {backbones.min():.0f} to {backbones.max():.0f} A do not fit the "
            "columns of a PDB file; write cif instead"
        )
        raise InputError(message)


@lru_cache(maxsize=256)
def _pdb_template(sequence: str, chains: int) -> str:
    lines = ["TITLE     %s"]
    serial = 0
    for chain in CHAIN_LETTERS[:chains]:
        for number, letter in enumerate(sequence, start=1):
            residue = THREE_LETTER[letter]
            for atom, element in zip(ATOMS, ELEMENTS, strict=True):
                serial += 1
                start = f"ATOM  {serial:5d}  {atom:<3s} {residue:>3s} {chain}{number:4d}    "
                lines.append(f"{start}%8.3f%8.3f%8.3f  1.00  0.00          {element:>2s}  ")
        serial += 1
        lines.append(f"TER   {serial:5d}      {THREE_LETTER[sequence[-1]]} {chain}{len(sequence):4d}")
    return "\n".join([*lines, "END", ""])


@lru_cache(maxsize=256)
def _cif_template(sequence: str, chains: int) -> str:
    letters = CHAIN_LETTERS[:chains]
    asym = ["_struct_asym.id A", "_struct_asym.entity_id 1"]
    if chains > 1:
        asym = ["#", "loop_", "_struct_asym.id", "_struct_asym.entity_id", *(f"{letter} 1" for letter in letters)]
    head = [
        "data_%s",
        "#",
        "_entity.id 1",
        "_entity.type polymer",
        "_entity_poly.entity_id 1",
        "_entity_poly.type 'polypeptide(L)'",
        f"_entity_poly.pdbx_strand_id {','.join(letters)}",
        *asym,
        "#",
        "loop_",
        "_entity_poly_seq.entity_id",
        "_entity_poly_seq.num",
        "_entity_poly_seq.mon_id",
        *(f"1 {number} {THREE_LETTER[letter]}" for number, letter in enumerate(sequence, start=1)),
        "#",
        "loop_",
        *(f"_atom_site.{column}" for column in ATOM_SITE),
    ]
    rows: list[str] = []
    for chain in letters:
        for number, letter in enumerate(sequence, start=1):
            residue = THREE_LETTER[letter]
            for atom, element in zip(ATOMS, ELEMENTS, strict=True):
                rows.append(
                    f"ATOM {len(rows) + 1} {element} {atom} . {residue} {chain} 1 {number} ? %.3f %.3f %.3f "
                    f"1.00 0.00 {number} {residue} {chain} {atom} 1"
                )
    return "\n".join([*head, *rows, "#", ""])


def _binary_cif(title: str, backbones: NDArray[np.float64], sequence: str) -> bytes:
    """Serialise through biotite; all but the coordinates comes already serialised."""
    from biotite.structure.io import pdbx

    columns = _binary_columns(sequence, len(backbones))
    categories = {name: pdbx.BinaryCIFCategory(dict(columns[name])) for name in columns}
    for axis, column in enumerate(("Cartn_x", "Cartn_y", "Cartn_z")):
        categories["atom_site"][column] = _fixed_point(_rounded(backbones[..., axis].reshape(-1)))
    file = pdbx.BinaryCIFFile({title: pdbx.BinaryCIFBlock(categories)})
    buffer = io.BytesIO()
    file.write(buffer)
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _binary_columns(sequence: str, chains: int) -> dict[str, dict[str, Any]]:
    """All columns but the coordinates, compressed and serialised, by category."""
    from biotite.structure.io import pdbx

    count = len(sequence)
    numbers = np.arange(1, count + 1)
    residues = np.array([THREE_LETTER[letter] for letter in sequence])
    letters = list(CHAIN_LETTERS[:chains])
    atoms = 4 * count * chains
    chain_column = np.repeat(letters, 4 * count)
    residue_column, number_column = np.tile(np.repeat(residues, 4), chains), np.tile(np.repeat(numbers, 4), chains)
    # A column that no row fills: every value masked as inapplicable (1) or missing (2).
    unset = np.full(atoms, "")
    atom_site = {
        "group_PDB": np.full(atoms, "ATOM"),
        "id": np.arange(1, atoms + 1),
        "type_symbol": np.tile(ELEMENTS, count * chains),
        "label_atom_id": np.tile(ATOMS, count * chains),
        "label_alt_id": pdbx.BinaryCIFColumn(unset, np.full(atoms, 1, np.uint8)),
        "label_comp_id": residue_column,
        "label_asym_id": chain_column,
        "label_entity_id": np.full(atoms, "1"),
        "label_seq_id": number_column,
        "pdbx_PDB_ins_code": pdbx.BinaryCIFColumn(unset, np.full(atoms, 2, np.uint8)),
        "occupancy": np.ones(atoms, np.float32),
        "B_iso_or_equiv": np.zeros(atoms, np.float32),
        "auth_seq_id": number_column,
        "auth_comp_id": residue_column,
        "auth_asym_id": chain_column,
        "auth_atom_id": np.tile(ATOMS, count * chains),
        "pdbx_PDB_model_num": np.ones(atoms, int),
    }
    categories = {
        "entity": {"id": ["1"], "type": ["polymer"]},
        "entity_poly": {"entity_id": ["1"], "type": ["polypeptide(L)"], "pdbx_strand_id": [",".join(letters)]},
        "struct_asym": {"id": letters, "entity_id": ["1"] * chains},
        "entity_poly_seq": {"entity_id": np.full(count, "1"), "num": numbers, "mon_id": residues},
        "atom_site": atom_site,
    }
    return {
        name: {key: column.serialize() for key, column in pdbx.compress(pdbx.BinaryCIFCategory(columns)).items()}
        for name, columns in categories.items()
    }


def _fixed_point(values: NDArray[np.float64]) -> Any:
    """Three decimals as steps between integers, the coding of the PDB's own BinaryCIF files."""
    from biotite.structure.io import pdbx

    encoding = [
        pdbx.FixedPointEncoding(factor=1000, src_type=pdbx.TypeCode.FLOAT32),
        pdbx.DeltaEncoding(),
        pdbx.IntegerPackingEncoding(byte_count=2),
        pdbx.ByteArrayEncoding(),
    ]
    return pdbx.BinaryCIFColumn(pdbx.BinaryCIFData(values.astype(np.float32), encoding))
