"""Residue frames: a backbone as one rigid motion per residue, and back to the atoms N, CA, C, O.

The frame of a residue has its origin at CA, its first axis along CA -> C, and N in the plane of its first two axes. It
acts on local coordinates as x -> R x + t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces import quaternions

# Mean local coordinates (Angstrom) of N, CA and C over 19,000 protein chains of at most 300 residues.
IDEAL_N = (-0.525, 1.361, 0.0)
IDEAL_CA = (0.0, 0.0, 0.0)
IDEAL_C = (1.525, 0.0, 0.0)
C_O_BOND = 1.231
# The oxygen lies in the peptide plane, at the angle that splits C's outside as these weights of its two bonds say.
O_AWAY_FROM_CA = 0.943
O_AWAY_FROM_NEXT_N = 0.967
# Psi (radian) that places the last oxygen, for which no next residue defines it: that of an extended strand.
LAST_PSI = 2.36


@dataclass(frozen=True, slots=True)
class Frames:
    """One rigid motion per residue.

    Attributes
    ----------
    translations
        Positions of CA, shape [..., residues, 3], Angstrom.
    quaternions
        Orientations, shape [..., residues, 4], unit, scalar first.
    """

    translations: Float[Tensor, "... residues 3"]
    quaternions: Float[Tensor, "... residues 4"]

    def apply(self, local: Float[Tensor, "*batch residues points 3"]) -> Float[Tensor, "*batch residues points 3"]:
        """Map local coordinates [..., residues, points, 3] to global ones."""
        return (
            torch.einsum("...rij,...rpj->...rpi", quaternions.to_matrix(self.quaternions), local)
            + (self.translations[..., None, :])
        )

    def moved(self, quaternion: Float[Tensor, 4], translation: Float[Tensor, 3]) -> Frames:
        """Return the frames after one rigid motion of the whole (quaternion [4], translation [3] in Angstrom)."""
        return Frames(
            quaternions.rotate(quaternion.expand_as(self.quaternions), self.translations) + translation,
            quaternions.multiply(quaternion.expand_as(self.quaternions), self.quaternions),
        )

    def to(self, *args: object, **kwargs: object) -> Frames:
        """Return the frames with both tensors moved as by `Tensor.to`."""
        return Frames(self.translations.to(*args, **kwargs), self.quaternions.to(*args, **kwargs))  # type: ignore[call-overload]


def frames_from_backbone(coordinates: Float[Tensor, ...]) -> Frames:
    """Return the frames of backbone atoms.

    Parameters
    ----------
    coordinates
        N, CA, C and optionally more atoms, shape [..., residues, 3 or more, 3], Angstrom.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    if coordinates.ndim < 3 or coordinates.shape[-1] != 3 or coordinates.shape[-2] < 3:
        message = (
            f"backbone coordinates must have shape [..., residues, 3 or more atoms, 3], got {tuple(coordinates.shape)}"
        )
        raise InputError(message)
    n, ca, c = coordinates[..., :3, :].unbind(dim=-2)
    first = torch.nn.functional.normalize(c - ca, dim=-1)
    towards_n = n - ca
    second = towards_n - (towards_n * first).sum(dim=-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    matrix = torch.stack((first, second, torch.linalg.cross(first, second)), dim=-1)
    return Frames(ca, quaternions.from_matrix(matrix))


def backbone_from_frames(frames: Frames) -> Float[Tensor, "*batch residues 4 3"]:
    """Return ideal backbone atoms N, CA, C, O of frames, shape [..., residues, 4, 3], Angstrom.

    The oxygen of each residue lies in the plane of its peptide bond with the next one; the last residue's is placed
    for the psi angle of an extended strand.
    """
    local = frames.translations.new_tensor((IDEAL_N, IDEAL_CA, IDEAL_C))
    atoms = frames.apply(local.expand(*frames.translations.shape[:-1], 3, 3))
    n, ca, c = atoms.unbind(dim=-2)
    unit = torch.nn.functional.normalize
    last_next_n = place_atom(
        n[..., -1:, :], ca[..., -1:, :], c[..., -1:, :], length=1.329, angle=2.035, torsion=LAST_PSI
    )
    next_n = torch.cat((n[..., 1:, :], last_next_n), dim=-2)
    outside = O_AWAY_FROM_CA * unit(ca - c, dim=-1) + O_AWAY_FROM_NEXT_N * unit(next_n - c, dim=-1)
    o = c - C_O_BOND * unit(outside, dim=-1)
    return torch.cat((atoms, o[..., None, :]), dim=-2)


def place_atom(
    a: Float[Tensor, "*batch 3"],
    b: Float[Tensor, "*batch 3"],
    c: Float[Tensor, "*batch 3"],
    *,
    length: float,
    angle: float,
    torsion: float,
) -> Float[Tensor, "*batch 3"]:
    """Return the atom d with bond c-d of `length` (Angstrom), angle b-c-d and torsion a-b-c-d (radian)."""
    bond = torch.nn.functional.normalize(c - b, dim=-1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, bond), dim=-1)
    across = torch.linalg.cross(normal, bond)
    angles = torch.tensor((angle, torsion), dtype=a.dtype, device=a.device)
    cos, sin = torch.cos(angles), torch.sin(angles)
    return c + length * (-cos[0] * bond + sin[0] * cos[1] * across + sin[0] * sin[1] * normal)


def centred(frames: Frames, mask: Bool[Tensor, "*batch residues"] | None = None) -> Frames:
    """Return the frames moved so that the mean CA position over the residues of `mask` [..., residues] is zero."""
    x = frames.translations
    weights = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].to(x.dtype)
    mean = (x * weights).sum(dim=-2, keepdim=True) / weights.sum(dim=-2, keepdim=True).clamp_min(1)
    return Frames((x - mean) * weights, frames.quaternions)
