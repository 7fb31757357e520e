"""The floor is what two samples of one population differ by, at the size that predictions are compared at."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helicell.cells.evaluation.floor import floor
from helicell.cells.evaluation.kernel import GAMMAS
from helicell.cells.evaluation.measures import MEASURES, Measure

FEATURES = 4


def gaussian(cells: int, seed: int = 0) -> torch.Tensor:
    """A population."""
    return torch.randn(cells, FEATURES, generator=torch.Generator().manual_seed(seed))


def floors(name: str, treated: torch.Tensor, size: float, repeats: int = 10) -> float:
    """The mean over several draws."""
    generator = torch.Generator().manual_seed(1)
    found = [floor(MEASURES[name], treated, treated, size=size, generator=generator) for _ in range(repeats)]
    return float(np.mean(found))


@pytest.mark.parametrize("cells", [1000, 600, 300])
def test_mmd_between_samples_of_a_gaussian_is_known(cells):
    """2/n (1 - E k) at n = 300 cells a side, also where the population has not twice as many."""
    kernel = np.mean([(1 + 4 * gamma) ** (-FEATURES / 2) for gamma in GAMMAS])
    expected = 2 / 300 * (1 - kernel)
    assert floors("mmd", gaussian(cells), 300) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("name", ["w1", "w2", "energy", "mean_error", "variance_error"])
def test_small_populations_have_the_floor_of_large_ones(name):
    """Populations of 400 cells give the floor at 400 cells a side that one of 4,000 has, on average over them."""
    # Distances that fall fast vary much from draw to draw, and cost little.
    repeats = 8 if name in ("w1", "w2") else 250
    large = np.mean([floors(name, gaussian(4000, seed), 400, repeats=1) for seed in range(repeats)])
    small = np.mean([floors(name, gaussian(400, seed), 400, repeats=1) for seed in range(repeats)])
    halves = np.mean([floors(name, gaussian(400, seed), 200, repeats=1) for seed in range(repeats)])
    assert small == pytest.approx(large, rel=0.12)
    assert abs(small - large) < 0.5 * abs(halves - large), "the correction is worth having"


def test_size_of_unequal_samples_is_their_harmonic_mean():
    """MMD between 100 and 400 cells of one population has the floor of 160 cells a side."""
    population = gaussian(4000)
    generator = torch.Generator().manual_seed(2)
    found = []
    for _ in range(30):
        order = torch.randperm(4000, generator=generator)
        found.append(MEASURES["mmd"](population, population[order[:100]], population[order[100:500]]))
    assert floors("mmd", population, 160) == pytest.approx(np.mean(found), rel=0.1)


def test_the_two_samples_share_no_cell():
    """Of cells that are all different, none is in both: the nearest distance between the samples is never zero."""
    seen = []

    def spy(predicted: torch.Tensor, treated: torch.Tensor) -> float:
        seen.append((predicted, treated))
        return 1.0

    measure = Measure("spy", "spy", "distance", spy)
    population = gaussian(100)
    floor(measure, population, population, size=50, generator=torch.Generator().manual_seed(3))
    ((first, second),) = seen
    assert (len(first), len(second)) == (50, 50)
    assert float(torch.cdist(first, second).min()) > 0
    everything = torch.cat((first, second)).sort(dim=0).values
    torch.testing.assert_close(everything, population.sort(dim=0).values)


def test_scores_are_taken_as_they_are():
    """How well one half predicts the other; below 1, and not scaled with the size."""
    control, treated = gaussian(100), gaussian(100, 1) + torch.linspace(0, 1, FEATURES)
    generator = torch.Generator().manual_seed(4)
    found = floor(MEASURES["pearson_delta"], control, treated, size=100, generator=generator)
    assert 0.5 < found < 1


def test_too_few_cells_give_no_floor():
    """One cell has no halves; very few have no quarters, and their halves are taken."""
    generator = torch.Generator().manual_seed(5)
    assert math.isnan(floor(MEASURES["w2"], gaussian(5), gaussian(1), size=5, generator=generator))
    assert floor(MEASURES["w2"], gaussian(5), gaussian(5), size=5, generator=generator) > 0
