"""Chains out of structure files: held against gemmi on real entries, and against files made to be difficult."""

import gzip
import pickle
from pathlib import Path

import gemmi
import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.structures import (
    StructureError,
    read_backbone,
    read_chains,
    read_structure,
    write_backbone,
)

ATOMS = ("N", "CA", "C", "O")
MOST_PEPTIDE_BOND = 1.8
# A stretched residue; the next begins 1.33 A behind its C.
PLACES = np.array([[0.0, 0.0, 0.0], [1.2, 0.8, 0.0], [2.4, 0.0, 0.0], [2.4, -1.2, 0.0]])
STEP = np.array([3.73, 0.0, 0.0])


def gemmi_chains(path: Path) -> list[tuple[str, str, str, np.ndarray]]:
    """Read unbroken chains by gemmi alone: author chain, numbers of the ends, letters, coordinates."""
    structure = gemmi.read_structure(str(path))
    structure.remove_alternative_conformations()
    segments: list[tuple[str, list[gemmi.Residue]]] = []
    for chain in structure[0]:
        for residue in chain:
            atoms = {atom.name: atom for atom in residue if atom.element != gemmi.Element("Ca")}
            if not {"N", "CA", "C"} <= atoms.keys():
                continue
            name, current = segments[-1] if segments else ("", [])
            if name == chain.name and current[-1]["C"][0].pos.dist(atoms["N"].pos) <= MOST_PEPTIDE_BOND:
                current.append(residue)
            else:
                segments.append((chain.name, [residue]))
    return [
        (
            name,
            f"{residues[0].seqid}-{residues[-1].seqid}",
            gemmi.one_letter_code([residue.name for residue in residues]),
            np.array([[residue[atom][0].pos.tolist() for atom in ATOMS] for residue in residues]),
        )
        for name, residues in segments
    ]


def strand(names: list[str], *, chain: str = "A") -> gemmi.Structure:
    """Build a chain of these residues with peptide bonds of 1.33 A."""
    structure = gemmi.Structure()
    model = structure.add_model(gemmi.Model(1))
    added = model.add_chain(gemmi.Chain(chain))
    for index, name in enumerate(names):
        residue = gemmi.Residue()
        residue.name, residue.seqid = name, gemmi.SeqId(str(index + 1))
        residue.het_flag = "A" if gemmi.find_tabulated_residue(name).is_standard() else "H"
        for atom_name, place in zip(ATOMS, PLACES + index * STEP, strict=True):
            atom = gemmi.Atom()
            atom.name, atom.element = atom_name, gemmi.Element(atom_name[0])
            atom.pos = gemmi.Position(*place)
            residue.add_atom(atom)
        added.add_residue(residue)
    structure.setup_entities()
    return structure


@pytest.mark.parametrize("entry", ["2gtl.pdb", "2gtl.cif", "7ok9.cif"])
def test_real_entries_are_read_as_gemmi_reads_them(entries, entry):
    """Chains, breaks, numbers, letters and every coordinate of two large entries agree with gemmi's own reading."""
    chains = read_chains(entries / entry)
    expected = gemmi_chains(entries / entry)
    assert [chain.name for chain in chains] == [f"{entry[:4]}_{name}:{ends}" for name, ends, _, _ in expected]
    for chain, (_, _, letters, coordinates) in zip(chains, expected, strict=True):
        assert chain.sequence == letters
        assert len(chain.secondary_structure) == len(letters)
        np.testing.assert_allclose(chain.coordinates, coordinates, atol=1e-4)


def test_binary_and_gzipped_files_give_the_same_chain(entries, tmp_path):
    """PDB, mmCIF and BinaryCIF, plain and gzipped, are one and the same chain."""
    first = read_chains(entries / "2gtl.cif")[0]
    for kind in ("pdb", "cif", "bcif"):
        plain, zipped = tmp_path / f"chain.{kind}", tmp_path / f"other.{kind}.GZ"
        write_backbone(plain, first.coordinates, sequence=first.sequence, format=kind)
        zipped.write_bytes(gzip.compress(plain.read_bytes()))
        for file in (plain, zipped):
            (chain,) = read_chains(file)
            assert chain.sequence == first.sequence
            assert chain.secondary_structure == first.secondary_structure
            np.testing.assert_allclose(chain.coordinates, first.coordinates, atol=1e-3)


