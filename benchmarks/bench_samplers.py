"""What a training iteration of samplers costs, beside the published step as its description gives it.

Both sides take turns in one process, and what is compared is processor time on one thread, which other work on the
machine raises by a factor of up to one and a half. The plain side (`samplers_plain.py`) is written from the published
description: a rollout with a graph, a time embedding and a network call every step, energies of torch.distributions,
sub-trajectories by indexing, buffers that are copied and sorted. The goals are the issue's, in seconds of the machine
on which the published code was measured. `make bench-samplers_quality` measures what is learned.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import samplers_plain as plain
from harness import Row, write_results
from helicell.core.samplers.energies import Target, make_energy
from helicell.core.samplers.local_search import langevin_search
from helicell.core.samplers.replay import ReplayBuffer
from helicell.core.samplers.settings import SamplerSettings
from helicell.core.samplers.trainer import Trainer

BATCH, STEPS, HIDDEN = 300, 100, 64
ROUNDS = 5
FILL = 600_000
CHAINS, CHAIN_STEPS = 300, 200
SEED = 0
# Objective, Langevin, energy, goal in seconds, and seconds of the published code on the reference machine.
STEPS_MEASURED = (
    ("tb", False, "gmm25", 0.075, 0.158),
    ("tb", True, "gmm25", 0.11, 1.142),
    ("subtb", False, "gmm25", 0.11, 0.891),
    ("fl-subtb", True, "gmm25", 0.20, 2.624),
    ("tb", False, "many-well", 0.11, 0.240),
    ("tb", True, "many-well", None, 0.744),
)


def main() -> None:
    """Measure everything and write the table."""
    torch.set_num_threads(1)
    rows = [*step_rows(), *default_rows(), *buffer_rows(), *search_rows()]
    settings = {"batch": BATCH, "steps": STEPS, "hidden": HIDDEN, "clock": "processor time, median", "rounds": ROUNDS}
    write_results("samplers", rows, settings)


def medians(*calls: Callable[[], object], rounds: int = ROUNDS, warm: int = 1) -> list[float]:
    """Return the median processor seconds of each call; the calls take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for k in range(rounds + warm):
        for call, taken in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            if k >= warm:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]


def trainer(energy: str, objective: str, *, langevin: bool, **policy: Any) -> Trainer:
    """Return a training with the published process and sizes."""
    settings = SamplerSettings.from_mapping(
        {
            "energy": energy,
            "objective": objective,
            "policy": {"hidden": HIDDEN, "langevin": langevin, **policy},
            "process": {"steps": STEPS, "grid": "uniform", "variance": 5.0},
            "training": {"batch": BATCH, "decay": 2.0 if "subtb" in objective else 0.9},
        }
    )
    return Trainer(make_energy(energy), settings)


def step_rows() -> list[Row]:
    """Compare iterations with the network as published: fixed variance, no units of single coordinates."""
    rows = []
    for objective, langevin, energy, goal, published in STEPS_MEASURED:
        ours = trainer(energy, objective, langevin=langevin, learned_variance=False, coordinate_units=0)
        theirs = plain.Training(energy, objective, langevin=langevin, batch=BATCH, steps=STEPS, hidden=HIDDEN)
        taken = medians(ours.step, theirs.step)
        name = f"{energy}, {objective}{', Langevin' if langevin else ''}"
        own = (
            Row(f"{name}: ours", taken[0], "s")
            if goal is None
            else Row.at_most(f"{name}: ours", taken[0], goal, unit="s")
        )
        rows += [
            own,
            Row(f"{name}: plain", taken[1], "s"),
            Row(f"{name}: plain / ours", taken[1] / taken[0]),
            Row(f"{name}: published code, on the reference machine", published, "s"),
        ]
    return rows


def default_rows() -> list[Row]:
    """Measure iterations with the default policy: learned variance and units of single coordinates."""
    rows = []
    for objective, langevin, energy, _, _ in STEPS_MEASURED:
        (taken,) = medians(trainer(energy, objective, langevin=langevin).step)
        rows.append(Row(f"{energy}, {objective}{', Langevin' if langevin else ''}: ours, default policy", taken, "s"))
    return rows


def buffer_rows() -> list[Row]:
    """Compare the upkeep of full buffers: adding a batch, and drawing one."""
    generator = torch.Generator().manual_seed(SEED)
    points, rewards = torch.randn(FILL, 2, generator=generator), torch.randn(FILL, generator=generator)
    ours, theirs = ReplayBuffer(FILL, 2), plain.Buffer(FILL)
    ours.add(points, rewards)
    theirs.add(points, rewards)
    batch = torch.randn(BATCH, 2, generator=generator)

    def upkeep() -> None:
        ours.add(batch, batch[:, 0])
        ours.draw(BATCH, generator)

    own, other = medians(upkeep, lambda: theirs.add(batch, batch[:, 0]), rounds=20, warm=3)
    return [
        Row.at_most(f"buffer of {FILL}: adding and drawing {BATCH}: ours", 1e3 * own, 3, unit="ms"),
        Row(f"buffer of {FILL}: adding {BATCH}, copied and sorted: plain", 1e3 * other, "ms"),
        Row(f"buffer of {FILL}: plain / ours", other / own),
    ]


def search_rows() -> list[Row]:
    """Compare calls of parallel MALA."""
    rows = []
    for name in ("gmm25", "many-well"):
        energy = make_energy(name)
        target, reference = Target(energy), plain.energy(name)
        start = torch.from_numpy(np.random.default_rng(SEED).normal(size=(CHAINS, energy.dim))).float()
        own, other = medians(
            lambda target=target, start=start: langevin_search(target, start, steps=CHAIN_STEPS, burn_in=100),
            lambda reference=reference, start=start: plain.langevin(reference, start, steps=CHAIN_STEPS),
            rounds=3,
        )
        label = f"{name}, MALA, {CHAINS} chains of {CHAIN_STEPS} steps"
        rows += [
            Row.at_most(f"{label}: ours", own, 0.6, unit="s"),
            Row(f"{label}: plain", other, "s"),
            Row(f"{label}: plain / ours", other / own),
        ]
    return rows


if __name__ == "__main__":
    main()
