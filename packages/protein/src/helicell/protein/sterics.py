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
        ca, residues = frames.translations, mask.shape[1]
        between = (index[:, :, None] - index[:, None, :]).abs()
        limits = CA_CONTACT * (_pairs(mask) & (between > CA_SEPARATION))
        moved = self._spread(ca[:, :, None], limits) - ca
        if t > self.atoms_start:
            # The last oxygen of a chain follows from a convention, not from the prediction: it does not count.
            atom_mask = mask[:, :, None].repeat(1, 1, 4)
            atom_mask[:, :, 3] &= torch.nn.functional.pad(mask[:, 1:], (0, 1))
            apart = (between > ATOM_SEPARATION).repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
            contacts = ca.new_tensor(ATOM_CONTACTS).repeat(residues, residues)
            limits = contacts * (_pairs(atom_mask.flatten(1)) & apart)
            moved = moved + self._spread(backbone_from_frames(frames), limits) - ca
        return moved

    def _spread(self, atoms: Tensor, limits: Tensor) -> Tensor:
        """Return the CA positions after all sweeps.

        `atoms` [batch, residues, atoms, 3] move with their residue, whose CA is the second atom, or the only one;
        `limits` [batch, residues x atoms, residues x atoms] says how near two of them may come.
        """
        count = atoms.shape[2]
        ca = atoms[:, :, min(1, count - 1)]
        offsets = atoms - ca[:, :, None]
        for _ in range(self.sweeps):
            points = (ca[:, :, None] + offsets).flatten(1, 2)
            distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").clamp_min(1e-3)
            weight = SHARE * (limits - distance).clamp_min(0) / distance
            push = weight.sum(dim=-1, keepdim=True) * points - weight @ points
            push = push.unflatten(1, (-1, count)).sum(dim=2)
            ca = ca + push * (LARGEST_MOVE / push.norm(dim=-1, keepdim=True).clamp_min(LARGEST_MOVE))
        return ca


def _pairs(mask: Tensor) -> Tensor:
    """Return which pairs [batch, n, n] of those in a mask [batch, n] are both there."""
    return mask[:, :, None] & mask[:, None, :]
