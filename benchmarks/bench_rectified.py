"""The rectified model beside the base one: how good backbones of few steps are, how long they take, what sequences fit.

The measures, lengths, counts and seed are those of `bench_protein.py`, for 2 to 100 steps of both models at their own
defaults, nothing filtered or picked. Ten steps of the rectified model are held against fifty of the base model, five
within a tenth of them. ProteinMPNN (v_48_020, T = 0.1, four sequences a backbone) scores both, and natural chains of
like lengths where an archive of backbones lies below `HELICELL_DATA`. Seconds are those of one thread, taken in turn.

Samples are kept in `benchmarks/runs/rectified`, by model and number of steps, so a run that was stopped goes on.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from bench_protein import ALSO, AT_LEAST, AT_MOST, COUNT, LENGTHS, SEED
from harness import ROOT, Row, write_results
from helicell.protein import SamplingOptions, generate, load_model
from helicell.protein.adapters.proteinmpnn import SequenceDesigner
from helicell.protein.chains.importing import ImportSettings, import_chains
from helicell.protein.chains.sources import open_source
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation import evaluate
from helicell.protein.evaluation.folder import read_samples
from helicell.protein.model import EMBEDDED, RECTIFIED
from helicell.protein.sampling import SamplingSettings, sample_to_folder
from helicell.protein.settings import ChainSettings
from helicell.protein.structures import Chain
from helicell.protein.training import select_chains

RUNS = ROOT / "benchmarks" / "runs" / "rectified"
ARCHIVE = Path(os.environ.get("HELICELL_DATA", ROOT.parent / "shared" / "data")) / "proteins" / "backbones.npz"
STEPS = (2, 5, 10, 20, 50, 100)
BASE_STEPS, FEW, FEWER, SLACK = 50, 10, 5, 0.1
# Beyond the goals of bench_protein: which way is better.
HIGH = (*AT_LEAST, "n_ca_c_valid", "omega_planar", "backbone_clash_free")
LOW = (*AT_MOST, "phi_psi_outliers", "ca_clashes")
TIMED_LENGTH, TIMED_COUNT = 80, 12
SEQUENCES, TEMPERATURE = 4, 0.1
# Natural chains may be this much longer or shorter than the samples that they stand beside.
NATURAL_REACH = 2
SCORE_GOAL = 0.05


def sample(model: str, steps: int) -> list[Chain]:
    """Sample, or take what an earlier run of these very weights has left."""
    checksum = load_model(model, device="cpu").checksum
    folder = RUNS / f"{model}-{checksum[:8]}-{steps}"
    settings = SamplingSettings(
        model=model, length=",".join(map(str, LENGTHS)), count=COUNT, steps=steps, seed=SEED, device="cpu", format="cif"
    )
    sample_to_folder(settings, folder, resume=True)
    return list(read_samples(folder).chains)


def measure(chains: list[Chain]) -> Mapping[str, float]:
    """Return the mean of every measure."""
    return evaluate(chains).overall.means


def quality_rows(chains: Mapping[tuple[str, int], list[Chain]]) -> list[Row]:
    """Return every measure at every number of steps, and the comparison of few steps with many."""
    means = {key: measure(samples) for key, samples in chains.items()}
    rows = [
        Row(f"{name}, {model}, {steps} steps", figures[name])
        for (model, steps), figures in means.items()
        for name in (*AT_LEAST, *AT_MOST, *ALSO)
    ]
    for few, slack in ((FEW, 0.0), (FEWER, SLACK)):
        for name in (*HIGH, *LOW):
            base, value = means[EMBEDDED, BASE_STEPS][name], means[RECTIFIED, few][name]
            text = f"{name}, {RECTIFIED} at {few} against {EMBEDDED} at {BASE_STEPS}"
            if name in HIGH:
                rows.append(Row.at_least(text, value, base * (1 - slack)))
            else:
                rows.append(Row.at_most(text, value, base * (1 + slack)))
    return rows


def score(designer: SequenceDesigner, chains: list[Chain]) -> float:
    """Return the mean ProteinMPNN score of sequences designed for these backbones."""
    designs = designer.design(
        [chain.coordinates for chain in chains], count=SEQUENCES, temperature=TEMPERATURE, seed=SEED
    )
    return float(np.mean([design.score for own in designs for design in own]))


def natural_chains() -> list[Chain]:
    """Return natural chains of like lengths, as many of each as samples."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chains"
        import_chains(open_source(ARCHIVE), path, settings=ImportSettings())
        store = select_chains(ChainStore.open(path), ChainSettings())
        chosen = []
        for length in LENGTHS:
            near = np.flatnonzero(np.abs(store.lengths - length) <= NATURAL_REACH)
            chosen += [store[int(i)] for i in np.random.default_rng(SEED).permutation(near)[:COUNT]]
    return chosen


def score_rows(chains: Mapping[tuple[str, int], list[Chain]]) -> list[Row]:
    """Return scores, against those of natural chains where they are at hand."""
    designer = SequenceDesigner(device="cpu")
    natural = score(designer, natural_chains()) if ARCHIVE.exists() else None
    rows = [Row("ProteinMPNN score, natural chains", natural, "nats")] if natural is not None else []
    for model, steps in ((EMBEDDED, BASE_STEPS), (EMBEDDED, FEW), (RECTIFIED, FEW), (RECTIFIED, FEWER)):
        text, value = f"ProteinMPNN score, {model}, {steps} steps", score(designer, chains[model, steps])
        judged = natural is not None and (model, steps) in ((EMBEDDED, BASE_STEPS), (RECTIFIED, FEW))
        rows.append(Row.at_most(text, value, natural + SCORE_GOAL, unit="nats") if judged else Row(text, value, "nats"))
    return rows


def speed_rows() -> list[Row]:
    """Return the processor seconds of a backbone for each number of steps, both models in turn."""
    rows = []
    models = [load_model(name, device="cpu") for name in (EMBEDDED, RECTIFIED)]
    for steps in STEPS:
        for model in models:
            start = time.process_time()
            generate(model, TIMED_LENGTH, count=TIMED_COUNT, options=SamplingOptions(steps=steps))
            seconds = (time.process_time() - start) / TIMED_COUNT
            rows.append(Row(f"a backbone of {TIMED_LENGTH} residues, {model.name}, {steps} steps", seconds, "s"))
    return rows


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-sample", nargs="*", help="models to sample, and no more: to have them at hand")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only_sample is not None:
        for model in arguments.only_sample or (EMBEDDED, RECTIFIED):
            for steps in sorted(STEPS, key=lambda steps: abs(steps - FEW)):
                sample(model, steps)
        return
    chains = {(model, steps): sample(model, steps) for model in (EMBEDDED, RECTIFIED) for steps in STEPS}
    models = {name: load_model(name, device="cpu") for name in (EMBEDDED, RECTIFIED)}
    settings = {
        "lengths": LENGTHS, "count": COUNT, "seed": SEED, "precision": "float32", "threads": 1,
        "sequences": SEQUENCES, "temperature": TEMPERATURE,
        **{name: {"sha256": model.checksum, **model.sampling.to_mapping()} for name, model in models.items()},
    }  # fmt: skip
    write_results("rectified", quality_rows(chains) + score_rows(chains) + speed_rows(), settings)


if __name__ == "__main__":
    main()
