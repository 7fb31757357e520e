"""The floor of a measure: what a perfect prediction would get, since two samples of one population differ, too.

It is the measure between two halves of the treated cells that share no cell. Distances shrink with the number of cells,
and a half has fewer than a prediction is compared with, so where the treated cells do not suffice for two samples of
full size the floor would be too high. There it is brought to full size by a power of the number of cells: MMD and
energy distance fall as 1/n, errors of means and variances as n^-1/2, and transport distances the more slowly the more
features there are, which halves and quarters of the population tell.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.evaluation.measures import Measure

# Pairs of halves, and of quarters, whose mean is taken where the size has to be corrected.
DRAWS = 8
# Transport distances fall no faster than this, and never rise with the number of cells.
STEEPEST = -1.0
# Below this many cells in a half there are no quarters to speak of.
FEWEST = 8


def floor(
    measure: Measure,
    control: Float[Tensor, "controls features"],
    treated: Float[Tensor, "treated features"],
    *,
    size: float,
    generator: torch.Generator,
) -> float:
    """Return the floor of a measure at a number of cells.

    Parameters
    ----------
    measure
        What is measured.
    control, treated
        The population.
    size
        Cells of a prediction and of the treated cells it is compared with; where they differ, their harmonic mean.
    generator
        Of the draws.

    Returns
    -------
    float
        Not a number for fewer than two treated cells.
    """
    half = len(treated) // 2
    if half < 1:
        return float("nan")
    cells = min(half, round(size))
    if measure.kind == "score" or cells >= math.floor(size) or cells < FEWEST:
        return _between(measure, control, treated, cells, generator)
    halves = _mean(measure, control, treated, cells, generator)
    exponent = measure.exponent
    if exponent is None:
        quarters = _mean(measure, control, treated, cells // 2, generator)
        if not (halves > 0 and quarters > 0):
            return halves
        exponent = math.log(halves / quarters) / math.log(cells / (cells // 2))
    return halves * (size / cells) ** min(max(exponent, STEEPEST), 0.0)


def _mean(measure: Measure, control: Tensor, treated: Tensor, count: int, generator: torch.Generator) -> float:
    return sum(_between(measure, control, treated, count, generator) for _ in range(DRAWS)) / DRAWS


def _between(measure: Measure, control: Tensor, treated: Tensor, count: int, generator: torch.Generator) -> float:
    order = torch.randperm(len(treated), generator=generator)
    return measure(control, treated[order[:count]], treated[order[count : 2 * count]])
