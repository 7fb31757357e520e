"""Several chains in one file, and residues under the numbers that a file gives them."""

import gemmi
import numpy as np
import pytest
from biotite.structure.io import pdb, pdbx

from helicell.core.errors import InputError
from helicell.protein.structures import FORMATS, read_chains, read_residues, write_assembly, write_backbone


@pytest.fixture(scope="module")
def chain(entries):
    """Return a real chain of 147 residues."""
    return read_chains(entries / "2gtl.cif")[0]


@pytest.fixture(scope="module")
def copies(chain):
    """Return three copies of it, far from each other."""
    return np.stack([chain.coordinates + 60 * k for k in range(3)])


@pytest.mark.parametrize("kind", FORMATS)
def test_biotite_reads_every_copy(chain, copies, tmp_path, kind):
    """Chains A, B, C, each numbered from 1, with the coordinates of its copy."""
    path = tmp_path / f"assembly.{kind}"
    write_assembly(path, copies, sequence=chain.sequence, format=kind)
    if kind == "pdb":
        atoms = pdb.PDBFile.read(path).get_structure(model=1)
    else:
        file = (pdbx.BinaryCIFFile if kind == "bcif" else pdbx.CIFFile).read(path)
        atoms = pdbx.get_structure(file, model=1)
    assert atoms.chain_id[:: 4 * len(chain)].tolist() == ["A", "B", "C"]
    assert atoms.res_id[::4].tolist() == 3 * list(range(1, len(chain) + 1))
    np.testing.assert_allclose(atoms.coord.reshape(copies.shape), copies, atol=6e-4)


def test_gemmi_sees_one_entity_of_three_chains(chain, copies, tmp_path):
    """For gemmi the copies are one polypeptide with three chains."""
    path = tmp_path / "assembly.cif"
    write_assembly(path, copies, sequence=chain.sequence)
    structure = gemmi.read_structure(str(path))
    assert [len(part) for part in structure[0]] == [len(chain)] * 3
    (entity,) = structure.entities
    assert entity.subchains == ["A", "B", "C"]
    assert entity.polymer_type == gemmi.PolymerType.PeptideL


def test_binary_and_text_mmcif_hold_the_same_chains(chain, copies, tmp_path):
    """Both kinds of mmCIF have the same chains and strands."""
    for kind in ("cif", "bcif"):
        write_assembly(tmp_path / f"assembly.{kind}", copies, sequence=chain.sequence, format=kind)
    text = pdbx.CIFFile.read(tmp_path / "assembly.cif").block
    binary = pdbx.BinaryCIFFile.read(tmp_path / "assembly.bcif").block
    for name in text:
        for column in text[name]:
            if not column.startswith(("Cartn", "occ", "B_iso")):
                assert binary[name][column].as_array(str).tolist() == text[name][column].as_array(str).tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_one_copy_is_the_same_file_as_a_backbone(chain, tmp_path, kind):
    """An assembly of one chain has the bytes of a single backbone."""
    write_backbone(tmp_path / "a" / f"one.{kind}", chain.coordinates, format=kind)
    write_assembly(tmp_path / "b" / f"one.{kind}", chain.coordinates[None], format=kind)
    assert (tmp_path / "a" / f"one.{kind}").read_bytes() == (tmp_path / "b" / f"one.{kind}").read_bytes()


def test_too_many_chains_are_refused(chain, tmp_path):
    """There are 62 letters and digits for chains, and five digits for the atoms of a PDB file."""
    with pytest.raises(InputError, match="63 chains"):
        write_assembly(tmp_path / "many.cif", np.zeros((63, 2, 4, 3)))
    with pytest.raises(InputError, match="PDB"):
        write_assembly(tmp_path / "many.pdb", np.zeros((60, 500, 4, 3)), format="pdb")


def test_residues_keep_their_chain_and_number(entries, chain):
    """Chains and numbers are those of the file, as gemmi tells them."""
    residues = read_residues(entries / "2gtl.cif")
    structure = gemmi.read_structure(str(entries / "2gtl.cif"))
    expected = [
        (part.name, str(residue.seqid).strip())
        for part in structure[0]
        for residue in part
        if all(residue.find_atom(name, "*", gemmi.Element(name[0])) for name in ("N", "CA", "C"))
    ]
    given = list(zip(residues.chain.tolist(), residues.number.tolist(), strict=True))
    assert given == expected
    np.testing.assert_array_equal(residues.coordinates[: len(chain)], chain.coordinates)
