"""Each kind of source: found by its path, read as its format says, held against independent readings of real data."""

import importlib.util
import shutil
import struct
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.sources import open_source
from helicell.protein.chains.sources.backbones import decode_backbones
from helicell.protein.chains.sources.folder import StructureFolder
from helicell.protein.chains.store import ChainStore
from helicell.protein.structures import Chain, read_chains, write_backbone

PROMOD = Path("/usr/share/promod3/loop_data/structure_db.dat")


def all_chains(source) -> list[Chain]:
    """Return the chains of all items."""
    return [chain for item in source for chain in item.chains]


# --- archives of backbones


def zigzag(coordinates: np.ndarray) -> np.ndarray:
    """Code one chain as an archive does, written from the description of the format."""
    units = np.rint(coordinates * 100).astype(int)
    nitrogen, alpha, carbon, oxygen = units.swapaxes(0, 1)
    steps = np.diff(alpha, axis=0, prepend=alpha[:1])
    deltas = np.concatenate([steps, nitrogen - alpha, carbon - alpha, oxygen - carbon], axis=1)
    return np.where(deltas >= 0, 2 * deltas, -2 * deltas - 1).T


def write_archive(path: Path, chains: list[Chain], **columns: object) -> None:
    """Write an archive of these chains."""
    coded = np.concatenate([zigzag(chain.coordinates) for chain in chains], axis=1)
    np.savez(
        path,
        offsets=np.cumsum([0, *(len(chain) for chain in chains)]),
        lo=(coded & 255).astype(np.uint8),
        hi=(coded >> 8).astype(np.uint8),
        seq=np.frombuffer("".join(chain.sequence for chain in chains).encode(), np.uint8),
        ss=np.frombuffer("".join(chain.secondary_structure for chain in chains).encode(), np.uint8),
        name=np.array([chain.name for chain in chains]),
        **columns,
    )


def test_an_archive_gives_its_chains_and_columns(tmp_path, chains):
    """Chains come back to 0.01 A from their first CA; numbered sources become names; other arrays are no columns."""
    write_archive(
        tmp_path / "a.npz",
        chains,
        source=np.arange(12, dtype=np.uint8) % 2,
        sources=np.array(["x", "y"]),
        predicted=np.arange(12) > 6,
        note=np.zeros(3),
    )
    source = open_source(tmp_path / "a.npz")
    items = list(source)
    assert (source.kind, source.total) == ("backbones", 12)
    assert [item.columns for item in items[6:8]] == [
        {"source": "x", "predicted": False},
        {"source": "y", "predicted": True},
    ]
    for given, item in zip(chains, items, strict=True):
        (read,) = item.chains
        assert (read.name, read.sequence, read.secondary_structure) == (
            given.name,
            given.sequence,
            given.secondary_structure,
        )
        np.testing.assert_allclose(read.coordinates, given.coordinates - given.coordinates[0, 1], atol=0.0151)


def test_the_chains_of_the_archive_have_the_bonds_of_real_proteins(data_dir):
    """The real archive decodes to the medians that its description gives for N-CA, CA-C, C-O, C-N and CA-CA."""
    with np.load(data_dir / "proteins" / "backbones.npz") as archive:
        offsets = archive["offsets"][:2001]
        low, high = (archive[name][:, : offsets[-1]] for name in ("lo", "hi"))
    atoms = decode_backbones(low, high, offsets)
    inside = np.ones(len(atoms) - 1, bool)
    inside[offsets[1:-1] - 1] = False

    def median(first: np.ndarray, second: np.ndarray, chosen: object = slice(None)) -> float:
        return float(np.median(np.linalg.norm(first - second, axis=-1)[chosen]))

    nitrogen, alpha, carbon, oxygen = atoms.swapaxes(0, 1)
    assert median(nitrogen, alpha) == pytest.approx(1.460, abs=0.002)
    assert median(alpha, carbon) == pytest.approx(1.525, abs=0.002)
    assert median(carbon, oxygen) == pytest.approx(1.232, abs=0.002)
    assert median(carbon[:-1], nitrogen[1:], inside) == pytest.approx(1.330, abs=0.002)
    assert median(alpha[:-1], alpha[1:], inside) == pytest.approx(3.807, abs=0.003)
    np.testing.assert_array_equal(atoms[offsets[:-1], 1], 0.0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "cannot be read as a NumPy archive"),
        (lambda path: np.savez(path, offsets=np.arange(3)), "lacks the arrays name, seq"),
        (lambda path: np.savez(path, **{**np.load(path), "offsets": np.array([0, 4, 2])}), "do not fit together"),
        (lambda path: np.savez(path, **{**np.load(path), "name": np.array([{}])}), "cannot be read as a NumPy archive"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path, chains, damage, message):
    """A cut archive, another one, an inconsistent one and one with pickled objects are errors of one line."""
    write_archive(tmp_path / "a.npz", chains)
    damage(tmp_path / "a.npz")
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / "a.npz")


# --- promod3


