"""Steric guidance: takes overlapping chains apart, leaves others alone, and moves with the backbone."""

import torch

from backbones import random_batch, random_motion
from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.sterics import ATOM_CONTACTS, CA_CONTACT, StericGuidance

EARLY, LATE = 0.4, 0.7


def strands(distance: float) -> Frames:
    """Return two parallel straight strands of eight residues, `distance` Angstrom apart."""
    along = 3.8 * torch.arange(8.0)
    one = torch.stack((along, torch.zeros(8), torch.zeros(8)), dim=-1)
    ca = torch.cat((one, one + torch.tensor([0.3, distance, 0.0])))[None]
    return Frames(ca, torch.tensor([1.0, 0, 0, 0]).expand(1, 16, 4))


def masks(frames: Frames) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a full mask and running residue numbers."""
    shape = frames.translations.shape[:2]
    return torch.ones(shape, dtype=torch.bool), torch.arange(shape[1]).expand(shape)


def nearest(ca: torch.Tensor) -> float:
    """Return the least distance between the two strands."""
    return float(torch.cdist(ca[0, :8], ca[0, 8:]).min())


def overlap(frames: Frames) -> float:
    """Return the deepest overlap (Angstrom) of backbone atoms of residues that are not neighbours."""
    atoms = backbone_from_frames(frames)[0].flatten(0, 1)
    residue = torch.arange(len(atoms)) // 4
    limits = torch.tensor(ATOM_CONTACTS).repeat(len(atoms) // 4, len(atoms) // 4)
    return float(((limits - torch.cdist(atoms, atoms)) * ((residue[:, None] - residue).abs() > 1)).max())


def test_overlapping_strands_are_taken_apart() -> None:
    """Strands 2 A apart end near the contact distance; padding takes no part."""
    frames = strands(2.0)
    mask, index = masks(frames)
    moved = frames.translations + StericGuidance(20).displacement(frames, mask, index, t=EARLY)
    assert nearest(frames.translations) < 2.1
    assert nearest(moved) > 0.9 * CA_CONTACT
    mask[0, 8:] = False
    assert not StericGuidance(20).displacement(frames, mask, index, t=EARLY).any()


def test_free_strands_and_chain_neighbours_are_left_alone() -> None:
    """Nothing moves where nothing overlaps, though neighbours along the chain are nearer than contacts."""
    frames = strands(6.5)
    for t in (EARLY, LATE):
        assert not StericGuidance(3).displacement(frames, *masks(frames), t=t).any()


def test_all_backbone_atoms_count_late() -> None:
    """Atoms that overlap in a random compact chain overlap much less after guidance, once all of them count."""
    frames = random_batch([24], seed=3).frames
    frames = Frames(0.9 * frames.translations, frames.quaternions)
    moved = StericGuidance(30).displacement(frames, *masks(frames), t=LATE)
    assert overlap(Frames(frames.translations + moved, frames.quaternions)) < 0.5 * overlap(frames)


def test_guidance_moves_with_the_backbone() -> None:
    """Rotated and shifted input gives the rotated displacement."""
    frames, (q, t) = strands(2.0), random_motion()
    for time in (EARLY, LATE):
        expected = StericGuidance(2).displacement(frames, *masks(frames), t=time)
        got = StericGuidance(2).displacement(frames.moved(q, t), *masks(frames), t=time)
        torch.testing.assert_close(got, quaternions.rotate(q.expand(1, 16, 4), expected), atol=2e-4, rtol=0)


def test_it_acts_between_its_times_only() -> None:
    """Neither the blurred start nor the last steps, nor a guidance of no sweeps, do anything."""
    frames = strands(2.0)
    silent = [StericGuidance(2).displacement(frames, *masks(frames), t=t) is None for t in (0.1, EARLY, 0.97)]
    assert silent == [True, False, True]
    assert StericGuidance(0).displacement(frames, *masks(frames), t=EARLY) is None
