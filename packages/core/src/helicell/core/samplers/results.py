"""What runs leave behind: samples in files, folders of baselines, and tables of several runs."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.files import atomic_write
from helicell.core.runs.folder import METRICS_NAME, SETTINGS_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.samplers.baselines import annealed_sampling, chain_sampling
from helicell.core.samplers.energies import Target, make_energy
from helicell.core.samplers.metrics import measure
from helicell.core.samplers.sampler import Samples, load_sampler
from helicell.core.samplers.settings import BaselineSettings

SAMPLES = "samples.npz"
COLUMNS = (
    "run",
    "energy",
    "dim",
    "objective",
    "langevin",
    "local_search",
    "steps",
    "seed",
    "log_z",
    "log_z_error",
    "log_z_rw_error",
    "eubo_gap",
    "ess",
    "sliced_w2",
    "sliced_w2_floor",
    "w2",
    "w2_floor",
    "modes_covered",
    "modes",
    "energy_calls",
    "cpu_seconds",
)


def draw_to_file(model: str | Path, out: str | Path, *, count: int, seed: int = 0, steps: int | None = None) -> Samples:
    """Draw samples of a trained sampler into a file, .npz or .csv.

    Parameters
    ----------
    model
        Folder or file of a trained sampler.
    out
        The file; whole or absent.
    count, seed
        How many, and their streams.
    steps
        Steps of a path; as trained unless given.

    Raises
    ------
    InputError
        If the model cannot be read or the format is unknown.
    """
    out = Path(out)
    if out.suffix not in (".npz", ".csv"):
        raise unknown_option("format of samples", out.suffix, [".npz", ".csv"])
    sampler = load_sampler(model)
    condition = sampler.energy.draw_conditions(count, torch.Generator().manual_seed(seed))
    drawn = sampler.sample(count, seed=seed, steps=sampler.steps_of(steps), condition=condition)
    write_samples(drawn, out)
    return drawn


def write_samples(drawn: Samples, out: Path) -> None:
    """Write samples as .npz, or as .csv with one row a sample."""
    weights, reward = drawn.log_weights.numpy(), drawn.log_reward.numpy()
    with atomic_write(out) as temporary:
        if out.suffix == ".npz":
            with temporary.open("wb") as handle:
                np.savez(handle, points=drawn.points.numpy(), log_weight=weights, log_reward=reward)
        else:
            names = [f"x{axis}" for axis in range(drawn.points.shape[1])]
            table = np.column_stack((drawn.points.numpy(), weights, reward))
            np.savetxt(
                temporary, table, delimiter=",", header=",".join((*names, "log_weight", "log_reward")), comments=""
            )


def baseline_to_folder(settings: BaselineSettings, out: str | Path) -> dict[str, Any]:
    """Sample without training into a run folder, and return the metrics.

    Parameters
    ----------
    settings
        The method and the energy.
    out
        The folder; absent or empty.
    """
    folder = RunFolder.create(out, settings)
    started = time.process_time()
    target = Target(make_energy(settings.energy, settings.dim))
    if target.energy.condition_dim:
        message = f"the energy {settings.energy} has conditions, which the baselines do not take; choose another energy"
        raise InputError(message)
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.method in ("smc", "ais"):
        drawn = annealed_sampling(
            target, settings.count, stages=settings.steps, resample=settings.method == "smc", generator=generator
        )
    else:
        ladder = settings.temperatures if settings.method == "tempering" else (1.0,)
        drawn = chain_sampling(target, settings.count, steps=settings.steps, temperatures=ladder, generator=generator)
    seconds = time.process_time() - started
    energy = target.energy
    exact = energy.sample(settings.count, generator) if energy.has_samples else None
    metrics = measure(energy, drawn, exact=exact, calls=target.calls, seed=settings.seed).to_mapping()
    found = json_ready({**metrics, "cpu_seconds": round(seconds, 3), "energy_rejected": target.rejected})
    write_samples(drawn, folder.path / SAMPLES)
    folder.write_metrics(found)
    folder.finish(Manifest("samplers baseline", seed=settings.seed, outputs=checksums(folder.path, [SAMPLES])))
    return found


def read_runs(folders: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Return a row for every run: what it was, and what was measured.

    Raises
    ------
    InputError
        If a folder is not that of a finished run.
    """
    return [_row(Path(folder)) for folder in folders]


def write_table(rows: Sequence[Mapping[str, Any]], out: str | Path) -> None:
    """Write rows as CSV, with the usual columns."""
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def json_ready(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with None in the place of what JSON cannot say."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _row(folder: Path) -> dict[str, Any]:
    try:
        metrics = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))
        settings = yaml.safe_load((folder / SETTINGS_NAME).read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{folder} is not the folder of a finished run, it has no {Path(error.filename).name}"
        raise InputError(message) from error
    return {
        "run": folder.name,
        "energy": settings["energy"],
        "dim": settings["dim"],
        "objective": settings.get("objective") or settings.get("method"),
        "langevin": settings.get("policy", {}).get("langevin"),
        "local_search": settings.get("search", {}).get("enabled"),
        "steps": settings.get("steps") or settings.get("process", {}).get("steps"),
        "seed": settings["seed"],
        **metrics,
    }
