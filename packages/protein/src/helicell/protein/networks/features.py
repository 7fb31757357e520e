"""Invariant features of frames: what a residue sees of its chain neighbours and of every other residue.

All lengths are in nanometre here. Every feature is expressed in residue frames, so none changes under rigid motions.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.protein.frames import IDEAL_C, IDEAL_N

NEIGHBOUR_OFFSETS = (-3, -2, -1, 1, 2, 3)
NEIGHBOUR_FEATURES = len(NEIGHBOUR_OFFSETS) * 13 + 8
CA_CA = 0.38
# Ideal distances (nanometre) over a peptide bond, i -> i + 1: C-N, CA-N, C-CA, CA-CA (trans).
PEPTIDE_DISTANCES = (0.1329, 0.2435, 0.2435, 0.3805)
# Deviations from ideal peptide distances are compressed by asinh beyond this many nanometre.
PEPTIDE_SCALE = 0.005


def shifted(value: Tensor, offset: int) -> Tensor:
    """Return value[:, i + offset] at i, zero beyond the ends; value has shape [batch, residues, ...]."""
    result = torch.zeros_like(value)
    if abs(offset) >= value.shape[1]:
        return result
    if offset > 0:
        result[:, :-offset] = value[:, offset:]
    else:
        result[:, -offset:] = value[:, :offset]
    return result


class ChainNeighbours:
    """Gathers, for each residue, the neighbours along its chain; made once per batch.

    Parameters
    ----------
    index
        Residue numbers, shape [batch, residues]; residues further apart in number than in place are not neighbours.
    mask
        True for residues, False for padding, shape [batch, residues].
    """

    def __init__(self, index: Int[Tensor, "batch residues"], mask: Bool[Tensor, "batch residues"]) -> None:
        length = index.shape[1]
        place = torch.arange(length, device=index.device)
        offsets = torch.tensor(NEIGHBOUR_OFFSETS, device=index.device)
        self.places = (place[:, None] + offsets).clamp(0, length - 1)
        inside = (place[:, None] + offsets >= 0) & (place[:, None] + offsets < length)
        numbered = index[:, self.places] - index[:, :, None] == offsets
        self.present = (inside & numbered & mask[:, self.places] & mask[:, :, None]).float()

    def features(
        self, x: Float[Tensor, "batch residues 3"], rotation: Float[Tensor, "batch residues 3 3"]
    ) -> Float[Tensor, "batch residues features"]:
        """Return what each residue sees of its neighbours, shape [batch, residues, NEIGHBOUR_FEATURES].

        For each offset the position and orientation of the neighbour in the residue's own frame and whether there is
        one; for the two peptide bonds how far their distances are from ideal ones.

        Parameters
        ----------
        x, rotation
            Frames: positions [batch, residues, 3] in nanometre and matrices [batch, residues, 3, 3].
        """
        present = self.present[..., None]
        inverse = rotation.transpose(-1, -2)
        towards = torch.einsum("brij,brkj->brki", inverse, x[:, self.places] - x[:, :, None])
        turned = torch.matmul(inverse[:, :, None], rotation[:, self.places])
        local = torch.cat((towards / CA_CA, turned.flatten(-2)), dim=-1) * present
        deviations = self._peptide_deviations(towards, turned)
        return torch.cat((local.flatten(2), self.present, deviations), dim=-1)

    def _peptide_deviations(self, towards: Tensor, turned: Tensor) -> Tensor:
        previous, following = NEIGHBOUR_OFFSETS.index(-1), NEIGHBOUR_OFFSETS.index(1)
        n, c = (towards.new_tensor(atom) / 10 for atom in (IDEAL_N, IDEAL_C))
        ca = torch.zeros_like(n)
        ideal = towards.new_tensor(PEPTIDE_DISTANCES)
        parts = []
        for k, here, there in ((previous, (n, n, ca, ca), (c, ca, c, ca)), (following, (c, ca, c, ca), (n, n, ca, ca))):
            other = towards[:, :, k, None] + torch.einsum("brij,pj->brpi", turned[:, :, k], torch.stack(there))
            distance = ((other - torch.stack(here)).square().sum(dim=-1) + 1e-8).sqrt()
            parts.append(torch.asinh((distance - ideal) / PEPTIDE_SCALE) * self.present[:, :, k, None])
        return torch.cat(parts, dim=-1)


PAIR_RADII_RATIO = 1.17
PAIR_RADII = tuple(0.35 * PAIR_RADII_RATIO**k for k in range(16))
"""Centres of the radial features, 0.35 to 3.7 nanometre, each 17 % wider than the one before."""
PAIR_FEATURES = len(PAIR_RADII) + 6
# Radial features go down to exp(-25), not into subnormal numbers, on which processors multiply forty times slower.
MOST_SQUARED_WIDTHS = 50.0


def pair_features(
    x: Float[Tensor, "batch residues 3"], rotation: Float[Tensor, "batch residues 3 3"]
) -> Float[Tensor, "batch features residues residues"]:
    """Return what residue i sees of residue j, shape [batch, PAIR_FEATURES, residues, residues].

    Radial features of the distance on a logarithmic scale, the direction of j in the frame of i, and that of i in the
    frame of j.
    """
    # [b, c, i, j] = R_i^T (x_j - x_i), component c.
    local = torch.einsum("bikc,bjk->bcij", rotation, x) - torch.einsum("bikc,bik->bci", rotation, x)[..., None]
    squared = local.square().sum(dim=1, keepdim=True) + 1e-6
    direction = local * squared.rsqrt()
    centres = torch.log(local.new_tensor(PAIR_RADII))[:, None, None]
    widths = (0.5 * torch.log(squared) - centres) / math.log(PAIR_RADII_RATIO)
    radial = torch.exp(-0.5 * widths.square().clamp_max(MOST_SQUARED_WIDTHS))
    return torch.cat((radial, direction, direction.transpose(2, 3)), dim=1)


def fourier(value: Tensor, count: int, *, lowest: float, highest: float) -> Tensor:
    """Return sines and cosines of value at `count` frequencies in geometric progression, shape [..., 2 count]."""
    steps = torch.linspace(math.log(lowest), math.log(highest), count, device=value.device, dtype=torch.float32)
    angle = value[..., None].float() * torch.exp(steps)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)
