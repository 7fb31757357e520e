"""Units of single coordinates: the passes along paths agree with those at one time, with gradients of their own."""

import pytest
import torch

from helicell.core.samplers import coordinates
from helicell.core.samplers.coordinates import CoordinateUnits

DOUBLE = torch.float64


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("numbers", [1, 40, 10_000])
def test_along_paths_as_step_by_step(monkeypatch, outputs, numbers):
    """Values and gradients of all weights agree with automatic differentiation, for any size of block."""
    monkeypatch.setattr(coordinates, "BLOCK_NUMBERS", numbers)
    torch.manual_seed(0)
    units = CoordinateUnits(3, 4, outputs, hidden=5, scale=1.3).double()
    torch.nn.init.normal_(units.time[-1].weight)
    x = torch.randn(6, 7, 3, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    weights = torch.randn(outputs, 6, 7, 3, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    tables = units.tables(torch.linspace(0, 1, 6, dtype=DOUBLE))
    plain = torch.stack([torch.stack(units(x[k], tables[k])) for k in range(6)], dim=1)
    expected = torch.autograd.grad((plain * weights).sum(), tables, retain_graph=True)[0]
    along = torch.stack(units(x, tables))
    torch.testing.assert_close(along, plain)
    torch.testing.assert_close(torch.autograd.grad((along * weights).sum(), tables, retain_graph=True)[0], expected)
    # States with a graph, as path-wise methods have them, keep it.
    moving = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((torch.stack(units(moving, tables)) * weights).sum(), moving)
    step = 1e-6 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    ends = [(torch.stack(units(x + sign * step, tables)) * weights).sum() for sign in (1, -1)]
    torch.testing.assert_close(ends[0] - ends[1], 2 * (gradient * step).sum(), rtol=1e-5, atol=1e-12)


def test_new_units_say_nothing():
    """Before training all outputs are zero, and the sigmoids of a coordinate lie apart."""
    units = CoordinateUnits(2, 3, 2)
    tables = units.tables(torch.zeros(1))
    assert not torch.stack(units(torch.randn(1, 4, 2), tables)).any()
    assert tables[0, 1, :, 0].diff().min() > 1
