"""Steric guidance of sampling: residues that the predicted backbone would put into each other are moved apart early.

In training the network only sees noisy versions of real chains, in which nothing overlaps; in sampling its own small
errors can lead two strands through each other, and close to the data nothing takes them apart again. So, between two
times, the CA atoms of each prediction that overlap are pushed apart, and the noisy state moves along as if the pushed
prediction had been its clean end all the time: x_s + s (pushed - predicted). Bonds are left to the network, which sees
the moved state in the steps that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# CA atoms of residues more than two apart hardly ever come nearer than this (Angstrom); 99 % of contacts are wider.
CONTACT = 4.5
# No residue moves by more than this in a sweep (Angstrom), however many it overlaps.
LARGEST_MOVE = 1.0


@dataclass(frozen=True, slots=True)
class StericGuidance:
    """Pushes overlapping CA atoms of a prediction apart.

    Attributes
    ----------
    sweeps
        Sweeps over all pairs a step; 0 turns guidance off.
    start, stop
        Times between which it acts: before, the prediction is a blur, and after, the network is left to settle bonds.
    """

    sweeps: int
    start: float = 0.3
    stop: float = 0.95

    def active(self, t: float) -> bool:
        """Tell whether it acts in the step that starts at time t."""
        return self.sweeps > 0 and self.start < t < self.stop

    def displacement(
        self,
        ca: Float[Tensor, "batch residues 3"],
        mask: Bool[Tensor, "batch residues"],
        index: Int[Tensor, "batch residues"],
    ) -> Float[Tensor, "batch residues 3"]:
        """Return by how much each CA should move, shape [batch, residues, 3], Angstrom.

        Parameters
        ----------
        ca
            Predicted positions, shape [batch, residues, 3], Angstrom.
        mask, index
            Which residues there are, and their numbers, shape [batch, residues].
        """
        apart = (index[:, :, None] - index[:, None, :]).abs() > 2
        pairs = (apart & mask[:, :, None] & mask[:, None, :]).to(ca.dtype)
        x = ca
        for _ in range(self.sweeps):
            distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").clamp_min(1e-3)
            # Each of the two takes half of half the overlap: both sides of several contacts then settle smoothly.
            weight = 0.25 * (CONTACT - distance).clamp_min(0) / distance * pairs
            push = weight.sum(dim=-1, keepdim=True) * x - weight @ x
            x = x + push.clamp(-LARGEST_MOVE, LARGEST_MOVE)
        return x - ca
