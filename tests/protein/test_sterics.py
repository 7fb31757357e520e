"""Steric guidance: takes overlapping chains apart, leaves others alone, and moves with the backbone."""

import torch

from backbones import random_motion
from helicell.core.spaces import quaternions
from helicell.protein.sterics import CONTACT, StericGuidance


def strands(distance: float) -> torch.Tensor:
    """Return two parallel straight strands of eight CA atoms, `distance` Angstrom apart."""
    along = 3.8 * torch.arange(8.0)
    one = torch.stack((along, torch.zeros(8), torch.zeros(8)), dim=-1)
    return torch.cat((one, one + torch.tensor([0.3, distance, 0.0])))[None]


def masks(ca: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a full mask and running residue numbers."""
    return torch.ones(ca.shape[:2], dtype=torch.bool), torch.arange(ca.shape[1])[None]


def nearest(ca: torch.Tensor) -> float:
    """Return the least distance between the two strands."""
    return float(torch.cdist(ca[0, :8], ca[0, 8:]).min())


def test_overlapping_strands_are_taken_apart() -> None:
    """Strands 2 A apart end near the contact distance; padding takes no part."""
    ca = strands(2.0)
    mask, index = masks(ca)
    moved = ca + StericGuidance(20).displacement(ca, mask, index)
    assert nearest(ca) < 2.1
    assert nearest(moved) > 0.9 * CONTACT
    mask[0, 8:] = False
    assert torch.equal(StericGuidance(20).displacement(ca, mask, index), torch.zeros_like(ca))


def test_free_strands_and_chain_neighbours_are_left_alone() -> None:
    """Nothing moves where nothing overlaps, though neighbours along the chain are nearer than contacts."""
    ca = strands(5.0)
    assert torch.equal(StericGuidance(3).displacement(ca, *masks(ca)), torch.zeros_like(ca))


def test_guidance_moves_with_the_backbone() -> None:
    """Rotated and shifted input gives the rotated displacement."""
    ca, (q, t) = strands(2.0), random_motion()
    moved = quaternions.rotate(q.expand(1, 16, 4), ca) + t
    expected = quaternions.rotate(q.expand(1, 16, 4), StericGuidance(3).displacement(ca, *masks(ca)))
    torch.testing.assert_close(StericGuidance(3).displacement(moved, *masks(ca)), expected, atol=1e-4, rtol=0)


def test_it_acts_between_its_times_only() -> None:
    """Neither the blurred start nor the last steps, nor a guidance of no sweeps, do anything."""
    guidance = StericGuidance(2, start=0.3, stop=0.95)
    assert [guidance.active(t) for t in (0.1, 0.5, 0.97)] == [False, True, False]
    assert not StericGuidance(0).active(0.5)
