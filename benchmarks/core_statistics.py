"""Statistics: exact W_2 at 2,000 points beside POT, and what the control variates of sliced distances save."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import ot
import torch

from harness import Row
from helicell.core.statistics.sliced import sliced_wasserstein
from helicell.core.statistics.transport import sinkhorn_divergence, wasserstein

POINTS = 2000
ROUNDS = 3
RUNS = 100


def rows() -> list[Row]:
    """Return times of exact distances, and factors of variance."""
    return [*exact_rows(), *sliced_rows()]


def exact_rows() -> list[Row]:
    """Return processor times of W_2, ours and POT's from points to the distance, in few and in many dimensions."""
    made = []
    for dimension in (2, 10, 50):
        rng = np.random.default_rng(dimension)
        x = rng.normal(size=(POINTS, dimension))
        y = 0.8 * rng.normal(size=(POINTS, dimension)) + rng.integers(0, 3, size=(POINTS, 1))
        wasserstein(x, y)
        ours, value = timed(lambda x=x, y=y: wasserstein(x, y))
        theirs, power = timed(lambda x=x, y=y: ot.emd2([], [], ot.dist(x, y), numItermax=10**8))
        made.append(Row(f"exact W2, {POINTS} points, {dimension} dimensions", 1e3 * ours, "ms"))
        made.append(Row.at_least(f"exact W2, {dimension} dimensions: POT's time over ours", theirs / ours, 2.0))
        made.append(
            Row.at_most(f"exact W2, {dimension} dimensions: relative difference", abs(value / power**0.5 - 1), 1e-6)
        )
        spent, _ = timed(lambda x=x, y=y, d=dimension: sinkhorn_divergence(x, y, regularisation=0.1 * d), rounds=1)
        made.append(Row(f"Sinkhorn divergence, {POINTS} points, {dimension} dimensions", 1e3 * spent, "ms"))
    return made


def sliced_rows() -> list[Row]:
    """Return how much less variance estimates have with control variates, for clouds of points in space."""
    generator = torch.Generator().manual_seed(0)
    shell = torch.nn.functional.normalize(torch.randn(POINTS, 3, generator=generator), dim=1)
    box = torch.rand(POINTS, 3, generator=generator) * torch.tensor([3.0, 1.0, 0.5])

    def variance(control: str) -> float:
        estimates = (
            sliced_wasserstein(shell, box, directions=50, control=control, generator=generator) for _ in range(RUNS)
        )
        return statistics.variance(estimate.power for estimate in estimates)

    plain = variance("none")
    made = [
        Row(f"sliced W2, 50 directions: variance over that with control {control!r}", plain / variance(control))
        for control in ("lower", "upper", "both")
    ]
    # How far the mean of many estimates is from that of many directions, in standard errors of the mean: unbiased.
    exact = sliced_wasserstein(shell, box, directions=20_000, generator=generator)
    runs = [sliced_wasserstein(shell, box, directions=50, generator=generator).power for _ in range(4 * RUNS)]
    error = math.hypot(statistics.stdev(runs) / len(runs) ** 0.5, exact.standard_error)
    bias = abs(statistics.mean(runs) - exact.power) / error
    return [*made, Row.at_most("sliced W2 with both controls: bias over its standard error", bias, 3.0)]


def timed(function: Callable[[], Any], *, rounds: int = ROUNDS) -> tuple[float, Any]:
    """Return the shortest processor time of a call, and its result."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return min(times), result
