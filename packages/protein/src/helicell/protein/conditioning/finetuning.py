"""Fine-tuning of a model by the gradient of a reward of its backbones.

`helicell.core.training.finetune` follows a velocity field to its last steps and takes the reward's gradient through
them to the weights; here the field is that of frames, which the network gives by the ends that it predicts. What comes
out is a model as any other: it is sampled without a gradient, so a reward that is asked for often is paid once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from helicell.core.spaces import Point
from helicell.core.training.adapters import merge_adapters
from helicell.core.training.finetune import FinetuneSettings, finetune
from helicell.protein.conditioning.rewards import Reward
from helicell.protein.conditioning.sampling import check_model
from helicell.protein.flow import RIGID_MOTIONS, backbone_path, noise_frames
from helicell.protein.frames import Frames
from helicell.protein.model import BackboneModel
from helicell.protein.networks.compact import CompactNetwork, FramesBatch
from helicell.protein.settings import SamplingDefaults


class BackboneVelocity(nn.Module):
    """The velocity of frames that a denoiser amounts to, for chains without padding.

    Parameters
    ----------
    network
        Predicts the clean frames.
    rotation_exponent
        p of the rotations' schedule 1 - (1 - t)^p.
    """

    def __init__(self, network: CompactNetwork, *, rotation_exponent: float) -> None:
        super().__init__()
        self.network = network
        self.path = backbone_path(rotation_exponent)

    def forward(self, x: Any, t: Tensor) -> Point:
        """Return the velocities of translations and orientations at x = (translations, quaternions) and times t."""
        translations, quaternions = x
        mask = torch.ones(translations.shape[:2], dtype=torch.bool, device=translations.device)
        index = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
        schedules = cast(tuple[Any, Any], self.path.schedule)
        times = torch.stack([schedule.value(t) for schedule in schedules], dim=-1).to(translations)
        batch = FramesBatch(Frames(translations, quaternions), mask, index, times.expand(len(mask), 2))
        end = self.network(batch)[-1]
        return self.path.velocity((translations, quaternions), (end.translations, end.quaternions), t)


def finetune_model(
    model: BackboneModel,
    reward: Reward,
    *,
    length: int,
    seed: int = 0,
    settings: FinetuneSettings | None = None,
    report: Callable[[int, float], None] | None = None,
) -> tuple[BackboneModel, list[float]]:
    """Fine-tune a copy of a model so that its backbones have more of a reward.

    Parameters
    ----------
    model
        A compact model; it is left as it is.
    reward
        From `parse_rewards`, or any function of frames and mask.
    length
        Residues of the backbones to learn from.
    seed
        Of noise, truncation and adapters.
    settings
        Steps, batch, rates, and the rank of the adapters, which are merged at the end.
    report
        Called with each step and the mean reward of its backbones.

    Returns
    -------
    model, rewards
        The new model, whose card tells what was done, and the mean reward of every step, before the step.

    Raises
    ------
    InputError
        If the model is no compact one, or the reward does not give one differentiable number a backbone.
    """
    check_model(model)
    settings = settings or FinetuneSettings(steps=50, batch_size=8, learning_rate=3e-4, last_steps=3)
    defaults = cast(SamplingDefaults, model.sampling)
    field = BackboneVelocity(cast(CompactNetwork, model.network), rotation_exponent=defaults.rotation_exponent)
    if settings.rank is None:
        field = _trainable(field)
    device = next(field.parameters()).device
    mask = torch.ones(settings.batch_size, length, dtype=torch.bool, device=device)

    def source(count: int, generator: torch.Generator) -> Point:
        noise = noise_frames(mask[:count], scale=defaults.noise_scale, generator=generator)
        return noise.translations, noise.quaternions

    tuned = finetune(
        field,
        lambda x: reward(Frames(*x), mask),
        source,
        settings=settings,
        seed=seed,
        space=RIGID_MOTIONS,
        report=report,
    )
    merge_adapters(tuned.network)
    network = cast(BackboneVelocity, tuned.network).network.eval().requires_grad_(requires_grad=False)
    told = {"length": length, "seed": seed, "from": model.name, "sha256": model.checksum, **settings.to_mapping()}
    card = {**model.card, "finetuning": told}
    return replace(model, network=network, card=card, name=f"{model.name}-finetuned", checksum=""), tuned.rewards


def _trainable(field: BackboneVelocity) -> BackboneVelocity:
    """Return the field of a copy of the network, all of whose weights may change."""
    return copy.deepcopy(field).requires_grad_(requires_grad=True)
