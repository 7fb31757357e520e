"""Steric guidance of sampling: residues that the predicted backbone would put into each other are moved apart early.

In training the network only sees noisy versions of real chains, in which nothing overlaps; in sampling its own small
errors can lead two strands through each other, and close to the data nothing takes them apart again. So, between two
times, residues of each prediction that overlap are pushed apart, and the noisy state moves along as if the pushed
prediction had been its clean end all the time: x_s + s (pushed - predicted). First CA atoms count, later all backbone
atoms too. Bonds are left to the network, which sees the moved state in the steps that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.protein.frames import Frames, backbone_from_frames

# CA atoms of residues more than two apart hardly ever come nearer than this (Angstrom); 99 % of contacts are wider.
CA_CONTACT = 4.5
CA_SEPARATION = 2
# Closest approach (Angstrom) of the atoms N, CA, C, O of residues that are not neighbours: the outer limits of
# Ramachandran and Sasisekharan (1968), and some air.
ATOM_CONTACTS = (
    (2.9, 3.1, 3.1, 2.9),
    (3.1, 3.3, 3.3, 3.0),
    (3.1, 3.3, 3.3, 3.0),
    (2.9, 3.0, 3.0, 2.9),
)
ATOM_SEPARATION = 1
# Each of two overlapping points takes half of half the overlap: a residue with several contacts then settles smoothly.
SHARE = 0.25
# No residue moves by more than this in a sweep (Angstrom), however many it overlaps.
LARGEST_MOVE = 1.0
# Two points at the same place count as this far apart (Angstrom).
LEAST_DISTANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StericGuidance:
    """Pushes overlapping residues of a prediction apart.

    Attributes
    ----------
    sweeps
        Sweeps over all pairs a step; 0 turns guidance off.
    start, stop
        Times between which it acts: before, the prediction is a blur, and after, the network is left to settle bonds.
    atoms_start
        Time from which not only CA but all backbone atoms count: before, orientations are too uncertain.
    """

    sweeps: int
    start: float = 0.3
    stop: float = 0.95
    atoms_start: float = 0.5

    def displacement(
        self,
        frames: Frames,
        mask: Bool[Tensor, "batch residues"],
        index: Int[Tensor, "batch residues"],
        *,
        t: float,
    ) -> Float[Tensor, "batch residues 3"] | None:
        """Return by how much each residue should move at time t, in Angstrom; None where guidance is silent.

        Parameters
        ----------
        frames
            The prediction, shape [batch, residues, ...], Angstrom.
        mask, index
            Which residues there are, and their numbers, shape [batch, residues].
        t
            The time at which it was made.
        """
        if not (self.sweeps > 0 and self.start < t < self.stop):
            return None
        ca = frames.translations
        between = (index[:, :, None] - index[:, None, :]).abs()
        limits = CA_CONTACT * (mask[:, :, None] & mask[:, None, :] & (between > CA_SEPARATION))
        moved = self._spread_residues(ca, limits) - ca
        if t > self.atoms_start:
            moved = moved + self._spread_atoms(frames, mask, between > ATOM_SEPARATION) - ca
        return moved

    def _spread_residues(self, ca: Tensor, limits: Tensor) -> Tensor:
        """Return where the CA atoms [batch, residues, 3] are after all sweeps; `limits` [batch, residues, residues]."""
        for _ in range(self.sweeps):
            distance = torch.cdist(ca, ca, compute_mode="donot_use_mm_for_euclid_dist").clamp_min(LEAST_DISTANCE)
            weight = SHARE * (limits - distance).clamp_min(0) / distance
            ca = ca + _limited(weight.sum(dim=-1, keepdim=True) * ca - weight @ ca)
        return ca

    def _spread_atoms(self, frames: Frames, mask: Tensor, apart: Tensor) -> Tensor:
        """Return where the CA atoms are after all sweeps of all backbone atoms, which move with their residue.

        Only pairs of residues that could come into contact are looked at, of which a folded chain has few.
        """
        ca = frames.translations
        offsets = backbone_from_frames(frames) - ca[:, :, None]
        limits = ca.new_tensor(ATOM_CONTACTS)
        widest = 2 * offsets.square().sum(dim=-1).amax().sqrt() + limits.amax()
        reach = widest + 2 * LARGEST_MOVE * (self.sweeps - 1)
        near = torch.cdist(ca, ca, compute_mode="donot_use_mm_for_euclid_dist") < reach
        pairs = (near & apart & mask[:, :, None] & mask[:, None, :]).nonzero()
        here, there = (pairs[:, 0] * mask.shape[1] + pairs[:, k] for k in (1, 2))
        # The last oxygen of a chain follows from a convention, not from the prediction: it does not count.
        counts = mask[:, :, None].repeat(1, 1, offsets.shape[2])
        counts[:, :, -1] &= torch.nn.functional.pad(mask[:, 1:], (0, 1))
        counts = counts.flatten(0, 1)
        limits = limits * (counts[here][:, :, None] & counts[there][:, None, :])
        contacts = torch.bincount(here, minlength=mask.numel())
        moved = ca.flatten(0, 1)
        for _ in range(self.sweeps):
            points = moved[:, None] + offsets.flatten(0, 1)
            own, other = points[here], points[there]
            distance = torch.cdist(own, other, compute_mode="donot_use_mm_for_euclid_dist").clamp_min(LEAST_DISTANCE)
            weight = SHARE * (limits - distance).clamp_min(0) / distance
            push = torch.bmm(weight.sum(2)[:, None], own) - torch.bmm(weight.sum(1)[:, None], other)
            push = push.squeeze(1)
            moved = moved + _limited(torch.segment_reduce(push, "sum", lengths=contacts, initial=0))
        return moved.view_as(ca)


def _limited(push: Tensor) -> Tensor:
    """Return the push of each residue [..., 3], shortened where it is too long."""
    return push * (LARGEST_MOVE / push.norm(dim=-1, keepdim=True).clamp_min(LARGEST_MOVE))