def write_promod(path: Path, chains: list[Chain]) -> None:
    """Write a structure database, from the description of its layout."""
    header = struct.pack("<II", 1234, 2).ljust(0x49, b"\1")
    offsets = np.cumsum([0, *(len(chain) for chain in chains)])
    directory = struct.pack("<iQ", -1, len(chains))
    coordinates = []
    for chain, offset in zip(chains, offsets, strict=False):
        structure, letter = chain.name.split("_")
        shift = chain.coordinates.min(axis=(0, 1)).astype("<f4")
        coordinates.append(np.rint((chain.coordinates - shift) * 100).astype("<u2"))
        for text in (structure, letter):
            directory += struct.pack("<I", len(text)) + text.encode()
        directory += struct.pack("<IHH3f", offset, len(chain), 17, *shift)
    residues = int(offsets[-1])
    arrays = [
        "".join(chain.sequence for chain in chains).encode(),
        np.concatenate(coordinates).tobytes(),
        bytes(4 * residues),
        bytes(2 * residues),
        bytes(2 * residues),
        "".join(chain.secondary_structure for chain in chains).encode(),
    ]
    path.write_bytes(header + directory + b"".join(struct.pack("<Q", residues) + array for array in arrays))


def test_a_promod_database_gives_its_chains(tmp_path, random_chain):
    """Coordinates to 0.01 A at their place, residue numbers, cuts at breaks, and eight states as three."""
    rng = np.random.default_rng(5)
    first = random_chain(rng, 20, name="1ABC_A", centre=50.0)
    broken = random_chain(rng, 16, name="2XYZ_b").coordinates
    broken[9:] += 6.0
    second = Chain("2XYZ_b", broken, "A" * 16, "HGIEBTSCHGIEBTSC")
    write_promod(tmp_path / "structure_db.dat", [first, second])
    for path in (tmp_path / "structure_db.dat", tmp_path):
        source = open_source(path)
        assert (source.kind, source.total) == ("promod3", 2)
        read = all_chains(source)
        assert [chain.name for chain in read] == ["1ABC_A:17-36", "2XYZ_b:17-25", "2XYZ_b:26-32"]
        np.testing.assert_allclose(read[0].coordinates, first.coordinates, atol=0.0051)
        assert read[0].sequence == first.sequence
        assert read[1].secondary_structure + read[2].secondary_structure == "HHHEECCC" * 2
        assert not any(item.columns["predicted"] for item in source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-5], "ends inside its states"),
        (lambda data: data[:100], "cannot be read as a structure database"),
        (lambda data: data[:4] + b"\3" + data[5:], "not that of version 2"),
        (lambda data: data[:0x49] + b"\xff" * 200, "cannot be read as a structure database"),
    ],
)
def test_a_damaged_promod_database_is_refused(tmp_path, random_chain, change, message):
    """A cut database, one of another version, and one with a senseless directory are errors of one line."""
    path = tmp_path / "structure_db.dat"
    write_promod(path, [random_chain(np.random.default_rng(5), 20, name="1ABC_A")])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        open_source(path)


def test_an_entry_outside_the_data_is_skipped(tmp_path, random_chain):
    """One bad entry does not spoil the others."""
    rng = np.random.default_rng(5)
    path = tmp_path / "structure_db.dat"
    write_promod(path, [random_chain(rng, 20, name="1ABC_A"), random_chain(rng, 10, name="2ABC_A")])
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<IH", 20, 10), struct.pack("<IH", 20, 11)))
    assert [item.reason for item in open_source(path)] == ["", "entry outside the data"]


@pytest.mark.skipif(not PROMOD.exists(), reason="Debian's promod3-data is not installed")
def test_the_real_promod_database_and_the_archive_agree(data_dir):
    """Every twentieth chain of Debian's database is that of the archive that was made from it, to 0.02 A."""
    with np.load(data_dir / "proteins" / "backbones.npz") as archive:
        names = {name.split("@")[0]: index for index, name in enumerate(archive["name"].tolist())}
        offsets = archive["offsets"]
        atoms = decode_backbones(archive["lo"], archive["hi"], offsets)
    compared = 0
    for item in islice(open_source(PROMOD), 0, None, 20):
        index = names.get(item.name)
        if index is not None and len(item.chains) == 1 and len(item.chains[0]) == offsets[index + 1] - offsets[index]:
            coordinates = item.chains[0].coordinates
            stored = atoms[offsets[index] : offsets[index + 1]]
            np.testing.assert_allclose(stored, coordinates - coordinates[0, 1], atol=0.02)
            compared += 1
    assert compared > 600


# --- cgdms


def write_protein(path: Path, chain: Chain) -> None:
    """Write a chain as the package does: letters, states, then N, CA, C and a side chain a residue."""
    rows = [" ".join(f"{value:.3f}" for value in residue.reshape(-1)) for residue in chain.coordinates]
    path.write_text("\n".join([chain.sequence, chain.secondary_structure, *rows, ""]))


