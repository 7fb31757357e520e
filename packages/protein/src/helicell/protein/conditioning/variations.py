"""Variations of a given backbone: part of the way back to noise, and forth again.

At noise level 0.3 the walk starts at t = 0.7, from the path between fresh noise and the given backbone. The less noise,
the nearer the variations stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from helicell.core.errors import InputError
from helicell.protein.conditioning.motifs import rmsd
from helicell.protein.conditioning.task import ConditionedBackbone, chain_mask, drawn_noise, own_seed, started
from helicell.protein.conditioning.validity import judge_chain
from helicell.protein.conditioning.walking import Walk
from helicell.protein.flow import backbone_path
from helicell.protein.frames import Frames, backbone_from_frames, centred, frames_from_backbone
from helicell.protein.generation import MAX_LENGTH, Request
from helicell.protein.model import BackboneModel
from helicell.protein.settings import SamplingDefaults
from helicell.protein.structures import Chain, read_backbone


@dataclass(frozen=True, slots=True)
class Variation:
    """New backbones near a given one.

    Attributes
    ----------
    chain
        The given backbone.
    noise_level
        How far back to go: 1 all the way to noise, 0 nowhere.
    """

    chain: Chain
    noise_level: float

    def requests(self, *, count: int, seed: int, part: int = 1, parts: int = 1) -> list[Request]:
        return [Request(index, len(self.chain)) for index in range(part - 1, count, parts)]

    def walk(self, model: BackboneModel, requests: Sequence[Request], *, seed: int, noise_scale: float) -> Walk:
        mask = chain_mask([request.length for request in requests])
        noise = centred(drawn_noise(model, requests, mask, seed=seed, noise_scale=noise_scale), mask)
        given = centred(frames_from_backbone(torch.from_numpy(self.chain.coordinates[None, :, :3])))
        parts = [part.expand(len(requests), -1, -1) for part in (given.translations, given.quaternions)]
        time = torch.full((len(requests),), 1 - self.noise_level)
        path = backbone_path(cast(SamplingDefaults, model.sampling).rotation_exponent)
        sample = path.sample((noise.translations, noise.quaternions), (parts[0], parts[1]), time)
        return started(Walk(Frames(*sample.x_t), mask, start_time=1 - self.noise_level))

    def finish(self, request: Request, frames: Frames, *, seed: int) -> ConditionedBackbone:
        coordinates = backbone_from_frames(frames).numpy()
        measures = {"rmsd_to_given": rmsd(coordinates[:, 1], self.chain.coordinates[:, 1]), **judge_chain(coordinates)}
        return ConditionedBackbone(
            request.index, own_seed(seed, request), np.asarray(coordinates)[None], None, measures
        )


def make_variation(path: str | Path, noise_level: float) -> Variation:
    """Return the task of varying the one chain of a structure file.

    Raises
    ------
    InputError
        If the file holds several chains or none, the chain is too long, or the noise level is out of range.
    """
    if not 0 < noise_level <= 1:
        message = f"the noise level is {noise_level}, expected more than 0 (as given) and at most 1 (all new)"
        raise InputError(message)
    chain = read_backbone(path)
    if len(chain) > MAX_LENGTH:
        message = f"{path} has {len(chain)} residues; {MAX_LENGTH} is the most"
        raise InputError(message)
    return Variation(chain, noise_level)
