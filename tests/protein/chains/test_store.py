"""The store gives back what was written, opens without reading, and is whole or absent."""

import json
import pickle

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.chains.writer import new_store
from helicell.protein.structures import Chain


def assert_equal(first: Chain, second: Chain) -> None:
    """Two chains agree in all but half a thousandth of an Angstrom."""
    assert (first.name, first.sequence, first.secondary_structure) == (
        second.name,
        second.sequence,
        second.secondary_structure,
    )
    assert second.coordinates.dtype == np.float32
    np.testing.assert_allclose(first.coordinates, second.coordinates, atol=5.2e-4)


def test_chains_come_back(tmp_path, chains):
    """Names, letters, states and coordinates survive, in order, to half a thousandth of an Angstrom."""
    store = write_store(tmp_path / "store", chains)
    assert len(store) == len(chains)
    assert store.lengths.tolist() == [len(chain) for chain in chains]
    assert store.names.tolist() == [chain.name for chain in chains]
    for written, read in zip(chains, store, strict=True):
        assert_equal(written, read)
    assert_equal(chains[-1], store[-1])
    with pytest.raises(IndexError):
        store[len(chains)]


def test_rounding_does_not_add_up(tmp_path, random_chain):
    """The last of 3,000 residues, 2,000 A from the origin, is as exact as the first."""
    chain = random_chain(np.random.default_rng(0), 3000, centre=2000.0)
    read = write_store(tmp_path / "store", [chain])[0]
    np.testing.assert_allclose(read.coordinates, chain.coordinates, atol=7e-4)


def test_thousandths_are_exact(tmp_path, random_chain):
    """Coordinates of three decimals, as files hold them, come back as the same float32 numbers."""
    chain = random_chain(np.random.default_rng(1), 80)
    rounded = np.round(chain.coordinates.astype(np.float64), 3).astype(np.float32)
    read = write_store(tmp_path / "store", [Chain("a", rounded, chain.sequence, chain.secondary_structure)])[0]
    np.testing.assert_allclose(read.coordinates, rounded, rtol=0, atol=4e-6)


def test_columns_and_views(tmp_path, chains):
    """Columns of numbers, booleans and words are cut along with the chains, by masks, indices and views of views."""
    lengths = np.array([len(chain) for chain in chains])
    columns = {"cluster30": np.arange(12), "predicted": lengths > 30, "source": [f"s{i % 3}" for i in range(12)]}
    store = write_store(tmp_path / "store", chains, columns=columns)
    assert store.column_names == ("cluster30", "predicted", "source")
    view = store.select(~store.column("predicted"))
    expected = np.flatnonzero(lengths <= 30)
    assert view.column("cluster30").tolist() == expected.tolist()
    assert view.lengths.tolist() == lengths[expected].tolist()
    again = view.select([2, 0])
    assert again.column("source").tolist() == [f"s{expected[2] % 3}", f"s{expected[0] % 3}"]
    assert again[0].name == chains[expected[2]].name
    assert len(store.select([])) == 0
    assert len(store.select(np.zeros(12, bool))) == 0
    with pytest.raises(InputError, match="12 entries, not"):
        store.select(np.ones(5, bool))
    with pytest.raises(InputError, match=r"unknown column 'cluster'.*did you mean 'cluster30'"):
        store.column("cluster")


def test_views_travel_light(tmp_path, chains):
    """A pickled view carries its path and indices only, and opens the files again."""
    view = write_store(tmp_path / "store", chains).select([5, 1])
    sent = pickle.dumps(view)
    assert len(sent) < 1000
    assert [chain.name for chain in pickle.loads(sent)] == ["chain 5", "chain 1"]


def test_every_file_is_plain_numpy(tmp_path, chains):
    """NumPy alone reads the arrays, memory-mapped, and the notes are JSON."""
    store = write_store(tmp_path / "store", chains, provenance={"source": "here"})
    coordinates = np.load(tmp_path / "store" / "coordinates.npy", mmap_mode="r")
    assert coordinates.shape == (store.lengths.sum(), 4, 3)
    assert coordinates.dtype == np.int16
    assert json.loads((tmp_path / "store" / "store.json").read_text())["provenance"] == {"source": "here"}
    assert store.provenance == {"source": "here"}


def test_the_fingerprint_is_that_of_the_content(tmp_path, chains):
    """Equal chains give equal fingerprints; a moved atom, another order or another name changes it."""

    def fingerprint(name: str, content: list[Chain]) -> str:
        return write_store(tmp_path / name, content).fingerprint

    first = fingerprint("a", chains)
    moved = chains[0].coordinates.copy()
    moved[2, 3, 1] += 0.01
    changed = Chain(chains[0].name, moved, chains[0].sequence, chains[0].secondary_structure)
    assert fingerprint("b", chains) == first
    assert len({first, fingerprint("c", chains[::-1]), fingerprint("d", [changed, *chains[1:]])}) == 3


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_store_leaves_nothing(tmp_path, chains, failure):
    """When the writing ends early, for whatever cause, no folder and no temporary file remains."""

    def interrupted():
        yield from chains[:3]
        raise failure

    with pytest.raises(failure):
        write_store(tmp_path / "store", interrupted())
    assert not list(tmp_path.iterdir())


