"""The losses that the published networks were trained with.

All errors are divided by what is left of the way, 1 - min(t, 0.9), and lengths are in nanometre. Translations and the
structure are cut off at 5, beyond which they give no gradient; `FrameDiffLossSettings.largest` moves that.

References
----------
Yim et al., Fast protein backbone generation with SE(3) flow matching, arXiv 2310.05297, section 3.3.
Yue et al., ReQFlow, arXiv 2502.14637, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames
from helicell.protein.networks.compact import ANGSTROM_PER_NANOMETRE
from helicell.protein.published.settings import FrameDiffLossSettings

# Local coordinates (Angstrom) of N, CA and C in the published programs, which take them from alanine.
PUBLISHED_BACKBONE = ((-0.525, 1.363, 0.0), (0.0, 0.0, 0.0), (1.526, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class FrameDiffLosses:
    """The losses of each example, shape [batch]; `total` is their weighted sum, the others are weighted already."""

    translation: Float[Tensor, " batch"]
    rotation: Float[Tensor, " batch"]
    structure: Float[Tensor, " batch"]

    @property
    def total(self) -> Float[Tensor, " batch"]:
        """The loss that training lowers."""
        return self.translation + self.rotation + self.structure


@cited("yim2023fast", "yue2025reqflow")
def framediff_losses(
    predicted: Frames,
    true: Frames,
    noisy: Frames,
    mask: Bool[Tensor, "batch residues"],
    times: Float[Tensor, "batch 2"],
    *,
    diffused: Bool[Tensor, "batch residues"] | None = None,
    settings: FrameDiffLossSettings | None = None,
) -> FrameDiffLosses:
    """Return the published losses of a prediction.

    Parameters
    ----------
    predicted, true, noisy
        Frames [batch, residues, ...], Angstrom.
    mask
        True for residues, False for padding.
    times
        Times of translations and rotations.
    diffused
        False for residues that were given and do not count; all count unless given.
    settings
        Weights and limits.
    """
    settings = settings or FrameDiffLossSettings()
    counted = mask if diffused is None else mask & diffused
    count = 3 * counted.sum(dim=1).clamp_min(1)
    left = 1 - times.clamp_max(settings.latest_scale)
    shift = (true.translations - predicted.translations) / (ANGSTROM_PER_NANOMETRE * left[:, :1, None])
    turn = quaternions.relative_rotation_vector(noisy.quaternions, true.quaternions)
    turn = turn - quaternions.relative_rotation_vector(noisy.quaternions, predicted.quaternions)
    turn = turn / left[:, 1:, None]
    translation, rotation = ((error.square().sum(dim=-1) * counted).sum(dim=1) / count for error in (shift, turn))
    structure = _structure(predicted, true, mask, counted, left[:, 0])
    late = (times > settings.structure_from).all(dim=1)
    return FrameDiffLosses(
        translation=(settings.translation * translation).clamp_max(settings.largest),
        rotation=settings.rotation * rotation,
        structure=(settings.structure * structure * late).clamp_max(settings.largest),
    )


def _structure(predicted: Frames, true: Frames, mask: Tensor, counted: Tensor, left: Tensor) -> Tensor:
    """Squared errors of the backbone atoms and of all distances between them, both divided by what is left."""
    scale = 1 / (ANGSTROM_PER_NANOMETRE * left[:, None, None])
    local = true.translations.new_tensor(PUBLISHED_BACKBONE).expand(*mask.shape, 3, 3)
    atoms, true_atoms = (frames.apply(local).flatten(1, 2) * scale for frames in (predicted, true))
    atom_counted, atom_mask = (one.repeat_interleave(3, dim=1) for one in (counted, mask))
    squares = (atoms - true_atoms).square().sum(dim=-1)
    positions = (squares * atom_counted).sum(dim=1) / (3 * counted.sum(dim=1)).clamp_min(1)
    pairs = atom_counted[:, :, None] & atom_mask[:, None, :]
    errors = (_distances(atoms) - _distances(true_atoms)).square() * pairs
    return positions + errors.sum(dim=(1, 2)) / (pairs.sum(dim=(1, 2)) + 1)


def _distances(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x[:, :, None] - x[:, None], dim=-1)
