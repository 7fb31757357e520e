"""Losses of a predicted backbone against the true one.

Errors are divided by the noise that is left, 1 - t, so they are errors of the flow's velocity: the first two losses are
flow matching on R^3 and on SO(3). The others look at the predicted clean backbone itself: atoms along the chain, the
fold, and clashes. All lengths are in nanometre here.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.networks.features import shifted

# Residues up to this far along the chain count for the loss of local distances.
LOCAL_REACH = 4
# Fold distances beyond this many nanometre count less and less.
FOLD_REACH = 1.0
# CA atoms of residues more than two apart hardly ever come nearer than this (nanometre).
CLASH_CA = 0.385
# N, C and O atoms of residues more than one apart hardly ever come nearer (nanometre); hydrogen bonds reach it.
CLASH_BACKBONE = 0.275


def pseudo_huber(error: Tensor, scale: float) -> Tensor:
    """Return scale (sqrt(error^2 + scale^2) - scale): error^2 / 2 for small errors, linear for large ones."""
    return scale * ((error.square() + scale**2).sqrt() - scale)


def masked_mean(value: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over all axes but the first, shape [batch], over what the mask (broadcastable) lets through."""
    mask = mask.expand_as(value)
    return (value * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)


def velocity_loss(error: Tensor, huber: float | None) -> Tensor:
    """Return the squared error, or where `huber` is given one that goes on linearly from about there."""
    return error.square() if huber is None else 2 * pseudo_huber(error, huber)


def translation_loss(
    predicted: Frames,
    true: Frames,
    mask: Bool[Tensor, "batch residues"],
    left: Float[Tensor, " batch"],
    *,
    huber: float | None = None,
) -> Float[Tensor, " batch"]:
    """Return the mean loss of the translations' velocity per coordinate (nanometre), shape [batch]."""
    error = (predicted.translations - true.translations) / (10 * left[:, None, None])
    return masked_mean(velocity_loss(error, huber), mask[..., None])


def rotation_loss(
    predicted: Frames,
    true: Frames,
    noisy: Frames,
    mask: Bool[Tensor, "batch residues"],
    left: Float[Tensor, " batch"],
    *,
    huber: float | None = None,
) -> Float[Tensor, " batch"]:
    """Return the mean loss of the body-frame angular velocity per coordinate (radian), shape [batch]."""
    towards = quaternions.relative_rotation_vector(noisy.quaternions, predicted.quaternions)
    target = quaternions.relative_rotation_vector(noisy.quaternions, true.quaternions)
    return masked_mean(velocity_loss((towards - target) / left[:, None, None], huber), mask[..., None])


def structure_losses(
    predicted: Frames,
    true: Frames,
    index: Int[Tensor, "batch residues"],
    mask: Bool[Tensor, "batch residues"],
    left: Float[Tensor, " batch"],
) -> dict[str, Tensor]:
    """Return the losses of the predicted backbone itself, each of shape [batch].

    Parameters
    ----------
    predicted, true
        Frames, shape [batch, residues, ...], Angstrom.
    index, mask
        Residue numbers and which residues there are, shape [batch, residues].
    left
        The noise left, 1 - t bounded below, shape [batch].
    """
    atoms, true_atoms = backbone_from_frames(predicted) / 10, backbone_from_frames(true) / 10
    return {
        "local": _local_loss(atoms, true_atoms, index, mask, left),
        "fold": _fold_loss(atoms[..., 1, :], true_atoms[..., 1, :], mask, left),
        "clash": _clash_loss(atoms, index, mask, left),
    }


def _local_loss(atoms: Tensor, true_atoms: Tensor, index: Tensor, mask: Tensor, left: Tensor) -> Tensor:
    """Distances between all backbone atoms of residues up to LOCAL_REACH apart; peptide bonds count most."""
    both = torch.cat((atoms, true_atoms), dim=-1)
    total = torch.zeros_like(left)
    for offset in range(1, LOCAL_REACH + 1):
        other = shifted(both, offset)
        here, there = both[..., :, None, :], other[..., None, :, :]
        difference = here - there
        distance = (difference[..., :3].square().sum(dim=-1) + 1e-8).sqrt()
        true_distance = (difference[..., 3:].square().sum(dim=-1) + 1e-8).sqrt()
        linked = (shifted(index, offset) - index == offset) & mask & shifted(mask, offset)
        error = pseudo_huber((distance - true_distance) / left[:, None, None, None], 0.5)
        if offset == 1:  # the peptide bond and its angles: C-N, CA-N, C-CA, CA-CA
            bonds = error[..., (2, 1, 2, 1), (0, 0, 1, 1)]
            total = total + masked_mean(bonds, linked[..., None])
        total = total + masked_mean(error, linked[..., None, None])
    return total


def _fold_loss(ca: Tensor, true_ca: Tensor, mask: Tensor, left: Tensor) -> Tensor:
    """Distances between all CA pairs, near ones counting most."""
    distance, true_distance = (_distances(x) for x in (ca, true_ca))
    weight = mask[:, :, None] * mask[:, None, :] / (1 + (true_distance / FOLD_REACH) ** 2)
    error = pseudo_huber((distance - true_distance) / left[:, None, None], 0.5)
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)


def _clash_loss(atoms: Tensor, index: Tensor, mask: Tensor, left: Tensor) -> Tensor:
    """Overlap of CA atoms, and of backbone atoms, summed over the partners of a residue."""
    apart = (index[:, :, None] - index[:, None, :]).abs()
    pairs = mask[:, :, None] & mask[:, None, :]
    ca_distance = _distances(atoms[..., 1, :])
    overlap = (CLASH_CA - ca_distance).clamp_min(0) * (pairs & (apart > 2))
    count = mask.sum(1).clamp_min(1)
    ca = (overlap / left[:, None, None]).square().flatten(1).sum(1) / count
    # N, C and O lie within 2.5 Angstrom of their CA, so only pairs of residues this near can clash.
    near = (pairs & (apart > 1) & (ca_distance < CLASH_BACKBONE + 0.5)).nonzero(as_tuple=True)
    here, there = (atoms[near[0], near[k]][:, (0, 2, 3)] for k in (1, 2))
    distance = ((here[:, :, None] - there[:, None]).square().sum(dim=-1) + 1e-8).sqrt()
    overlap = ((CLASH_BACKBONE - distance).clamp_min(0) / left[near[0], None, None]).square()
    return ca + torch.zeros_like(ca).index_add(0, near[0], overlap.sum(dim=(1, 2))) / count


def _distances(x: Tensor) -> Tensor:
    """Return all distances [batch, points, points] of x [batch, points, 3], with a gradient also at zero."""
    squared = (x[:, :, None] - x[:, None, :]).square().sum(dim=-1)
    return (squared + 1e-8).sqrt()
