"""How well samplers learn on a budget of processor seconds, beside the published figures; every seed has its rows.

The runs are trainings of `helicell samplers train` in folders under `benchmarks/runs`, so that an interrupted benchmark
goes on where it was; remove the folder to measure anew. Processor seconds are those of the training, on one thread.
Published figures: 25 modes, log Z error 4.57 after 122 s of the published code with exploration, and 0.560 / 0.422
(bound / reweighted) at the end of its full training; many wells in 32 dimensions, 2.67 without and 0.07 to 0.19 with
local search (reweighted), where 2.708 is collapse; funnel, 0.5 to 0.9 (bound).
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch

from harness import Row, write_results
from helicell.core.runs.folder import METRICS_NAME
from helicell.core.samplers.metrics import evaluate
from helicell.core.samplers.sampler import load_sampler
from helicell.core.samplers.settings import SamplerSettings
from helicell.core.samplers.training import train_to_folder

RUNS = Path(__file__).resolve().parent / "runs"
SEEDS = (0, 1, 2)
# With so many samples the reweighted estimate itself is known well enough to be held against its goal.
SAMPLES = 20_000
LADDER = (1.0, 1.5, 2.2, 3.3, 5.0, 8.0)
REPLICAS = {"enabled": True, "every": 20, "burn_in": 50, "persistent": True, "temperatures": LADDER}

TASKS: dict[str, dict[str, Any]] = {
    "25 modes, TB, exploration, Langevin, search": {
        "energy": "gmm25",
        "objective": "tb",
        "policy": {"langevin": True},
        "process": {"steps": 50},
        "search": {"enabled": True},
        "replay": {"rank_weight": None},
        "training": {"iterations": 1000, "exploration": 0.5},
    },
    "many wells 32, VarGrad, Langevin, replica search": {
        "energy": "many-well",
        "dim": 32,
        "objective": "vargrad",
        "policy": {"langevin": True},
        "process": {"steps": 50},
        "search": {**REPLICAS, "likelihood_share": 0.5},
        "replay": {"rank_weight": None},
        "training": {"iterations": 1000, "learning_rate": 3e-3},
    },
    "funnel, VarGrad, exploration, Langevin": {
        "energy": "funnel",
        "objective": "vargrad",
        "policy": {"langevin": True},
        "process": {"steps": 50},
        "training": {"iterations": 800, "exploration": 0.3, "learning_rate": 3e-3},
    },
    "many wells 128, VarGrad, Langevin, replica search": {
        "energy": "many-well",
        "dim": 128,
        "objective": "vargrad",
        "policy": {"langevin": True},
        "process": {"steps": 50},
        "search": {**REPLICAS, "likelihood_share": 0.5},
        "replay": {"rank_weight": None},
        "training": {"iterations": 400, "learning_rate": 3e-3},
    },
}
# Which seeds a task is run with, where not with all.
FEWER = {"many wells 128, VarGrad, Langevin, replica search": (0,)}


def main() -> None:
    """Train everything that has not been trained yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run only tasks whose name begins so, and write no table")
    parser.add_argument("--finished", action="store_true", help="train nothing; the table names the runs it lacks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    missing: list[str] = []
    for name in TASKS:
        for seed in FEWER.get(name, SEEDS) if name.startswith(options.only) else ():
            if options.finished and not (run_folder(settings_of(name, seed)) / METRICS_NAME).exists():
                missing.append(f"{name}, seed {seed}")
            else:
                rows += measured(name, seed)
    if not options.only:
        clock = "processor seconds of the training, one thread"
        settings = {"tasks": TASKS, "samples": SAMPLES, "clock": clock, "not trained yet": missing}
        write_results("samplers_quality", rows, settings)


def settings_of(name: str, seed: int) -> SamplerSettings:
    """Return the settings of a training."""
    return SamplerSettings.from_mapping({**TASKS[name], "seed": seed})


def run_folder(settings: SamplerSettings) -> Path:
    """Return the folder of a training."""
    return RUNS / f"{settings.energy}-{settings.dim or 0}-{settings.seed}"


def measured(name: str, seed: int) -> list[Row]:
    """Return the rows of one training, which is done or continued if need be."""
    settings = settings_of(name, seed)
    folder = run_folder(settings)
    if not (folder / METRICS_NAME).exists():
        train_to_folder(settings, folder, resume=folder.exists())
    run = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))
    found = evaluate(load_sampler(folder), samples=SAMPLES, seed=seed + 1, distances=False)
    label = f"{name}, seed {seed}"
    seconds, bound, estimate = run["cpu_seconds"], abs(found.log_z_error or 0), abs(found.log_z_rw_error or 0)
    rows = [Row(f"{label}: log Z error of the bound", bound), Row(f"{label}: processor seconds", seconds, "s")]
    if settings.energy == "gmm25":
        rows = [
            Row.at_most(f"{label}: log Z error of the bound", bound, 0.6),
            Row.at_most(f"{label}: log Z error, reweighted", estimate, 0.02),
            Row.at_least(f"{label}: modes covered", found.modes_covered or 0, 25),
            Row.at_most(f"{label}: processor seconds", seconds, 120, unit="s"),
        ]
    elif settings.energy == "many-well" and settings.dim == 32:
        rows.append(Row.at_most(f"{label}: log Z error, reweighted", estimate, 0.2))
        rows[1] = Row.at_most(f"{label}: processor seconds", seconds, 1800, unit="s")
    else:
        rows.append(Row(f"{label}: log Z error, reweighted", estimate))
    rows += [
        Row(f"{label}: EUBO - ELBO", found.eubo_gap if found.eubo_gap is not None else math.nan),
        Row(f"{label}: effective sample size, share", found.ess),
        Row(f"{label}: sliced W2", run["sliced_w2"]),
        Row(f"{label}: sliced W2, floor", run["sliced_w2_floor"]),
        Row(f"{label}: energy calls", run["energy_calls"] / 1e6, "million"),
    ]
    return rows


if __name__ == "__main__":
    main()
