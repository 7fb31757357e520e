"""The search for the nearest reference chain beside an exhaustive one: what it misses, and how much faster it is.

Natural chains of 60-120 residues take the part of samples; of the references, those of the sample's own cluster are
left out, so that what is to be found is a likeness of folds, as for generated backbones. The references are a random
part of a chain store, given by `--store`; without one, an archive of backbones in the folder HELICELL_DATA is read.
"""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from harness import ROOT, Row, write_results
from helicell.protein.chains.importing import ImportSettings, import_chains
from helicell.protein.chains.sources import open_source
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation.building import natural_chains
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.neighbours import ALIGNED, ChainIndex, search
from helicell.protein.evaluation.similarity import tm_score

LENGTHS = (60, 80, 100, 120)
REACH = 3
SEED = 5
# A likeness that is this much smaller than the greatest one tells the same.
TOLERANCE = 0.02
# The aligned chains are a larger part of the references here than of a whole store: the same part is measured too.
WHOLE_STORE = 20_000


def exhaustive_scores(
    samples: list[NDArray], references: list[NDArray], excluded: list[NDArray]
) -> tuple[NDArray[np.float64], int]:
    """Align every sample with every reference that counts; also return the number of alignments."""
    scores = np.zeros((len(samples), len(references)))
    for row, (sample, barred) in enumerate(zip(samples, excluded, strict=True)):
        for column in np.setdiff1d(np.arange(len(references)), barred).tolist():
            scores[row, column] = tm_score(sample, references[column]).by_first
    return scores, scores.size - sum(map(len, excluded))


def measure(store: ChainStore, *, samples_per_length: int, references: int) -> tuple[list[Row], int]:
    """Search and align, and compare; also return how many references there were."""
    rng = np.random.default_rng(SEED)
    pool = np.flatnonzero(store.column("globular").astype(bool) & ~store.column("predicted").astype(bool))
    compared = store.select(np.sort(rng.permutation(pool)[:references]))
    natural = natural_chains(store)
    chosen = [
        int(member)
        for length in LENGTHS
        for member in rng.permutation(np.flatnonzero(np.abs(natural.lengths - length) <= REACH))[:samples_per_length]
    ]
    samples = [natural[member].coordinates[:, CA] for member in chosen]
    clusters = natural.column("cluster30")[chosen]
    excluded = [np.flatnonzero(compared.column("cluster30") == cluster) for cluster in clusters]

    start = time.process_time()
    traces = [chain.coordinates[:, CA] for chain in compared]
    scores, alignments = exhaustive_scores(samples, traces, excluded)
    exhaustive_seconds = (time.process_time() - start) / len(samples)
    start = time.process_time()
    found = np.array([nearest.tm_score for nearest in search(samples, compared, excluded=excluded)])
    seconds = (time.process_time() - start) / len(samples)

    loss = scores.max(axis=1) - found
    few = max(1, ALIGNED * len(compared) // WHOLE_STORE)
    shortlists = ChainIndex(traces).shortlist(samples, count=few, excluded=excluded)
    strict = scores.max(axis=1) - [row[chosen].max() for row, chosen in zip(scores, shortlists, strict=True)]
    return [
        Row("TM-score to the nearest reference, exhaustive, mean", float(scores.max(axis=1).mean())),
        Row.at_most("what the search misses of it, mean", float(loss.mean()), 0.01),
        Row.at_least(f"samples for which it misses at most {TOLERANCE:g}", float(np.mean(loss <= TOLERANCE)), 0.9),
        Row(f"missed with {few} alignments, the share of {ALIGNED} in {WHOLE_STORE:,} chains", float(strict.mean())),
        Row("samples for which that is within the same", float(np.mean(strict <= TOLERANCE))),
        Row("search, a sample", seconds, "CPU s"),
        Row("exhaustive, a sample", exhaustive_seconds, "CPU s"),
        Row.at_least("exhaustive over search", exhaustive_seconds / seconds, 10.0),
        Row("one alignment", 1000 * exhaustive_seconds * len(samples) / alignments, "CPU ms"),
    ], len(compared)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="a chain store with clusters")
    parser.add_argument("--samples", type=int, default=4, help="samples of each length")
    parser.add_argument("--references", type=int, default=2000, help="references, at most")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = arguments.store
        if path is None:
            data = Path(os.environ.get("HELICELL_DATA", ROOT.parent / "shared" / "data"))
            path = Path(folder) / "store"
            import_chains(
                open_source(data / "proteins" / "backbones.npz"), path, settings=ImportSettings(cluster="none")
            )
        store = ChainStore.open(path)
        rows, references = measure(store, samples_per_length=arguments.samples, references=arguments.references)
    settings = {
        "lengths": LENGTHS, "samples_per_length": arguments.samples, "references": references, "aligned": ALIGNED,
        "seed": SEED,
    }  # fmt: skip
    write_results("similarity", rows, settings)


if __name__ == "__main__":
    main()
