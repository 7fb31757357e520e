"""Backbones into files that other programs read: biotite, gemmi."""

import gemmi
import numpy as np
import pytest
from biotite.structure.io import pdb, pdbx

from helicell.core.errors import InputError
from helicell.protein.structures import FORMATS, THREE_LETTER, read_backbone, read_chains, write_backbone

ATOMS = ["N", "CA", "C", "O"]


@pytest.fixture(scope="module")
def chain(entries):
    """Return a real chain of 147 residues."""
    return read_chains(entries / "2gtl.cif")[0]


def by_biotite(path):
    """Read the atoms with biotite alone."""
    if path.suffix == ".pdb":
        return pdb.PDBFile.read(path).get_structure(model=1)
    file = (pdbx.BinaryCIFFile if path.suffix == ".bcif" else pdbx.CIFFile).read(path)
    return pdbx.get_structure(file, model=1)


@pytest.mark.parametrize("kind", FORMATS)
def test_biotite_reads_every_format(chain, tmp_path, kind):
    """Atoms, residues, chain, elements and coordinates come back through biotite, to the third decimal."""
    path = tmp_path / f"backbone.{kind}"
    write_backbone(path, chain.coordinates, sequence=chain.sequence, format=kind)
    atoms = by_biotite(path)
    assert atoms.atom_name.tolist() == ATOMS * len(chain)
    assert atoms.element.tolist() == ["N", "C", "C", "O"] * len(chain)
    assert set(atoms.chain_id) == {"A"}
    assert not atoms.hetero.any()
    assert atoms.res_id[::4].tolist() == list(range(1, len(chain) + 1))
    assert atoms.res_name[::4].tolist() == [THREE_LETTER[letter] for letter in chain.sequence]
    np.testing.assert_allclose(atoms.coord.reshape(-1, 4, 3), chain.coordinates, atol=6e-4)


@pytest.mark.parametrize("kind", ["cif", "pdb"])
def test_gemmi_sees_one_peptide(chain, tmp_path, kind):
    """For gemmi the file is one polypeptide with the right sequence and coordinates (it reads no BinaryCIF)."""
    path = tmp_path / f"backbone.{kind}"
    write_backbone(path, chain.coordinates, sequence=chain.sequence, format=kind)
    structure = gemmi.read_structure(str(path))
    structure.setup_entities()
    assert [part.name for part in structure[0]] == ["A"]
    polymer = structure[0]["A"].get_polymer()
    assert polymer.check_polymer_type() == gemmi.PolymerType.PeptideL
    assert gemmi.one_letter_code(polymer.extract_sequence()) == chain.sequence
    coordinates = [atom.pos.tolist() for residue in polymer for atom in residue]
    np.testing.assert_allclose(np.reshape(coordinates, (-1, 4, 3)), chain.coordinates, atol=6e-4)


def test_binary_and_text_mmcif_hold_the_same(chain, tmp_path):
    """Both kinds of mmCIF have the same categories, columns and values."""
    for kind in ("cif", "bcif"):
        write_backbone(tmp_path / f"backbone.{kind}", chain.coordinates, sequence=chain.sequence, format=kind)
    text = pdbx.CIFFile.read(tmp_path / "backbone.cif").block
    binary = pdbx.BinaryCIFFile.read(tmp_path / "backbone.bcif").block
    assert list(text) == list(binary)
    for name in text:
        assert set(text[name]) == set(binary[name])
        for column in text[name]:
            given, read = text[name][column].as_array(str), binary[name][column].as_array(str)
            if column in ("Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv"):
                np.testing.assert_allclose(read.astype(float), given.astype(float), atol=6e-4)
            else:
                assert read.tolist() == given.tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_backbones_give_equal_bytes(chain, tmp_path, kind):
    """A file depends on its name and its content only; without a sequence it is glycine throughout."""
    for folder in ("first", "second"):
        write_backbone(tmp_path / folder / f"sample_000003.{kind}", chain.coordinates, format=kind)
    first, second = (tmp_path / folder / f"sample_000003.{kind}" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert read_backbone(first).sequence == "G" * len(chain)


def test_minus_zero_and_unknown_residues(tmp_path):
    """Values that round to zero carry no sign, and X is written as UNK."""
    coordinates = np.full((1, 4, 3), -1e-5)
    write_backbone(tmp_path / "zero.pdb", coordinates, sequence="X", format="pdb")
    text = (tmp_path / "zero.pdb").read_text()
    assert "-0.000" not in text
    assert "UNK A   1" in text


@pytest.mark.parametrize(
    ("coordinates", "options", "message"),
    [
        (np.zeros((2, 4, 3)), {"format": "pdbx"}, "unknown format 'pdbx'"),
        (np.zeros((2, 3, 3)), {}, r"shape \(2, 3, 3\)"),
        (np.zeros((0, 4, 3)), {}, r"shape \(0, 4, 3\)"),
        (np.full((2, 4, 3), np.nan), {}, "not finite"),
        (np.zeros((2, 4, 3)), {"sequence": "A"}, "1 letters was given for 2 residues"),
        (np.zeros((2, 4, 3)), {"sequence": "A%"}, "letters '%'"),
        (np.full((2, 4, 3), -1234.0), {"format": "pdb"}, "write cif instead"),
        (np.zeros((10_000, 4, 3)), {"format": "pdb"}, "write cif instead"),
    ],
)
def test_bad_backbones_leave_nothing(tmp_path, coordinates, options, message):
    """A backbone that cannot be written is an error of one line, and no file is made."""
    with pytest.raises(InputError, match=message):
        write_backbone(tmp_path / "bad.pdb", coordinates, **options)
    assert not list(tmp_path.iterdir())
