"""The set tasks of the forward-looking GFlowNets paper, against what is exactly true of them.

Every method has the same network, learning rate, exploration and uniform backward policy; three seeds each. The gap is
log Z, exactly known, less the lower bound that a method's samples give: the divergence of its walks from those that it
should take. A forward-looking objective has as its goal the gap of the plain one after as many walks. Published
implementations start log Z and flows at zero, and know nothing of the number of completions; the rows "from zero" do so
too. The best hundred sets are those of all walks, of the training and of the samples at its marks.
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
    draw,
    set_task,
)

SEEDS = (0, 1, 2)
SAMPLES = 256
MARKS = (25, 50, 100, 200)
SHARED: dict[str, Any] = {"batch": 16, "backward": "uniform", "exploration": 0.25, "iterations": MARKS[-1]}
METHODS: dict[str, dict[str, Any]] = {
    "tb": {"objective": "tb"},
    "tb from zero": {"objective": "tb", "first_guess": False},
    "db": {"objective": "db"},
    "db from zero": {"objective": "db", "first_guess": False},
    "fl-db from zero": {"objective": "fl-db", "first_guess": False},
    "fl-db": {"objective": "fl-db"},
    "subtb": {"objective": "subtb"},
    "fl-subtb": {"objective": "fl-subtb"},
}
PLAIN = {"fl-db": "db", "fl-subtb": "subtb", "fl-db from zero": "db from zero"}


def main() -> None:
    """Measure everything and write the table."""
    torch.set_num_threads(1)
    rows = [row for task in SET_TASKS for row in set_rows(task)]
    settings = {**SHARED, "marks": MARKS, "seeds": SEEDS, "samples": SAMPLES}
    write_results("sets", rows, settings)


# ----------------------------------------------------------------------------------------------------------------- sets


@dataclass(frozen=True, slots=True)
class Curve:
    """The gap of one training at each mark, and at its end the best sets it saw and the seconds it took."""

    gaps: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def set_rows(task: str) -> list[Row]:
    """Compare the methods on a task."""
    environment = set_task(task)
    exact, ceiling = float(environment.log_partition()), float(environment.best(100).exp().mean())
    print(f"{task}: log Z {exact:.5f}, best 100 sets {ceiling:.6g} on average", flush=True)
    made = [Row(f"sets, {task}: exact log Z", exact), Row(f"sets, {task}: mean reward of the best 100", ceiling)]
    gaps: dict[str, list[float]] = {}
    for method, options in METHODS.items():
        graph = environment if options.get("first_guess", True) else Uncounted(environment)
        curves = [_curve(graph, DiscreteSettings(seed=seed, **SHARED, **options), exact) for seed in SEEDS]
        gaps[method] = [statistics.mean(curve.gaps[number] for curve in curves) for number in range(len(MARKS))]
        for number, mark in enumerate(MARKS):
            measure = f"sets, {task}: gap of {method} after {mark * SHARED['batch']} walks"
            gap = gaps[method][number]
            if method in PLAIN:
                made.append(Row.at_most(measure, gap, gaps[PLAIN[method]][number], unit="nat"))
            else:
                made.append(Row(measure, gap, "nat"))
        found = statistics.mean(curve.best[0] for curve in curves) / ceiling
        shown = SAMPLES * len(MARKS) + SHARED["batch"] * MARKS[-1]
        made.append(Row(f"sets, {task}: best 100 of the {shown} sets of {method}, of the ceiling", found))
        made.append(Row(f"sets, {task}: {method}", statistics.mean(c.seconds[0] for c in curves), "s"))
        print(f"{task}: {method}: " + "; ".join(" ".join(f"{gap:.3f}" for gap in c.gaps) for c in curves), flush=True)
    return made


def _curve(environment: AdditiveSets, settings: DiscreteSettings, exact: float) -> Curve:
    trainer = DiscreteTrainer(environment, settings)
    curve, best, seconds = Curve(), Best(environment), 0.0
    for mark, count in _legs():
        start = time.process_time()
        ends = []
        for _ in range(count):
            trainer.step()
            ends.append(trainer.walks.ends)
        seconds += time.process_time() - start
        walked = torch.cat(ends)
        best.add(walked, environment.log_reward(walked))
        samples = draw(trainer.policy, SAMPLES, seed=settings.seed)
        best.add(samples.states, samples.log_reward)
        curve.gaps.append(exact - samples.log_z)
        assert trainer.iteration == mark
    curve.best.append(best.mean())
    curve.seconds.append(seconds)
    return curve


def _legs() -> Iterator[tuple[int, int]]:
    before = 0
    for mark in MARKS:
        yield mark, mark - before
        before = mark


class Uncounted(AdditiveSets):
    """Sets whose flows know nothing of the number of completions, as in published implementations."""

    def __init__(self, sets: AdditiveSets) -> None:
        super().__init__(sets.weights, (sets.smallest, sets.largest), names=sets.names)

    def log_completions(self, states: Tensor) -> Tensor:
        """Return zeros."""
        return torch.zeros(len(states))


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


if __name__ == "__main__":
    main()
