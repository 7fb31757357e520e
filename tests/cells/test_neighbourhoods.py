"""What surrounds a cell, against the definition."""

import torch

from helicell.cells.neighbourhoods import Neighbourhood


def test_shifts_and_densities_are_those_of_the_kernels():
    """Against kernels written out in double precision, with padding that must not count."""
    generator = torch.Generator().manual_seed(0)
    cells, x = torch.randn(2, 30, 3, generator=generator), torch.randn(2, 7, 3, generator=generator)
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, 20:] = False
    neighbourhood = Neighbourhood(3, bandwidths=4, widest=2.0)
    found = neighbourhood(x, cells, mask).view(2, 7, 4, 4)
    for population in range(2):
        near = cells[population][mask[population]].double()
        for number, bandwidth in enumerate(2.0 / 2 ** (torch.arange(4) / 2)):
            squared = torch.cdist(x[population].double(), near) ** 2
            weights = torch.exp(-squared / (2 * bandwidth**2))
            shift = (weights @ near / weights.sum(dim=1, keepdim=True) - x[population]) / bandwidth
            torch.testing.assert_close(found[population, :, number, :3].double(), shift, rtol=1e-3, atol=1e-4)
            density = weights.mean(dim=1).log()
            torch.testing.assert_close(found[population, :, number, 3].double(), density, rtol=1e-3, atol=1e-3)


def test_far_cells_stay_finite():
    """A point far from all cells has finite numbers, although every kernel vanishes there."""
    found = Neighbourhood(2, bandwidths=6, widest=0.1)(
        torch.full((1, 1, 2), 1e3), torch.zeros(1, 5, 2), torch.ones(1, 5, dtype=torch.bool)
    )
    assert found.isfinite().all()