@pytest.mark.parametrize(
    ("residue", "letter"),
    [("MSE", "M"), ("SEP", "S"), ("PTR", "Y"), ("HYP", "P"), ("SEC", "C"), ("PYL", "K"), ("DAL", "X"), ("UNK", "X")],
)
def test_modified_residues_become_their_parents(tmp_path, residue, letter):
    """A modified residue inside a chain stays, as its standard parent; D-amino acids and unknown ones are X."""
    strand(["GLY", "ALA", residue, "VAL"]).write_pdb(str(tmp_path / "modified.pdb"))
    (chain,) = read_chains(tmp_path / "modified.pdb")
    assert chain.sequence == f"GA{letter}V"


def test_only_the_first_model_and_the_first_location_count(tmp_path):
    """Further models and alternative locations leave no trace, not even where the residue itself alternates."""
    structure = strand(["GLY", "ALA", "SER", "VAL", "GLY"])
    expected = np.array([[residue[atom][0].pos.tolist() for atom in ATOMS] for residue in structure[0]["A"]])
    second = structure[0].clone()
    second.num = 2
    for residue in second["A"]:
        for atom in residue:
            atom.pos += gemmi.Position(50, 0, 0)
    structure.add_model(second)
    chain = structure[0]["A"]
    _give_locations(chain[1], chain[1].clone())
    variant = chain[3].clone()
    _give_locations(chain[3], variant, apart=True)
    variant.name = "ILE"
    chain.add_residue(variant, 4)
    structure.write_pdb(str(tmp_path / "many.pdb"))
    structure.make_mmcif_document().write_file(str(tmp_path / "many.cif"))
    for file in ("many.pdb", "many.cif"):
        (read,) = read_chains(tmp_path / file)
        assert read.sequence == "GASVG"
        np.testing.assert_allclose(read.coordinates, expected, atol=1e-3)


def _give_locations(residue: gemmi.Residue, second: gemmi.Residue, *, apart: bool = False) -> None:
    """Mark the atoms as location A, and those of the second residue, moved a little, as B; add them unless apart."""
    for atom in residue:
        atom.altloc = "A"
    for atom in second:
        atom.altloc = "B"
        atom.pos += gemmi.Position(0, 0, 0.7)
        if not apart:
            residue.add_atom(atom)


def test_gaps_cut_the_chain_and_calcium_is_no_residue(tmp_path):
    """A residue without N breaks the chain in two, named by their numbers; a calcium ion is not taken for a CA atom."""
    structure = strand(["GLY"] * 7)
    structure[0]["A"][3].remove_atom("N", "\0", gemmi.Element("N"))
    calcium = gemmi.Residue()
    calcium.name, calcium.seqid, calcium.het_flag = "CA", gemmi.SeqId("101"), "H"
    ion = gemmi.Atom()
    ion.name, ion.element = "CA", gemmi.Element("Ca")
    calcium.add_atom(ion)
    structure[0]["A"].add_residue(calcium)
    structure.write_pdb(str(tmp_path / "gap.pdb"))
    assert [chain.name for chain in read_chains(tmp_path / "gap.pdb")] == ["gap_A:1-3", "gap_A:5-7"]


def test_an_absent_oxygen_is_placed_but_not_invented_at_the_end(entries, tmp_path):
    """Oxygens that a file leaves out are placed near the true ones; a last residue without one is cut off."""
    chain = read_chains(entries / "2gtl.pdb")[1]
    write_backbone(tmp_path / "full.pdb", chain.coordinates, sequence=chain.sequence, format="pdb")
    lines = (tmp_path / "full.pdb").read_text().splitlines(keepends=True)
    (tmp_path / "bare.pdb").write_text("".join(line for line in lines if line[12:16] != " O  "))
    (bare,) = read_chains(tmp_path / "bare.pdb")
    assert len(bare) == len(chain) - 1
    error = np.linalg.norm(bare.coordinates[:, 3] - chain.coordinates[:-1, 3], axis=-1)
    assert np.median(error) < 0.05
    assert error.max() < 0.35
    assert len(read_backbone(tmp_path / "bare.pdb")) == len(chain)