def test_a_store_is_replaced_only_on_purpose_and_only_when_the_new_one_is_whole(tmp_path, chains):
    """An existing store is refused, then replaced on request; a failure on the way leaves the old one."""
    write_store(tmp_path / "store", chains)
    with pytest.raises(InputError, match="is a chain store already"):
        write_store(tmp_path / "store", chains[:2])
    with pytest.raises(InputError, match="cannot be stored"):
        write_store(tmp_path / "store", [Chain("empty", np.zeros((0, 4, 3)), "", "")], overwrite=True)
    assert len(ChainStore.open(tmp_path / "store")) == 12
    assert len(write_store(tmp_path / "store", chains[:2], overwrite=True)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_other_things_are_never_replaced(tmp_path, chains):
    """A file or a folder with other content is refused even where replacing was asked for; an empty folder is taken."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "notes.txt").write_text("keep")
    for name in ("results", "results/notes.txt"):
        with pytest.raises(InputError, match="choose a new folder"):
            write_store(tmp_path / name, chains, overwrite=True)
    (tmp_path / "empty").mkdir()
    assert len(write_store(tmp_path / "empty", chains)) == 12


def bad_chains() -> dict[str, Chain]:
    """Return chains that cannot be stored, by what their error says."""
    good = np.cumsum(np.ones((5, 4, 3)), axis=0)
    far = good.copy()
    far[3:] += 40.0
    return {
        "not \\[residues, 4, 3\\]": Chain("a", np.zeros((5, 3, 3)), "AAAAA", "CCCCC"),
        "5 residues, 4 letters, 5 states": Chain("a", good, "AAAA", "CCCCC"),
        "finite": Chain("a", np.where(good > 4, np.nan, good), "AAAAA", "CCCCC"),
        "finite numbers": Chain("a", np.full((5, 4, 3), 1e12), "AAAAA", "CCCCC"),
        "over 33 A apart": Chain("a", far, "AAAAA", "CCCCC"),
    }


@pytest.mark.parametrize("message", bad_chains())
def test_chains_that_cannot_be_stored(tmp_path, message):
    """An inconsistent chain is an error that names it, and no store is made."""
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", [bad_chains()[message]])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("columns", [{"a": [1]}, {"a": [None] * 12}, {"../a": range(12)}, {"a": np.zeros((12, 2))}])
def test_bad_columns(tmp_path, chains, columns):
    """A column needs one plain value a chain and a plain name."""
    with pytest.raises(InputError, match="it needs 12 numbers"):
        write_store(tmp_path / "store", chains, columns=columns)
    assert not list(tmp_path.iterdir())


def test_columns_of_all_chains_are_the_same(tmp_path, chains):
    """A chain that brings other columns than those before it is refused."""
    with pytest.raises(InputError, match="has the columns"), new_store(tmp_path / "store") as writer:
        writer.add(chains[0], {"predicted": True})
        writer.add(chains[1], {"source": "b"})


def test_an_empty_store(tmp_path):
    """A store may be empty, and opens as such."""
    store = write_store(tmp_path / "store", [])
    assert len(store) == 0
    assert list(store) == []


def _cut(folder):
    path = folder / "coordinates.npy"
    path.write_bytes(path.read_bytes()[:-10])


def _newer(folder):
    notes = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(notes | {"version": 99}))


def _other_shape(folder):
    np.save(folder / "sequence.npy", np.zeros(3, np.uint8))


def _other_offsets(folder):
    np.save(folder / "offsets.npy", np.load(folder / "offsets.npy") + 1)


DAMAGE = {
    "no chain store": lambda folder: (folder / "store.json").unlink(),
    "no readable store.json": lambda folder: (folder / "store.json").write_text("{"),
    "origins.npy cannot be read": lambda folder: (folder / "origins.npy").unlink(),
    "coordinates.npy cannot be read": _cut,
    "sequence.npy has shape": _other_shape,
    "offsets end at": _other_offsets,
    "format 99": _newer,
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_store_is_not_opened(tmp_path, chains, message):
    """A store with a missing, cut or foreign file is an error that says what to do."""
    write_store(tmp_path / "store", chains)
    DAMAGE[message](tmp_path / "store")
    with pytest.raises(InputError, match=message):
        ChainStore.open(tmp_path / "store")


def test_object_arrays_are_never_loaded(tmp_path, chains):
    """A pickled array smuggled into a store is refused, not executed."""
    write_store(tmp_path / "store", chains)
    np.save(tmp_path / "store" / "names.npy", np.array([{}] * 12, object), allow_pickle=True)
    with pytest.raises(InputError, match=r"names\.npy cannot be read"):
        ChainStore.open(tmp_path / "store")
