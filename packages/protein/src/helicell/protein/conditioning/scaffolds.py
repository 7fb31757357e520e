"""Scaffolds: new chains that hold a motif, in the places that a contig gives it.

The motif is met in two ways at once. *Held*: of every prediction, the residues of the motif are replaced by the motif
itself, placed where the prediction has them, so the state moves towards the motif and the network sees it take shape.
*Guided*: the rest moves along, up the gradient of how near the network's own prediction comes to the motif (twisting:
Wu and others, arXiv 2306.17775; on frames: Yim and others, arXiv 2401.04082). The motif is let go shortly before the
end, so the chain closes around it: the residues of a sample are near those of the motif, not equal to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helicell.core.runs.seeds import sample_generator
from helicell.protein.conditioning.contigs import Contig, parse_contig
from helicell.protein.conditioning.motifs import (
    Motif,
    MotifReward,
    motif_places,
    piece_lengths,
    put,
    read_motif,
    rmsd,
    taken,
)
from helicell.protein.conditioning.rewards import WeightedRewards
from helicell.protein.conditioning.task import ConditionedBackbone, chain_mask, drawn_noise, own_seed, started
from helicell.protein.conditioning.validity import judge_chain
from helicell.protein.conditioning.walking import Walk
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.generation import Request
from helicell.protein.lengths import LengthRange
from helicell.protein.model import BackboneModel

STREAM = "contig"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """New chains around a motif.

    Attributes
    ----------
    motif
        The motif.
    contig
        Where its pieces go.
    total
        Least and greatest length of a chain; any that the contig allows unless given.
    guidance
        Weight of the gradient towards the motif; 0 only holds it, in half the time.
    """

    motif: Motif
    contig: Contig
    total: LengthRange | None = None
    guidance: float = 2.0

    def gaps(self, index: int, *, seed: int) -> tuple[int, ...]:
        """Return the numbers of new residues around the pieces, in sample `index` of a job."""
        generator = sample_generator(seed, index, stream=STREAM)
        return self.contig.draw(len(self.motif), generator, total=self.total)

    def places(self, gaps: Sequence[int]) -> torch.Tensor:
        """Return where the residues of the motif stand in a chain with these gaps, counted from 0."""
        return motif_places(gaps, piece_lengths(self.motif, self.contig))

    def requests(self, *, count: int, seed: int, part: int = 1, parts: int = 1) -> list[Request]:
        indices = range(part - 1, count, parts)
        return [Request(index, len(self.motif) + sum(self.gaps(index, seed=seed))) for index in indices]

    def walk(self, model: BackboneModel, requests: Sequence[Request], *, seed: int, noise_scale: float) -> Walk:
        mask = chain_mask([request.length for request in requests])
        places = torch.stack([self.places(self.gaps(request.index, seed=seed)) for request in requests])

        def hold(frames: Frames) -> Frames:
            here = places.to(frames.translations.device)
            return put(frames, here, self.motif.placed(taken(frames, here)))

        reward = WeightedRewards(((self.guidance, MotifReward(self.motif, places)),)) if self.guidance else None
        noise = drawn_noise(model, requests, mask, seed=seed, noise_scale=noise_scale)
        return started(Walk(noise, mask, hold=hold, reward=reward))

    def finish(self, request: Request, frames: Frames, *, seed: int) -> ConditionedBackbone:
        gaps = self.gaps(request.index, seed=seed)
        places = self.places(gaps).numpy()
        coordinates = backbone_from_frames(frames).numpy()
        given = np.isin(np.arange(request.length), places)
        sequence = np.full(request.length, "G")
        sequence[places] = list(self.motif.sequence)
        measures: dict[str, Any] = {
            "contig": self.contig.filled(gaps),
            "motif": _numbered(self.motif, self.contig, places),
            "motif_rmsd": rmsd(coordinates[places, 1], self.motif.coordinates[:, 1]),
            "motif_backbone_rmsd": rmsd(coordinates[places, :3], self.motif.coordinates[:, :3]),
            **judge_chain(coordinates, given=given),
        }
        chains = coordinates[None]
        return ConditionedBackbone(request.index, own_seed(seed, request), chains, "".join(sequence), measures)


def make_scaffold(
    path: str | Path, contig: str, *, total: LengthRange | None = None, guidance: float = 2.0
) -> Scaffold:
    """Return the task of scaffolding residues of a structure file.

    Parameters
    ----------
    path
        PDB, mmCIF or BinaryCIF file that holds the motif.
    contig
        Such as ``10-30/A25-40/15/B3-9/5-20``: see `helicell.protein.conditioning.contigs`.
    total, guidance
        As for `Scaffold`.

    Raises
    ------
    InputError
        If the contig or the file does not fit.
    """
    parsed = parse_contig(contig)
    motif = read_motif(path, parsed)
    parsed.limits(len(motif), total)
    return Scaffold(motif, parsed, total, guidance)


def _numbered(motif: Motif, contig: Contig, places: np.ndarray) -> str:
    """Write which residues of the file became which of the new chain: ``A25-40:13-28 B3-9:44-50``."""
    ends = np.cumsum(piece_lengths(motif, contig))
    starts = [0, *ends[:-1]]
    return " ".join(
        f"{piece}:{places[start] + 1}" + (f"-{places[end - 1] + 1}" if end - start > 1 else "")
        for piece, start, end in zip(contig.pieces, starts, ends, strict=True)
    )