def test_a_backbone_is_read_whole_where_it_is_broken(tmp_path):
    """A sample keeps its residues in one chain whatever its bonds, so that an evaluation sees how bad they are."""
    coordinates = np.cumsum(np.full((6, 4, 3), 9.0), axis=0) + np.arange(12).reshape(4, 3)
    write_backbone(tmp_path / "sample_000001.cif", coordinates)
    assert len(read_chains(tmp_path / "sample_000001.cif")) == 6
    backbone = read_backbone(tmp_path / "sample_000001.cif")
    assert (backbone.name, backbone.sequence) == ("sample_000001", "GGGGGG")
    np.testing.assert_allclose(backbone.coordinates, coordinates, atol=1e-3)


def test_several_chains_are_no_backbone(entries):
    """Where one chain is expected, a file of many is refused."""
    with pytest.raises(StructureError, match="several protein chains"):
        read_backbone(entries / "2gtl.cif")


@pytest.mark.parametrize(
    ("text", "predicted"),
    [
        ("EXPDTA    X-RAY DIFFRACTION\n", False),
        ("EXPDTA    THEORETICAL MODEL\n", True),
        ("TITLE     ALPHAFOLD MONOMER V2.0 PREDICTION FOR NISIN\n", True),
        ("TITLE     LIKE THE PREDICTION\nEXPDTA    X-RAY DIFFRACTION\nREMARK 200 STARTING MODEL: ALPHAFOLD\n", False),
        ("", False),
    ],
)
def test_predictions_are_known_by_what_the_file_says(tmp_path, text, predicted):
    """The method of a PDB file decides whether it is a prediction, then its title; one that says nothing is none."""
    file = tmp_path / "model.pdb"
    file.write_text(text + strand(["GLY", "ALA", "SER"]).make_pdb_string())
    assert read_structure(file).predicted is predicted


def test_modelcif_is_a_prediction(tmp_path):
    """A category of the ModelCIF dictionary marks an mmCIF file as a prediction."""
    document = strand(["GLY", "ALA", "SER"]).make_mmcif_document()
    document.sole_block().set_pairs("_ma_model_list.", {"model_id": "1"})
    document.write_file(str(tmp_path / "model.cif"))
    assert read_structure(tmp_path / "model.cif").predicted


def _ca_only(pdb: bytes) -> bytes:
    return b"".join(line + b"\n" for line in pdb.split(b"\n") if line[12:16] == b" CA ")


