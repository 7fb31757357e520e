"""The energy of torsions: periodic, differentiable, bounded where atoms overlap."""

import math

import pytest
import torch

from helicell.core.errors import InputError
from helicell.protein.conformers import ConformerEnergy
from helicell.protein.conformers.energy import CEILING

DOUBLE = torch.float64


def angles(energy, count):
    """Return random torsions."""
    return 2 * math.pi * torch.rand(count, energy.dim, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)


def test_gradients_against_differences(alanine):
    """The gradient of the log reward by all torsions is that of central differences, over the ceiling too."""
    energy = ConformerEnergy(alanine, kinds=("phi", "psi", "omega", "spin"))
    x = energy.kinematics.start + torch.linspace(0.02, 1.0, 12, dtype=DOUBLE)[:, None] * (angles(energy, 12) - math.pi)
    step = 1e-6 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    value, gradient = energy.value_and_gradient(x)
    assert bool((value < -CEILING).any())
    assert bool((value > -CEILING).any())
    change = energy.log_reward(x + step) - energy.log_reward(x - step)
    torch.testing.assert_close(change, 2 * (gradient * step).sum(dim=1), rtol=1e-4, atol=1e-7)


def test_the_density_has_a_period(alanine_energy):
    """Full turns change nothing, and the reference structure has log reward zero."""
    x = angles(alanine_energy, 4)
    turned = x + 2 * math.pi * torch.tensor([[1.0, -1.0]], dtype=DOUBLE)
    torch.testing.assert_close(alanine_energy.log_reward(turned), alanine_energy.log_reward(x), rtol=1e-6, atol=1e-8)
    start = alanine_energy.kinematics.start[None]
    assert float(alanine_energy.log_reward(start)) == pytest.approx(0.0, abs=1e-6)


def test_temperature_scales_the_log_reward(alanine, alanine_energy):
    """At twice the temperature differences below the ceiling are half as large."""
    hot = ConformerEnergy(alanine, temperature=2 * alanine_energy.temperature)
    x = alanine_energy.kinematics.start + 0.3 * angles(alanine_energy, 4)
    cold = alanine_energy.log_reward(x)
    kept = cold > -CEILING
    torch.testing.assert_close(hot.log_reward(x)[kept], 0.5 * cold[kept])


def test_residues_with_both_angles(mixed):
    """A proline has no phi that turns; all others are in the map."""
    energy = ConformerEnergy(mixed)
    assert [residue for residue, _, _ in energy.pairs()] == [1, 3, 4]
    with pytest.raises(InputError, match="positive"):
        ConformerEnergy(mixed, temperature=0)
