"""Quaternion flow matching of protein backbones on (R^3 x S^3)^residues.

Translations go in straight lines from Gaussian noise, rotations along great circles from uniform ones. The rotations
may run ahead of the translations: their schedule is 1 - (1 - t)^p. In training p is drawn anew for every example and
the network is told both times, so one trained network serves every p that is asked for in sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from helicell.core.paths import BetaTimes, GeodesicPath, Linear, MixtureTimes, Power, TimeDensity, UniformTimes
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions
from helicell.protein.frames import Frames, centred
from helicell.protein.losses import rotation_loss, structure_losses, translation_loss
from helicell.protein.networks.compact import CompactNetwork, FramesBatch
from helicell.protein.settings import ObjectiveSettings

RIGID_MOTIONS = Product(Euclidean(), UnitQuaternions())


def backbone_path(rotation_exponent: float | Tensor) -> GeodesicPath:
    """Return the path of frames on which rotations run ahead with schedule 1 - (1 - t)^rotation_exponent."""
    return GeodesicPath(RIGID_MOTIONS, (Linear(), Power(rotation_exponent)))


def noise_frames(
    mask: Bool[Tensor, "batch residues"], *, scale: float, generator: torch.Generator | None = None
) -> Frames:
    """Draw frames of pure noise: centred Gaussian translations with `scale` Angstrom per axis, uniform rotations."""
    shape = tuple(mask.shape)
    translations = scale * torch.randn(*shape, 3, generator=generator)
    rotations = quaternions.random_quaternions(shape, generator=generator)
    return centred(Frames(translations.to(mask.device), rotations.to(mask.device)), mask)


@dataclass(frozen=True, slots=True)
class BackboneBatch:
    """True backbones, padded: frames [batch, residues, ...], mask and residue numbers [batch, residues].

    `noise` are the frames that each backbone is paired with, shape [batch, residues, ...]; None for fresh ones.
    """

    frames: Frames
    mask: Bool[Tensor, "batch residues"]
    index: Int[Tensor, "batch residues"]
    noise: Frames | None = None

    def to(self, device: torch.device) -> BackboneBatch:
        """Return the batch on a device."""
        noise = None if self.noise is None else self.noise.to(device)
        return BackboneBatch(self.frames.to(device), self.mask.to(device), self.index.to(device), noise)


class BackboneObjective(nn.Module):
    """The training loss of a denoiser of frames.

    Parameters
    ----------
    network
        The denoiser.
    settings
        Noise, times and the weights of the losses.

    Attributes
    ----------
    times
        Density of the times.
    huber
        Error of a velocity beyond which its loss turns from squared to linear; None for squared throughout.
    """

    huber: float | None = None

    def __init__(self, network: CompactNetwork, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        late = BetaTimes(a=settings.late_time_exponent + 1)
        self.times: TimeDensity = MixtureTimes(UniformTimes(), late, weight=settings.uniform_time_share)

    def forward(self, batch: BackboneBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses, the one to minimise under "loss".

        Parameters
        ----------
        batch
            True backbones.
        generator
            The CPU stream of all random draws.
        """
        noisy, left = self._corrupt(batch, generator)
        previous = None
        if torch.rand((), generator=generator) < self.settings.self_conditioning:
            with torch.no_grad():
                previous = self.network(noisy)[-1]
        predictions = self.network(noisy, previous)
        return self._losses(predictions, batch, noisy, left)

    def _corrupt(self, batch: BackboneBatch, generator: torch.Generator) -> tuple[FramesBatch, Tensor]:
        true = centred(batch.frames, batch.mask)
        count, device = batch.mask.shape[0], batch.mask.device
        t = self.times.sample(count, generator=generator, stratified=True).to(device)
        # The exponents' logarithm is uniform: as many examples with rotations twice as fast as twice as slow.
        u = torch.rand(count, generator=generator).to(device)
        exponent = (
            self.settings.rotation_exponents[0]
            * (self.settings.rotation_exponents[1] / self.settings.rotation_exponents[0]) ** u
        )
        noise = batch.noise
        if noise is None:
            noise = noise_frames(batch.mask, scale=self.settings.noise_scale, generator=generator)
        path = backbone_path(exponent)
        sample = path.sample(_point(noise), _point(true), t)
        left = torch.stack([schedule.remaining(t) for schedule in path.schedule], dim=1)  # type: ignore[union-attr]
        noisy = FramesBatch(Frames(*sample.x_t), batch.mask, batch.index, 1 - left)
        return noisy, left.clamp_min(self.settings.least_noise)

    def _losses(
        self, predictions: list[Frames], batch: BackboneBatch, noisy: FramesBatch, left: Tensor
    ) -> dict[str, Tensor]:
        weights, mask = self.settings.weights, batch.mask
        true = centred(batch.frames, mask)
        per_block = [
            (
                translation_loss(predicted, true, mask, left[:, 0], huber=self.huber).mean(),
                rotation_loss(predicted, true, noisy.frames, mask, left[:, 1], huber=self.huber).mean(),
            )
            for predicted in predictions
        ]
        losses = {"translation": per_block[-1][0], "rotation": per_block[-1][1]}
        loss = weights.translation * losses["translation"] + weights.rotation * losses["rotation"]
        if len(per_block) > 1:
            early = [weights.translation * x + weights.rotation * r for x, r in per_block[:-1]]
            losses["blocks"] = torch.stack(early).mean()
            loss = loss + weights.blocks * losses["blocks"]
        structure = structure_losses(predictions[-1], true, batch.index, mask, left[:, 0])
        # A far prediction is a blurred mean, whose own structure means little; the weight rises from 0 to 1 with time.
        late = ((1 - left[:, 0] - self.settings.structure_from) / (1 - self.settings.structure_from)).clamp(0, 1)
        for name, value in structure.items():
            losses[name] = (late * value).mean()
            loss = loss + getattr(weights, name) * losses[name]
        return {"loss": loss, **losses}


def _point(frames: Frames) -> tuple[Tensor, Tensor]:
    return frames.translations, frames.quaternions