DAMAGE = {
    "empty.pdb": (lambda pdb, cif: b"", "empty file"),
    "cut.cif": (lambda pdb, cif: cif[: len(cif) // 2 + 7], "damaged cif file"),
    "head.cif": (lambda pdb, cif: cif[:3000], "damaged cif file"),
    "page.cif": (lambda pdb, cif: b"<html>404 Not Found</html>", "damaged cif file"),
    "cut.pdb": (lambda pdb, cif: pdb[:500_033], "damaged pdb file"),
    "cut.cif.gz": (lambda pdb, cif: gzip.compress(cif)[:50_000], "unreadable"),
    "checksum.cif.gz": (lambda pdb, cif: gzip.compress(cif)[:-8] + bytes(8), "unreadable"),
    "noise.bcif": (lambda pdb, cif: bytes(range(256)) * 20, "damaged bcif file"),
    "noise.pdb": (lambda pdb, cif: bytes(range(256)) * 20, "damaged pdb file"),
    "sixteen.pdb": (lambda pdb, cif: pdb[:20_000].decode("latin-1").encode("utf-16"), "damaged pdb file"),
    "alpha.pdb": (lambda pdb, cif: _ca_only(pdb), "CA atoms without N and C"),
    "dna.pdb": (lambda pdb, cif: gemmi_dna().encode(), "no protein"),
    "chain.xyz": (lambda pdb, cif: pdb, "not a structure file by its name"),
}


def gemmi_dna() -> str:
    """Return a PDB file of one nucleotide."""
    structure = strand(["DA"])
    for atom, name in zip(structure[0]["A"][0], ["P", "O5'", "C5'", "C4'"], strict=True):
        atom.name = name
    return structure.make_pdb_string()


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line_with_its_cause(entries, tmp_path, name):
    """Every kind of unusable file is an error of one line that names the file and the cause."""
    damage, reason = DAMAGE[name]
    file = tmp_path / name
    file.write_bytes(damage((entries / "2gtl.pdb").read_bytes(), (entries / "2gtl.cif").read_bytes()))
    with pytest.raises(StructureError) as caught:
        read_chains(file)
    assert caught.value.reason == reason
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_coordinates_must_be_finite(tmp_path):
    """A NaN among the coordinates is an error, not a chain."""
    text = strand(["GLY", "ALA", "SER"]).make_pdb_string()
    line = next(line for line in text.splitlines() if line.startswith("ATOM"))
    (tmp_path / "nan.pdb").write_text(text.replace(line, f"{line[:30]}     nan{line[38:]}"))
    with pytest.raises(StructureError, match="not finite"):
        read_chains(tmp_path / "nan.pdb")


def test_what_is_no_file_is_not_opened(tmp_path):
    """Folders and pipes named like structures are refused at once; an absent file is said to be absent."""
    import os

    (tmp_path / "folder.pdb").mkdir()
    os.mkfifo(tmp_path / "pipe.pdb")
    for name in ("folder.pdb", "pipe.pdb"):
        with pytest.raises(StructureError, match="a folder, a pipe or a device"):
            read_chains(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_chains(tmp_path / "absent.pdb")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """Reading stops at the size limit, however much a gzipped file unpacks to."""
    monkeypatch.setattr("helicell.protein.structures.reading.MAX_FILE_BYTES", 2**20)
    (tmp_path / "bomb.pdb.gz").write_bytes(gzip.compress(bytes(2**24)))
    with pytest.raises(StructureError, match="too large"):
        read_chains(tmp_path / "bomb.pdb.gz")


def test_an_inflated_binary_file_is_refused(tmp_path):
    """A BinaryCIF column of more rows than any structure has atoms is refused before it is unpacked."""
    import msgpack

    write_backbone(tmp_path / "bomb.bcif", np.arange(24.0).reshape(2, 4, 3), format="bcif")
    content = msgpack.unpackb((tmp_path / "bomb.bcif").read_bytes())
    column = content["dataBlocks"][0]["categories"][-1]["columns"][-1]
    column["data"]["encoding"][0] |= {"kind": "IntegerPacking", "srcSize": 2**31 - 1}
    (tmp_path / "bomb.bcif").write_bytes(msgpack.packb(content))
    with pytest.raises(StructureError, match="a column of 2147483647 rows"):
        read_chains(tmp_path / "bomb.bcif")


def test_odd_encodings_and_line_ends_do_no_harm(entries, tmp_path):
    """Latin-1 author names, a byte order mark and Windows line ends leave the chains as they are."""
    expected = [chain.sequence for chain in read_chains(entries / "2gtl.pdb")]
    pdb = (entries / "2gtl.pdb").read_bytes()
    variants = {
        "latin.pdb": "AUTHOR    M. MÜLLER\n".encode("latin-1") + pdb,
        "windows.pdb": pdb.replace(b"\n", b"\r\n"),
        "mark.cif": b"\xef\xbb\xbf" + (entries / "2gtl.cif").read_bytes(),
    }
    for name, content in variants.items():
        (tmp_path / name).write_bytes(content)
        assert [chain.sequence for chain in read_chains(tmp_path / name)] == expected


def test_errors_travel_between_processes():
    """An error of a worker process arrives whole."""
    error = pickle.loads(pickle.dumps(StructureError(Path("a.pdb"), "empty file", "write it again")))
    assert (error.reason, str(error)) == ("empty file", "a.pdb cannot be used: empty file (write it again)")
