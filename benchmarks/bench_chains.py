"""How fast chains are opened, read, imported and written: a synthetic store of 100,000 chains, and real data at hand.

Times are processor times of one core. Real data are read where they are found: entries of the PDB that come with
tmtools, the archive of backbones below `HELICELL_DATA` (`../shared/data`), and promod3's database at `HELICELL_PROMOD3`
(where Debian installs it).
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np

from harness import Row, write_results
from helicell.protein.chains.importing import ImportSettings, ImportSummary, import_chains
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.structures import FORMATS, Chain, write_backbone

CHAINS = 100_000
LENGTHS = (40, 300)
ACCESSES = 20_000
OPENINGS = 15
WRITINGS = 300
FILES = 60
# Seconds rather than minutes, on one core.
GOAL_IMPORT = 60.0
ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = Path(os.environ.get("HELICELL_DATA", ROOT.parent / "shared" / "data")) / "proteins" / "backbones.npz"
PROMOD = Path(os.environ.get("HELICELL_PROMOD3", "/usr/share/promod3/loop_data/structure_db.dat"))
IMPORT = ImportSettings(cluster="none")


def walks() -> Iterator[Chain]:
    """Draw chains of natural bond lengths."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    for index, length in enumerate(rng.integers(*LENGTHS, CHAINS)):
        steps = rng.normal(size=(length, 4, 3)).astype(np.float32)
        coordinates = np.cumsum(steps.reshape(-1, 3), axis=0).reshape(length, 4, 3)
        sequence = rng.choice(letters, length).tobytes().decode()
        yield Chain(f"walk_{index}", coordinates, sequence, "C" * length)


def best_seconds(action: Callable[[], object], *, repeats: int) -> float:
    """Return the shortest processor time of an action, which other work on the machine disturbs least."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def store_rows(folder: Path) -> list[Row]:
    """Write a large store, open it, and read chains at random."""
    start = time.process_time()
    write_store(folder / "large", walks(), columns={"cluster30": np.arange(CHAINS)})
    written = time.process_time() - start
    opening = best_seconds(lambda: ChainStore.open(folder / "large"), repeats=OPENINGS)
    store = ChainStore.open(folder / "large")
    chosen = np.random.default_rng(1).integers(0, CHAINS, ACCESSES).tolist()
    access = best_seconds(lambda: [store[index] for index in chosen], repeats=3) / ACCESSES
    subset = best_seconds(lambda: store.select(store.lengths <= 128), repeats=OPENINGS)
    errors = [np.abs(a.coordinates - b.coordinates).max() for a, b, _ in zip(walks(), store, range(200), strict=False)]
    size = sum(file.stat().st_size for file in (folder / "large").rglob("*") if file.is_file())
    return [
        Row.at_most(f"open a store of {CHAINS:,} chains", opening, 0.5, unit="s"),
        Row.at_most("read a chain at random", 1e6 * access, 100.0, unit="us"),
        Row.at_most("select the chains of up to 128 residues", subset, 0.1, unit="s"),
        Row("write chains", CHAINS / written, "chains/s"),
        Row.at_most("size of a residue, names and columns included", size / store.lengths.sum(), 30.0, unit="bytes"),
        Row.at_most("largest error of a coordinate", float(max(errors)), 0.00052, unit="A"),
    ]


def import_rows(folder: Path) -> list[Row]:
    """Import real data of every kind that is at hand."""
    entry = Path(str(resources.files("tmtools") / "data")) / "2gtl.cif"
    copies = folder / "entries"
    copies.mkdir()
    for index in range(FILES):
        shutil.copy(entry, copies / f"{index}.cif")
    sources = {f"{FILES} mmCIF entries of 2,395 residues": copies, "the archive of backbones": ARCHIVE}
    sources["promod3's database"] = PROMOD
    rows = []
    for number, (name, source) in enumerate(sources.items()):
        if source.exists():
            start = time.process_time()
            summary = import_chains(source, folder / f"imported_{number}", settings=IMPORT)
            rows += rates(f"import {name}", summary, seconds=time.process_time() - start)
    return rows


def rates(name: str, summary: ImportSummary, *, seconds: float) -> list[Row]:
    """Return how long an import kept a core busy, and what it got through in a second of that."""
    return [
        Row.at_most(name, seconds, GOAL_IMPORT, unit="s"),
        Row(f"{name}: rate", summary.items / seconds, "1/s"),
    ]


def writing_rows(folder: Path) -> list[Row]:
    """Write one backbone of 100 residues again and again."""
    coordinates = np.cumsum(np.random.default_rng(2).normal(size=(100, 4, 3)), axis=0)
    rows = []
    for kind in FORMATS:
        path = folder / f"backbone.{kind}"
        seconds = best_seconds(
            lambda path=path, kind=kind: write_backbone(path, coordinates, format=kind), repeats=WRITINGS
        )
        rows.append(
            Row.at_most(f"write 100 residues as {kind}", 1e3 * seconds, 5.0 if kind == "bcif" else 1.0, unit="ms")
        )
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="helicell-bench-") as name:
        place = Path(name)
        results = [*store_rows(place), *import_rows(place), *writing_rows(place)]
    write_results(
        "chains",
        results,
        {
            "chains": CHAINS,
            "lengths": LENGTHS,
            "accesses": ACCESSES,
            "seed": 0,
            "statistic": "processor time, best of several; imports once",
        },
    )
