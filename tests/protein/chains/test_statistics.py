"""What is said of a store, held against sums by hand, and the figures of it."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.figures import write_figures
from helicell.protein.chains.statistics import describe_store
from helicell.protein.chains.store import write_store

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def store(tmp_path, random_chain):
    """Return a store of 30 chains of two sources, with all columns."""
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, int(length), name=f"c{i}") for i, length in enumerate(rng.integers(30, 150, 30))]
    columns = {
        "source": ["a", "b", "b"] * 10,
        "cluster30": np.arange(30) // 2,
        "globular": np.arange(30) < 12,
        "predicted": np.zeros(30, bool),
    }
    return write_store(tmp_path / "store", chains, columns=columns)


def test_groups_add_up(store):
    """Groups by length and by source hold every chain once, and their shares are those of the joined residues."""
    steps = []
    statistics = describe_store(store, progress=steps.append)
    assert sum(steps) == 30
    states = "".join(chain.secondary_structure for chain in store)
    assert statistics.total.helix == pytest.approx(states.count("H") / len(states))
    assert statistics.total.coil == pytest.approx(states.count("C") / len(states))
    assert (statistics.total.clusters, statistics.total.globular, statistics.total.predicted) == (15, 12, 0)
    for groups in (statistics.by_length, statistics.by_source):
        assert sum(group.chains for group in groups) == 30
        assert sum(group.residues for group in groups) == store.lengths.sum()
    assert [group.name for group in statistics.by_source] == ["a", "b"]
    for group in statistics.by_length:
        first, last = map(int, group.name.split("-"))
        assert group.chains == np.sum((store.lengths >= first) & (store.lengths <= last))
    alpha = store[4].coordinates[:, 1].astype(float)
    pairs = np.linalg.norm(alpha[:, None] - alpha, axis=-1)
    assert statistics.rg[4] == pytest.approx(np.sqrt((pairs**2).mean() / 2), rel=1e-4)
    # Each chain lacks phi at one end and psi at the other.
    assert len(statistics.phi) == len(statistics.psi) == store.lengths.sum() - 2 * len(store)


def test_columns_that_are_missing_are_not_made_up(tmp_path, chains):
    """A store without columns has unknown clusters and no groups by source."""
    statistics = describe_store(write_store(tmp_path / "bare", chains))
    assert (statistics.total.clusters, statistics.total.globular, statistics.by_source) == (None, None, ())


def test_nothing_to_describe(tmp_path):
    """An empty store is an error that says so."""
    with pytest.raises(InputError, match="holds no chains"):
        describe_store(write_store(tmp_path / "empty", []))


def test_figures_are_drawn(store, tmp_path):
    """Four well-formed, labelled SVG files are written; a second time gives the same bytes."""
    statistics = describe_store(store)
    paths = write_figures(statistics, tmp_path / "plots")
    assert [path.name for path in paths] == [
        "lengths.svg",
        "secondary_structure.svg",
        "gyration.svg",
        "ramachandran.svg",
    ]
    again = write_figures(statistics, tmp_path / "again")
    for path, second in zip(paths, again, strict=True):
        root = ET.fromstring(path.read_text())
        assert root.tag == f"{SVG}svg"
        assert root.get("aria-label")
        assert len(list(root.iter(f"{SVG}path"))) > 10
        assert path.stat().st_size < 200_000
        assert path.read_bytes() == second.read_bytes()


def test_a_folder_that_cannot_be_written(store, tmp_path):
    """Where the figures cannot be written the error asks for another folder."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="name another folder"):
        write_figures(describe_store(store), tmp_path / "file")
