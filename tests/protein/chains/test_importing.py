"""From a source to a store: what is kept, what is counted, what is left when it fails."""

import csv

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.filters import ChainFilter
from helicell.protein.chains.importing import ImportSettings, import_chains
from helicell.protein.chains.sources import open_source
from helicell.protein.chains.sources.source import Item
from helicell.protein.chains.store import ChainStore
from helicell.protein.structures import Chain

WORDS = ImportSettings(cluster="words")


def test_an_entry_becomes_a_store(entries, tmp_path):
    """Of a real entry, the unequal chains of 40 residues and more are stored, measured and clustered."""
    steps = []
    summary = import_chains(entries / "2gtl.cif", tmp_path / "store", settings=WORDS, progress=steps.append)
    store = ChainStore.open(tmp_path / "store")
    read = [chain for item in open_source(entries / "2gtl.cif") for chain in item.chains]
    expected = list({chain.sequence: chain for chain in reversed(read) if len(chain) >= 40}.values())[::-1]
    assert sorted(store.names) == sorted(chain.name for chain in expected)
    assert (summary.items, summary.chains, summary.residues) == (1, len(store), int(store.lengths.sum()))
    assert sum(summary.filtered.values()) == len(read) - len(store)
    assert steps == [1]
    assert set(store.column_names) == {
        "cluster30", "coil", "contacts12", "distorted", "file", "globular", "predicted", "rg_ratio", "source",
    }  # fmt: skip
    assert set(store.column("file")) == {"2gtl.cif"}
    assert summary.clusters == len(set(store.column("cluster30")))
    for chain in store:
        coil = store.column("coil")[store.names == chain.name][0]
        assert coil == pytest.approx(chain.secondary_structure.count("C") / len(chain))
    assert store.provenance["cluster_method"] == "words"
    assert store.provenance["settings"] == WORDS.to_mapping()


def test_equal_imports_give_equal_stores(entries, tmp_path):
    """Two imports of one source write the same bytes in every file."""
    for name in ("first", "second"):
        import_chains(entries / "2gtl.pdb", tmp_path / name, settings=WORDS)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


class Items:
    """A source of prepared items."""

    kind, path = "prepared", "here"

    def __init__(self, items):
        self.items, self.total = items, len(items)

    def __iter__(self):
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


@pytest.fixture
def items(random_chain):
    """Return items with two usable chains, a short one, a copy, a long one, and two files that were skipped."""
    rng = np.random.default_rng(0)
    usable = [random_chain(rng, 50, name="a"), random_chain(rng, 60, name="b")]
    others = [random_chain(rng, 20, name="short"), usable[0], random_chain(rng, 90, name="long")]
    found = [Item(chain.name, (chain,), {"predicted": False}) for chain in [*usable, *others]]
    return [
        *found,
        Item("x", reason="empty file", detail="x is empty"),
        Item("y", reason="empty file", detail="y, too"),
    ]


LOOSE = ImportSettings(cluster="none", filter=ChainFilter(min_length=30, max_length=80))


def test_everything_left_out_is_counted_and_named(items, tmp_path):
    """Skips are counted by reason and listed in a file; filters count the chains that they took out."""
    summary = import_chains(Items(items), tmp_path / "store", settings=LOOSE)
    assert summary.skipped == {"empty file": 2}
    assert summary.filtered == {
        "shorter than 30 residues": 1,
        "same sequence as an earlier chain": 1,
        "longer than 80 residues": 1,
    }
    assert (summary.clusters, summary.cluster_method) == (None, "none")
    with (tmp_path / "store" / "skipped.csv").open() as file:
        assert list(csv.reader(file))[1:] == [["x", "empty file", "x is empty"], ["y", "empty file", "y, too"]]


def test_copies_stay_on_request(items, tmp_path):
    """Without the test for equal sequences, copies are kept."""
    loose = LOOSE.model_copy(update={"unique": False})
    assert import_chains(Items(items), tmp_path / "store", settings=loose).chains == 3


