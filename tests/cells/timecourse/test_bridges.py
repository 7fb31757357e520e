"""Bridges between populations: exact ends, McCann's interpolation, and mass that changes instead of moving."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helicell.cells.timecourse.bridges import Link, between, growth_rate
from helicell.core.errors import InputError


def clusters(low: int, high: int, *, seed: int) -> Tensor:
    """Return a population of two cell types, far apart."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.cat([torch.zeros(low), torch.full((high,), 8.0)])
    return torch.stack([centres, torch.zeros_like(centres)], dim=1) + 0.3 * torch.randn(
        low + high, 2, generator=generator
    )


def test_exact_plans_give_displacement_interpolation() -> None:
    """A shifted population is carried straight: every cell is at its share of the shift."""
    x_0 = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([2.0, -1.0, 0.5])
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    middle = between(x_0, x_0[order] + shift, 0.25, marginal_weight=None)
    expected = x_0 + 0.25 * shift
    torch.testing.assert_close(middle.sort(dim=0).values, expected.sort(dim=0).values)


@pytest.mark.parametrize("marginal_weight", [None, 0.1])
def test_ends_are_the_populations(marginal_weight: float | None) -> None:
    """At shares 0 and 1 the cells are those of the two populations, each once, whatever mass changes in between."""
    x_0, x_1 = clusters(60, 40, seed=0), clusters(20, 80, seed=1)
    for share, end in ((0.0, x_0), (1.0, x_1)):
        drawn = between(x_0, x_1, share, marginal_weight=marginal_weight)
        assert torch.equal(drawn[drawn[:, 1].argsort()], end[end[:, 1].argsort()])


def test_types_become_rare_instead_of_turning_into_others() -> None:
    """Where the shares of two types change, balanced plans put cells between the types, and unbalanced ones hardly."""
    x_0, x_1 = clusters(400, 100, seed=0), clusters(100, 400, seed=1)
    strayed, lower = {}, {}
    for weight in (None, 0.05):
        middle = between(x_0, x_1, 0.5, marginal_weight=weight)
        strayed[weight] = ((middle[:, 0] - 4).abs() < 2.5).float().mean().item()
        lower[weight] = (middle[:, 0] < 4).float().mean().item()
    assert strayed[None] > 0.5
    assert strayed[0.05] < 0.01
    assert lower[0.05] == pytest.approx(0.5, abs=0.05)  # half-way between 0.8 and 0.2


def test_partners_follow_the_plan() -> None:
    """Draws forwards and backwards come as often as the plan's rows and columns say."""
    x_0, x_1 = clusters(6, 4, seed=0), clusters(3, 9, seed=1)
    link = Link.between(x_0, x_1, regularisation=0.5, marginal_weight=0.5)
    plan = torch.diff(link.to_targets, dim=1, prepend=torch.zeros(10, 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    rows = torch.full((20_000,), 2)
    frequencies = torch.bincount(link.forward(rows, generator=generator), minlength=12) / 20_000
    torch.testing.assert_close(frequencies.double(), plan[2] / plan[2].sum(), atol=0.02, rtol=0)
    frequencies = torch.bincount(link.backward(rows, generator=generator), minlength=10) / 20_000
    torch.testing.assert_close(frequencies.double(), plan[:, 2] / plan[:, 2].sum(), atol=0.02, rtol=0)
    torch.testing.assert_close(link.source_shares.double(), 10 * plan.sum(dim=1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(link.target_shares.double(), 12 * plan.sum(dim=0), atol=1e-6, rtol=1e-5)


def test_rate_of_growth_is_the_derivative_of_the_mass() -> None:
    """Integrated over the way, the rate gives the logarithm of the ratio of the masses."""
    shares = ((torch.arange(10_000) + 0.5) / 10_000).double()
    for ratio in (0.1, 1.0, 7.0):
        total = growth_rate(torch.tensor(ratio, dtype=torch.float64), shares).mean()
        torch.testing.assert_close(total.exp(), torch.tensor(ratio, dtype=torch.float64), rtol=1e-4, atol=0)


def test_balanced_plans_do_not_grow() -> None:
    """Every pair of an exact plan keeps its mass, also between populations of different sizes."""
    for sizes in ((10, 10), (10, 15)):
        x_0, x_1 = clusters(5, sizes[0] - 5, seed=0), clusters(5, sizes[1] - 5, seed=1)
        link = Link.between(x_0, x_1, regularisation=0.1, marginal_weight=None)
        sources = torch.arange(sizes[0])
        targets = link.forward(sources, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(link.ratio(sources, targets), torch.ones(sizes[0]))


def test_shares_outside_of_the_way() -> None:
    """Extrapolation is refused."""
    with pytest.raises(InputError, match=r"the share of the way is 1.5, expected 0 to 1"):
        between(torch.zeros(2, 1), torch.ones(2, 1), 1.5)
