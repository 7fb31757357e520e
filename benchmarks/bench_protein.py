"""The embedded model: how good its backbones are beside natural ones, how fast they are made, and in how much memory.

Quality: 24 backbones of each length with the seed of the command line's default, nothing filtered or picked, against
goals and against natural chains of like lengths measured by the same code; once more without steric guidance. Speed and
memory: float32 on all cores, each length in a process of its own; a thousand residues as `bench_precision.py` measures
them. Last the published network at full size, as `bench_framediff.py` measures it. `--quick` leaves the quality out.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping

import torch

from bench_framediff import published_rows
from bench_precision import long_rows
from harness import Row, peak_memory, write_results
from helicell.protein import SamplingOptions, generate, load_model
from helicell.protein.evaluation import evaluate
from helicell.protein.structures import Chain

LENGTHS = (60, 80, 100, 120)
COUNT = 24
STEPS = 50
SEED = 7
SPEED_LENGTHS = (64, 80, 128, 256, 512)
SPEED_RESIDUES = 2048

AT_LEAST = {"ca_ca_valid": 0.985, "c_n_valid": 0.90, "clash_free": 0.80, "strand_ca": 0.12, "rg_within_20": 0.80}
AT_MOST = {"helix_ca": 0.60, "pairwise_tm": 0.60}
ALSO = (
    "n_ca_c_valid", "omega_planar", "phi_psi_outliers", "ca_clashes", "backbone_clash_free", "rg_ratio_to_natural",
    "helix", "strand",
)  # fmt: skip


def quality(*, steric_sweeps: int | None) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the mean measures of unpicked samples, and those of natural chains of the same lengths."""
    options = SamplingOptions(steps=STEPS, steric_sweeps=steric_sweeps)
    backbones = generate(load_model(device="cpu"), LENGTHS, count=COUNT, seed=SEED, options=options)
    chains = [Chain(f"{b.index}", b.coordinates, "G" * b.length, "C" * b.length) for b in backbones]
    overall = evaluate(chains).overall
    return overall.means, overall.natural


def quality_rows() -> list[Row]:
    """Measure quality against the goals, with natural figures and with guidance off beside each."""
    means, natural = quality(steric_sweeps=None)
    unguided, _ = quality(steric_sweeps=0)
    rows = []
    for name in (*AT_LEAST, *AT_MOST, *ALSO):
        if name in AT_LEAST:
            rows.append(Row.at_least(name, means[name], AT_LEAST[name]))
        elif name in AT_MOST:
            rows.append(Row.at_most(name, means[name], AT_MOST[name]))
        else:
            rows.append(Row(name, means[name]))
        if name in natural:
            rows.append(Row(f"{name}, natural chains", natural[name]))
        rows.append(Row(f"{name}, without steric guidance", unguided[name]))
    structured = means["helix_ca"] + means["strand_ca"]
    rows.append(Row.at_least("helix_ca + strand_ca", structured, 0.50))
    return rows


def measure_speed(length: int) -> dict[str, float]:
    """Sample some 2,000 residues; seconds a backbone, and the most memory that this process ever held."""
    model = load_model(device="cpu")
    count = max(1, SPEED_RESIDUES // length)
    generate(model, length, count=1, options=SamplingOptions(steps=2))
    start = time.perf_counter()
    generate(model, length, count=count, options=SamplingOptions(steps=STEPS))
    seconds = (time.perf_counter() - start) / count
    peak = peak_memory()
    return {"seconds": seconds, "mebibytes": peak, "count": count}


def speed_rows() -> list[Row]:
    """Measure speed and memory for each length in a fresh process."""
    rows = []
    for length in SPEED_LENGTHS:
        command = [sys.executable, __file__, "--speed-of", str(length)]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rate = 1 / figures["seconds"]
        measure, unit = f"rate at length {length}, {STEPS} steps, {figures['count']} together", "backbones/s"
        rows.append(Row.at_least(measure, rate, 2.0, unit=unit) if length == 80 else Row(measure, rate, unit))
        rows.append(Row(f"peak memory at length {length}", figures["mebibytes"], "MiB"))
    return rows


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed-of", type=int, help="only print the speed at one length, as JSON")
    parser.add_argument("--quick", action="store_true", help="leave the quality out")
    arguments = parser.parse_args()
    if arguments.speed_of:
        print(json.dumps(measure_speed(arguments.speed_of)))
        return
    model = load_model(device="cpu")
    settings = {
        "model": model.name, "sha256": model.checksum, "lengths": LENGTHS, "count": COUNT, "steps": STEPS, "seed": SEED,
        "precision": "float32", "threads": torch.get_num_threads(), **model.sampling.to_mapping(),
    }  # fmt: skip
    rows = [] if arguments.quick else quality_rows()
    write_results("protein", [*rows, *speed_rows(), *long_rows(), *published_rows()], settings)


if __name__ == "__main__":
    main()
