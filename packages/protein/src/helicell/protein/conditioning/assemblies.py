"""Symmetric assemblies: copies of one new chain about axes of rotation, folded and packed together.

All copies go through the network, as chains of their own; only the first is moved, and the others are its images (see
`helicell.protein.conditioning.symmetry`). Steric guidance keeps the copies apart as it does the parts of one chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.conditioning.symmetry import Copies, Symmetry
from helicell.protein.conditioning.task import ConditionedBackbone, chain_mask, drawn_noise, own_seed, started
from helicell.protein.conditioning.validity import judge_between, judge_chain
from helicell.protein.conditioning.walking import Walk
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.generation import MAX_LENGTH, Request
from helicell.protein.lengths import LengthRange, make_requests
from helicell.protein.model import BackboneModel


@dataclass(frozen=True, slots=True)
class Assembly:
    """Assemblies of one point group.

    Attributes
    ----------
    symmetry
        The group.
    lengths
        Lengths of one chain.
    """

    symmetry: Symmetry
    lengths: tuple[LengthRange, ...]

    def requests(self, *, count: int, seed: int, part: int = 1, parts: int = 1) -> list[Request]:
        copies = len(self.symmetry)
        longest = max(entry.most for entry in self.lengths)
        if copies * longest > MAX_LENGTH:
            message = (
                f"{copies} chains of {longest} residues are {copies * longest} together; {MAX_LENGTH} is the most, "
                f"so give chains of at most {MAX_LENGTH // copies}"
            )
            raise InputError(message)
        chains = make_requests(self.lengths, count=count, seed=seed, part=part, parts=parts)
        return [replace(request, length=copies * request.length) for request in chains]

    def walk(self, model: BackboneModel, requests: Sequence[Request], *, seed: int, noise_scale: float) -> Walk:
        mask = chain_mask([request.length // len(self.symmetry) for request in requests])
        noise = drawn_noise(model, requests, mask, seed=seed, noise_scale=noise_scale)
        return started(Walk(noise, mask, copies=Copies.of(self.symmetry, mask)))

    def finish(self, request: Request, frames: Frames, *, seed: int) -> ConditionedBackbone:
        # Rounded as files are, so that the copies in a file are images of what stands there.
        chain = backbone_from_frames(frames).double().round(decimals=3)
        turns = self.symmetry.rotations[:, None, None].expand(-1, *chain.shape[:2], -1)
        chains = quaternions.rotate(turns, chain.expand(len(turns), -1, -1, -1)).numpy().astype(np.float32)
        between, own = judge_between(chains), judge_chain(chains[0])
        apart = not between["chain_ca_clashes"] and not between["chain_backbone_clashes"]
        measures = {"symmetry": self.symmetry.name, "chains": len(chains), **own, **between}
        measures["valid"] = int(own["valid"] and apart)
        return ConditionedBackbone(request.index, own_seed(seed, request), chains, None, measures)
