"""Pairs of noise and backbone that a flow connects: sampled in shards, kept on disk, padded into batches.

PAIRS/pairs_0000.npz   `index` and `lengths` of each pair; `noise_translations`, `noise_quaternions`, `translations`
                       and `quaternions` of all residues one after another, float32, Angstrom

A shard is written when all of its pairs are done and depends on nothing but the model, the settings and its own number,
so sampling may stop at any time and go on later, and training may begin before all shards are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write
from helicell.core.runs.seeds import sample_generator
from helicell.protein.chains.batching import pack
from helicell.protein.flow import BackboneBatch
from helicell.protein.frames import Frames
from helicell.protein.generation import Backbone

ARRAYS = {"noise_translations": 3, "noise_quaternions": 4, "translations": 3, "quaternions": 4}


@dataclass(frozen=True, slots=True)
class FramePairs:
    """Pairs of noise and backbone of any lengths, on the CPU.

    Attributes
    ----------
    index
        Number of each pair in its job, shape [pairs].
    lengths
        Residues of each pair, shape [pairs].
    noise, frames
        Both ends, the residues of all pairs one after another, shape [residues, ...], Angstrom.
    """

    index: np.ndarray
    lengths: np.ndarray
    noise: Frames
    frames: Frames

    @classmethod
    def of(cls, backbones: Sequence[Backbone]) -> Self:
        """Return the pairs of backbones that were sampled with their trajectories, in order of their numbers."""
        ordered = sorted(backbones, key=lambda backbone: backbone.index)
        starts = [_trajectory(backbone)[0] for backbone in ordered]
        return cls(
            index=np.array([backbone.index for backbone in ordered]),
            lengths=np.array([backbone.length for backbone in ordered]),
            noise=_joined([Frames(start.translations[0], start.quaternions[0]) for start in starts]),
            frames=_joined([backbone.frames for backbone in ordered]),
        )

    @classmethod
    def of_batch(cls, noise: Frames, frames: Frames, mask: Tensor, index: np.ndarray) -> Self:
        """Return the pairs of a padded batch, ends of shape [batch, residues, ...]."""
        rows = (Frames(end.translations[mask], end.quaternions[mask]) for end in (noise, frames))
        return cls(np.asarray(index), mask.sum(dim=1).numpy(), *rows)

    @classmethod
    def joined(cls, parts: Sequence[FramePairs]) -> Self:
        """Return the pairs of all parts, one after another."""
        return cls(
            index=np.concatenate([part.index for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
            noise=_joined([part.noise for part in parts]),
            frames=_joined([part.frames for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.index)

    def one(self, number: int) -> tuple[Frames, Frames]:
        """Return noise and backbone of one pair, shape [length, ...]."""
        stop = int(self.lengths[: number + 1].sum())
        rows = slice(stop - int(self.lengths[number]), stop)
        return tuple(Frames(end.translations[rows], end.quaternions[rows]) for end in (self.noise, self.frames))  # type: ignore[return-value]

    def select(self, chosen: np.ndarray) -> FramePairs:
        """Return the pairs of a boolean mask, in order."""
        residues = torch.from_numpy(np.repeat(chosen, self.lengths))
        ends = (Frames(end.translations[residues], end.quaternions[residues]) for end in (self.noise, self.frames))
        return FramePairs(self.index[chosen], self.lengths[chosen], *ends)

    def batch(self, numbers: Sequence[int] | np.ndarray) -> BackboneBatch:
        """Return some pairs, padded; padding has identity rotations."""
        lengths = self.lengths[np.asarray(numbers)]
        mask = torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]
        ends = []
        for parts in zip(*(self.one(int(number)) for number in numbers), strict=True):
            translations = torch.zeros(*mask.shape, 3)
            quaternions = torch.zeros(*mask.shape, 4)
            quaternions[..., 0] = 1
            for row, part in enumerate(parts):
                translations[row, : len(part.translations)] = part.translations
                quaternions[row, : len(part.quaternions)] = part.quaternions
            ends.append(Frames(translations, quaternions))
        return BackboneBatch(ends[1], mask, torch.arange(mask.shape[1]).expand(mask.shape), noise=ends[0])

    def write(self, path: str | Path) -> None:
        """Write the pairs as .npz, whole or not at all."""
        ends = (self.noise.translations, self.noise.quaternions, self.frames.translations, self.frames.quaternions)
        arrays = dict(zip(ARRAYS, (end.numpy() for end in ends), strict=True))
        with atomic_write(path) as temporary:
            np.savez(temporary, index=self.index, lengths=self.lengths, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        InputError
            If the file is absent, damaged, or of other contents.
        """
        try:
            with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
                index, lengths = archive["index"], archive["lengths"]
                arrays = [np.asarray(archive[name], np.float32) for name in ARRAYS]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            message = f"cannot read pairs from {path}: {error}; remove the file, and --resume makes it again"
            raise InputError(message) from error
        shapes = [(int(lengths.sum()), width) for width in ARRAYS.values()]
        if index.shape != lengths.shape or [array.shape for array in arrays] != shapes:
            message = f"the pairs in {path} do not fit together; remove the file, and --resume makes it again"
            raise InputError(message)
        tensors = [torch.from_numpy(array) for array in arrays]
        return cls(index, lengths, Frames(*tensors[:2]), Frames(*tensors[2:]))


class PairBatches:
    """An endless stream of batches of pairs: like lengths together, every pair once before any comes again.

    Parameters
    ----------
    pairs
        The pairs.
    residues
        Residues of a batch, padding included.
    seed
        With the number of the round it determines the order, so a resumed training sees the same batches.
    """

    def __init__(self, pairs: FramePairs, *, residues: int, seed: int) -> None:
        if not len(pairs):
            message = "there are no pairs to train on; sample more, or loosen the limits that they must keep"
            raise InputError(message)
        self.pairs, self.residues, self.seed = pairs, residues, seed
        self.drawn = 0

    def __iter__(self) -> Iterator[BackboneBatch]:
        position = 0
        for number in range(2**31):
            batches = self.round(number)
            for batch in batches[max(0, self.drawn - position) :]:
                self.drawn += 1
                yield self.pairs.batch(batch)
            position += len(batches)

    def round(self, number: int) -> list[np.ndarray]:
        """Return the batches of one round as numbers of pairs."""
        generator = sample_generator(self.seed, number, stream="pairs")
        jitter = 1 + 0.03 * torch.randn(len(self.pairs), generator=generator).numpy()
        batches = pack(np.argsort(self.pairs.lengths * jitter), self.pairs.lengths, residues=self.residues)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a position."""
        self.drawn = int(state["drawn"])


def _trajectory(backbone: Backbone) -> tuple[Frames, Frames]:
    if backbone.trajectory is None:
        message = (
            f"backbone {backbone.index} came without its trajectory; sample it with SamplingOptions(trajectory=True)"
        )
        raise InputError(message)
    return backbone.trajectory


def _joined(parts: Sequence[Frames]) -> Frames:
    return Frames(torch.cat([p.translations for p in parts]), torch.cat([p.quaternions for p in parts]))
