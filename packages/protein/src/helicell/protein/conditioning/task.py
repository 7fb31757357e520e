"""What can be asked of new backbones: a task plans its samples, starts their walks, and judges what came of them.

`Scaffold` (`scaffolds.py`), `Assembly` (`assemblies.py`) and `Variation` (`variations.py`) are tasks; `Free` asks for
nothing but a length, and serves where only a reward is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from helicell.core.runs.seeds import sample_generator, sample_seed
from helicell.core.spaces import quaternions
from helicell.protein.conditioning.validity import judge_chain
from helicell.protein.conditioning.walking import Walk
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.generation import Request
from helicell.protein.lengths import LengthRange, make_requests
from helicell.protein.model import BackboneModel

STREAM = "backbone"


@dataclass(frozen=True, slots=True)
class ConditionedBackbone:
    """One backbone, or assembly of copies of one, that was made for a task.

    Attributes
    ----------
    index
        Its number in the job.
    seed
        Seed of its random stream.
    chains
        N, CA, C, O of every chain: float32 [chains, residues, 4, 3], Angstrom.
    sequence
        Letters of a chain where some of its residues have a meaning, glycine elsewhere; None where none has.
    measures
        What the task finds worth knowing of it, by name.
    """

    index: int
    seed: int
    chains: np.ndarray
    sequence: str | None
    measures: dict[str, Any]

    @property
    def length(self) -> int:
        """Residues of a chain."""
        return self.chains.shape[1]

    @property
    def coordinates(self) -> np.ndarray:
        """Atoms of the first chain, [residues, 4, 3]."""
        return np.asarray(self.chains[0])


@runtime_checkable
class Task(Protocol):
    """What is asked of new backbones."""

    def requests(self, *, count: int, seed: int, part: int = 1, parts: int = 1) -> list[Request]:
        """Return the samples of one part of the job; a request's length is that of all chains together."""

    def walk(self, model: BackboneModel, requests: Sequence[Request], *, seed: int, noise_scale: float) -> Walk:
        """Return the start of the walk of a batch, and what is asked of it; on the CPU."""

    def finish(self, request: Request, frames: Frames, *, seed: int) -> ConditionedBackbone:
        """Return the sample that the frames [residues, ...] of its first chain make."""


@dataclass(frozen=True, slots=True)
class Free:
    """Backbones of given lengths, of which nothing more is asked."""

    lengths: tuple[LengthRange, ...]

    def requests(self, *, count: int, seed: int, part: int = 1, parts: int = 1) -> list[Request]:
        return make_requests(self.lengths, count=count, seed=seed, part=part, parts=parts)

    def walk(self, model: BackboneModel, requests: Sequence[Request], *, seed: int, noise_scale: float) -> Walk:
        mask = chain_mask([request.length for request in requests])
        return started(Walk(drawn_noise(model, requests, mask, seed=seed, noise_scale=noise_scale), mask))

    def finish(self, request: Request, frames: Frames, *, seed: int) -> ConditionedBackbone:
        coordinates = backbone_from_frames(frames).numpy()
        return ConditionedBackbone(
            request.index, own_seed(seed, request), coordinates[None], None, judge_chain(coordinates)
        )


def chain_mask(lengths: Sequence[int]) -> Tensor:
    """Return which places of a padded batch hold residues, shape [batch, longest]."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def drawn_noise(
    model: BackboneModel, requests: Sequence[Request], mask: Tensor, *, seed: int, noise_scale: float
) -> Frames:
    """Draw the noise of each chain of a batch from its own stream, not centred; that of `generate` before centring."""
    translations = torch.zeros(*mask.shape, 3)
    orientations = torch.zeros(*mask.shape, 4)
    orientations[..., 0] = 1
    for row, (request, length) in enumerate(zip(requests, mask.sum(dim=1).tolist(), strict=True)):
        generator = sample_generator(seed, request.index, stream=STREAM)
        scale = model.sampling.noise_scale * noise_scale
        translations[row, :length] = scale * torch.randn(length, 3, generator=generator)
        orientations[row, :length] = quaternions.random_quaternions((length,), generator=generator)
    return Frames(translations, orientations)


def started(walk: Walk) -> Walk:
    """Return a walk whose start is centred."""
    return Walk(walk.centred(walk.start), walk.mask, walk.start_time, walk.hold, walk.reward, walk.copies)


def own_seed(seed: int, request: Request) -> int:
    """Return the seed of a sample's random stream."""
    return sample_seed(seed, request.index, stream=STREAM)