def test_cgdms_by_folder_and_by_name(tmp_path, entries, monkeypatch):
    """Every way to name the package leads to its proteins; oxygens are placed where the true ones are."""
    folder = tmp_path / "cgdms" / "protein_data" / "train_val"
    folder.mkdir(parents=True)
    (tmp_path / "cgdms" / "__init__.py").touch()
    chain = read_chains(entries / "2gtl.cif")[0]
    write_protein(folder / "2GTL_A.txt", chain)
    ways = [tmp_path, tmp_path / "cgdms", tmp_path / "cgdms" / "protein_data", folder]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(entries)
    for way in [*ways, "cgdms"]:
        source = open_source(way)
        (read,) = all_chains(source)
        assert (source.kind, source.total, read.name) == ("cgdms", 1, "2GTL_A:1-146")
        assert read.sequence == chain.sequence[:-1]
        error = np.linalg.norm(read.coordinates[:, 3] - chain.coordinates[:-1, 3], axis=-1)
        assert error.max() < 0.1
        agreement = np.mean(np.array(list(read.secondary_structure)) == list(chain.secondary_structure[:-1]))
        assert agreement > 0.98
    assert "cgdms" not in sys.modules


def test_damaged_proteins_of_cgdms_are_skipped(tmp_path, chains):
    """A cut file, one with words for numbers and one with NaN are skipped; a broken chain gives its parts."""
    folder = tmp_path / "train_val"
    folder.mkdir()
    for name in ("a", "b", "c", "d"):
        write_protein(folder / f"{name}.txt", chains[0])
    text = (folder / "a.txt").read_text()
    (folder / "a.txt").write_text(text[: len(text) // 2])
    (folder / "b.txt").write_text(text.replace(".", "x"))
    (folder / "c.txt").write_text(text[: text.rindex(" ")] + " nan\n")
    moved = chains[0].coordinates.copy()
    moved[3:] += 5.0
    write_protein(folder / "d.txt", Chain("d", moved, chains[0].sequence, chains[0].secondary_structure))
    items = list(open_source(folder))
    assert [item.reason for item in items] == ["damaged file", "damaged file", "damaged file", ""]
    assert [chain.name for chain in items[3].chains] == ["d:1-2", f"d:4-{len(moved) - 1}"]


def test_cgdms_that_is_not_installed(tmp_path, monkeypatch):
    """The bare name without the package says how to install it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("helicell.protein.chains.sources.cgdms.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps cgdms"):
        open_source("cgdms")


# --- folders


@pytest.fixture
def folder(tmp_path, entries, random_chain):
    """Return a folder of structures in subfolders, with odd names, among other files."""
    path = tmp_path / "structures"
    deep = path / "b b" / "ü; $(x)"
    deep.mkdir(parents=True)
    rng = np.random.default_rng(8)
    for name in ("10.pdb", "9.cif", "b b/7.bcif"):
        file = path / name
        write_backbone(file, random_chain(rng, 30).coordinates, format=file.suffix[1:])
    shutil.copy(path / "9.cif", deep / "new\nline.cif")
    (path / "README.txt").write_text("not a structure")
    (path / ".hidden.pdb").write_text("hidden")
    (path / "cut.cif").write_bytes((entries / "2gtl.cif").read_bytes()[:5000])
    (path / "circle").symlink_to(path)
    return path


def test_a_folder_is_searched_through(folder):
    """Files come in the order of their paths, with the reason where one is skipped; links make no circles."""
    source = open_source(folder)
    items = list(source)
    assert source.total == len(items) == 6
    assert [(item.name, item.reason) for item in items] == [
        ("10.pdb", ""),
        ("9.cif", ""),
        ("README.txt", "not a structure file by its name"),
        ("b b/7.bcif", ""),
        ("b b/ü; $(x)/new\nline.cif", ""),
        ("cut.cif", "damaged cif file"),
    ]
    assert items[0].columns == {"predicted": False, "file": "10.pdb"}
    assert items[4].chains[0].name == "new?line_A:1-30"


def test_processes_change_nothing(folder):
    """Two processes give the same items in the same order as one."""
    single = StructureFolder(folder)
    several = StructureFolder(folder)
    several.workers = 2
    for first, second in zip(single, several, strict=True):
        assert (first.name, first.reason, first.columns) == (second.name, second.reason, second.columns)
        assert [chain.name for chain in first.chains] == [chain.name for chain in second.chains]


def test_a_single_file_is_a_source(entries):
    """One structure file gives its chains."""
    source = open_source(entries / "2gtl.cif")
    assert source.total == 1
    assert len(all_chains(source)) == 15


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "does not exist"),
        (lambda path: path.mkdir(), "is an empty folder"),
        (lambda path: path.write_text("text"), "is no known source of chains"),
        (lambda path: path.write_bytes(b""), "is no known source of chains"),
    ],
)
def test_what_is_no_source(tmp_path, make, message):
    """An absent path, an empty folder and a file of another kind are errors that list what is expected."""
    make(tmp_path / "thing")
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / "thing")


def test_a_store_is_no_source(tmp_path, chains):
    """A store given as a source is not taken for a folder of structures."""
    from helicell.protein.chains.store import write_store

    write_store(tmp_path / "store", chains)
    assert len(ChainStore.open(tmp_path / "store")) == 12
    with pytest.raises(InputError, match="is a chain store already"):
        open_source(tmp_path / "store")
