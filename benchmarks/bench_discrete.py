"""Discrete samplers: the cost of an iteration on a hypergrid, and the set tasks against what is exactly true of them.

Costs are processor time of one thread, the median over blocks of iterations. On the sets every method has the same
network, learning rate, exploration and uniform backward policy; three seeds each. The gap is log Z, exactly known, less
the lower bound that a method's samples give: the divergence of its walks from those that it should take. Published
implementations start log Z and flows at zero; the rows "from zero" do so too.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness import Row, write_results
from helicell.core.samplers.discrete import (
    SET_TASKS,
    AdditiveSets,
    DiscreteSettings,
    DiscreteTrainer,
    HyperGrid,
    draw,
    set_task,
)
from helicell.core.samplers.discrete.exact import (
    log_partition,
    target_distribution,
    terminal_distribution,
    total_variation,
)
from helicell.core.samplers.discrete.policies import tabulated

# torchgfn 2.4.1 on the same grid, batch and network, as measured on an untrained policy, in milliseconds.
PUBLISHED, GOAL = 42.8, 10.0
BLOCK = 20
SEEDS = (0, 1, 2)
SAMPLES = 256
MARKS = (25, 50, 100, 160)
SHARED: dict[str, Any] = {"batch": 16, "backward": "uniform", "exploration": 0.25, "iterations": MARKS[-1]}
METHODS: dict[str, dict[str, Any]] = {
    "tb": {"objective": "tb"},
    "tb from zero": {"objective": "tb", "first_guess": False},
    "db": {"objective": "db"},
    "db from zero": {"objective": "db", "first_guess": False},
    "fl-db": {"objective": "fl-db"},
    "fl-subtb": {"objective": "fl-subtb"},
}
# Stretches of half the walks, whose rewards are never looked at: iterations by task.
STRETCHES = {"small": 1000, "medium": 400, "large": 400}
MARGINAL_SAMPLES = 2000


def main() -> None:
    """Measure everything and write the table."""
    torch.set_num_threads(1)
    rows = [*grid_rows(), *(row for task in SET_TASKS for row in set_rows(task))]
    settings = {
        "clock": "processor time, median",
        "sets": {**SHARED, "marks": MARKS, "seeds": SEEDS, "samples": SAMPLES, "stretches": STRETCHES},
    }
    write_results("discrete", rows, settings)


# ------------------------------------------------------------------------------------------------------------ hypergrid


def grid_rows() -> list[Row]:
    """Measure an iteration of trajectory balance on the 4 x 8 grid, and how near it comes to the exact distribution."""
    name = "hypergrid 4 x 8, batch 128, tb"
    grid = HyperGrid(4, 8)
    made = [Row(f"{name}: torchgfn 2.4.1, as measured before", PUBLISHED, "ms")]
    for label, lag in (("every walk by the newest policy", 0), ("walks lag by up to 50 iterations", 50)):
        trainer = DiscreteTrainer(grid, DiscreteSettings(batch=128, lag=lag, iterations=1500))
        costs = [_block(trainer) for _ in range(1500 // BLOCK)]
        early, late = statistics.median(costs[:5]), statistics.median(costs[-25:])
        made.append(Row.at_most(f"{name}, {label}: first 100 iterations", early, GOAL, unit="ms"))
        made.append(Row.at_most(f"{name}, {label}: iterations 1000 to 1500", late, GOAL, unit="ms"))
        ends = terminal_distribution(grid, tabulated(trainer.policy, grid).log_forward)
        distance = total_variation(ends, target_distribution(grid))
        made.append(Row(f"{name}, {label}: total variation after 1500 iterations", distance))
        error = abs(trainer.estimate_log_z() - log_partition(grid))
        made.append(Row(f"{name}, {label}: error of the learned log Z", error))
    return made


def _block(trainer: DiscreteTrainer) -> float:
    """Return the cost of an iteration, in milliseconds, over a block."""
    start = time.process_time()
    for _ in range(BLOCK):
        trainer.step()
    return (time.process_time() - start) / BLOCK * 1e3


# ----------------------------------------------------------------------------------------------------------------- sets


@dataclass(frozen=True, slots=True)
class Curve:
    """The gap of one training at each mark, and at its end the best sets it saw and the seconds it took."""

    gaps: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def set_rows(task: str) -> list[Row]:
    """Compare the methods on a task, and learn from stretches alone."""
    environment = set_task(task)
    exact, ceiling = float(environment.log_partition()), float(environment.best(100).exp().mean())
    print(f"{task}: log Z {exact:.5f}, best 100 sets {ceiling:.6g} on average", flush=True)
    made = [Row(f"sets, {task}: exact log Z", exact), Row(f"sets, {task}: mean reward of the best 100", ceiling)]
    for method, options in METHODS.items():
        curves = [_curve(environment, DiscreteSettings(seed=seed, **SHARED, **options), exact) for seed in SEEDS]
        for number, mark in enumerate(MARKS):
            gap = statistics.mean(curve.gaps[number] for curve in curves)
            made.append(Row(f"sets, {task}: gap of {method} after {mark * SHARED['batch']} walks", gap, "nat"))
        found = statistics.mean(curve.best[0] for curve in curves) / ceiling
        made.append(Row(f"sets, {task}: best 100 that {method} saw, of the ceiling", found))
        made.append(Row(f"sets, {task}: {method}", statistics.mean(c.seconds[0] for c in curves), "s"))
        print(f"{task}: {method}: " + "; ".join(" ".join(f"{gap:.3f}" for gap in c.gaps) for c in curves), flush=True)
    return [*made, *_stretch_rows(task, environment, exact)]


def _curve(environment: AdditiveSets, settings: DiscreteSettings, exact: float) -> Curve:
    trainer = DiscreteTrainer(environment, settings)
    curve, best, seconds = Curve(), Best(environment), 0.0
    for mark, count in _stretches():
        start = time.process_time()
        for _ in range(count):
            trainer.step()
        seconds += time.process_time() - start
        samples = draw(trainer.policy, SAMPLES, seed=settings.seed)
        best.add(samples.states, samples.log_reward)
        curve.gaps.append(exact - samples.log_z)
        assert trainer.iteration == mark
    curve.best.append(best.mean())
    curve.seconds.append(seconds)
    return curve


def _stretches() -> Iterator[tuple[int, int]]:
    before = 0
    for mark in MARKS:
        yield mark, mark - before
        before = mark


class Best:
    """The hundred best distinct sets among all samples."""

    def __init__(self, environment: AdditiveSets) -> None:
        self.environment = environment
        self.rewards: dict[bytes, float] = {}

    def add(self, states: Tensor, log_reward: Tensor) -> None:
        """Take in samples."""
        sets = self.environment.sets(states)
        self.rewards.update(
            (row.numpy().tobytes(), value) for row, value in zip(sets, log_reward.exp().tolist(), strict=True)
        )

    def mean(self) -> float:
        """Return the mean reward of the hundred best."""
        return statistics.mean(sorted(self.rewards.values(), reverse=True)[:100])


def _stretch_rows(task: str, environment: AdditiveSets, exact: float) -> list[Row]:
    """Learn from stretches of half the length without the reward of an end; measure the marginals."""
    errors, gaps, learned = [], [], []
    iterations = STRETCHES[task]
    for seed in SEEDS:
        shared = {**SHARED, "iterations": iterations, "objective": "fl-db", "window": 0.5}
        trainer = DiscreteTrainer(environment, DiscreteSettings(seed=seed, **shared))
        while trainer.iteration < iterations:
            trainer.step()
        samples = draw(trainer.policy, MARGINAL_SAMPLES, seed=seed)
        found = environment.sets(samples.states).double().mean(dim=0)
        errors.append(float((found - environment.marginals()).abs().max()))
        gaps.append(exact - samples.log_z)
        learned.append(abs(trainer.estimate_log_z() - exact))
    exact_draws = environment.sets(environment.sample(MARGINAL_SAMPLES, torch.Generator().manual_seed(0)))
    floor = float((exact_draws.double().mean(dim=0) - environment.marginals()).abs().max())
    print(f"{task}: stretches: marginals {errors}, floor {floor:.4f}, gaps {gaps}", flush=True)
    walks = iterations * SHARED["batch"]
    name = f"sets, {task}: fl-db on half walks without rewards, {walks} walks"
    return [
        Row(f"{name}: largest error of a marginal", statistics.mean(errors)),
        Row(f"{name}: the same of as many exact samples (floor)", floor),
        Row(f"{name}: gap", statistics.mean(gaps), "nat"),
        Row(f"{name}: error of the learned log Z", statistics.mean(learned)),
    ]


if __name__ == "__main__":
    main()