def test_clusters_of_the_source_are_kept(items, tmp_path):
    """A source that brings its own clusters keeps them."""
    chains = [item.chains[0] for item in items[:2]]
    brought = [Item(chain.name, (chain,), {"cluster30": number}) for chain, number in zip(chains, (7, 9), strict=True)]
    summary = import_chains(Items(brought), tmp_path / "store", settings=LOOSE.model_copy(update={"cluster": "words"}))
    assert summary.cluster_method == "source"
    assert ChainStore.open(tmp_path / "store").column("cluster30").tolist() == [7, 9]


def test_nothing_to_import(items, tmp_path):
    """When no chain is left the error tells the commonest causes, and no store is made."""
    strict = ImportSettings(filter=ChainFilter(min_length=100))
    with pytest.raises(InputError, match="shorter than 100 residues: 5; empty file: 2"):
        import_chains(Items(items), tmp_path / "store", settings=strict)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError("disk")])
def test_a_failed_import_leaves_nothing(items, tmp_path, failure):
    """An interrupt in the middle leaves neither a store nor temporary files."""
    with pytest.raises(type(failure)):
        import_chains(Items([*items[:2], failure]), tmp_path / "store", settings=LOOSE)
    assert not list(tmp_path.iterdir())


def test_the_destination_is_checked_first(items, tmp_path):
    """Nothing is read where the result could not be written."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "other.txt").touch()

    class Unread(Items):
        def __iter__(self):
            pytest.fail("the source was read")

    with pytest.raises(InputError, match="choose a new folder"):
        import_chains(Unread(items), tmp_path / "store", settings=LOOSE)


def test_the_archive_imports_as_its_description_says(data_dir, tmp_path):
    """Every tenth chain of the real data set is imported, globular where it says so, with its own columns."""
    with np.load(data_dir / "proteins" / "backbones.npz") as archive:
        arrays = dict(archive)
    chosen = np.arange(0, 19_344, 10)
    part = cut_archive(arrays, chosen)
    np.savez(tmp_path / "part.npz", **part)
    summary = import_chains(tmp_path / "part.npz", tmp_path / "store")
    store = ChainStore.open(tmp_path / "store")
    assert (summary.items, summary.skipped, summary.cluster_method) == (len(chosen), {}, "source")
    assert set(summary.filtered) == {"over 0.1 of its residues distorted"}
    kept = np.isin(part["name"], store.names)
    assert (part["predicted"][~kept]).mean() > 0.9
    for name in ("cluster30", "predicted", "globular"):
        np.testing.assert_array_equal(store.column(name), part[name][kept])
    crystal = store.select(store.column("source") == "promod3")
    helix = sum(chain.secondary_structure.count("H") for chain in crystal)
    assert helix / crystal.lengths.sum() == pytest.approx(0.39, abs=0.02)


def cut_archive(arrays, chosen):
    """Return an archive's arrays for some of its chains."""
    offsets = arrays["offsets"]
    residues = np.concatenate([np.arange(offsets[index], offsets[index + 1]) for index in chosen])
    part = {name: arrays[name][chosen] for name in arrays if arrays[name].shape == (len(offsets) - 1,)}
    part |= {name: arrays[name][residues] for name in ("seq", "ss")}
    part |= {name: arrays[name][:, residues] for name in ("lo", "hi")}
    return part | {"sources": arrays["sources"], "offsets": np.cumsum([0, *np.diff(offsets)[chosen]])}


def test_secondary_structure_is_taken_from_the_chain(tmp_path, random_chain):
    """The states that a source gives are stored as they are."""
    chain = random_chain(np.random.default_rng(4), 50)
    given = Chain("a", chain.coordinates, chain.sequence, "H" * 20 + "E" * 10 + "C" * 20)
    import_chains(Items([Item("a", (given,))]), tmp_path / "store", settings=LOOSE)
    store = ChainStore.open(tmp_path / "store")
    assert store[0].secondary_structure == given.secondary_structure
    assert store.column("coil").tolist() == [0.4]
    assert store.column("source").tolist() == ["prepared"]
