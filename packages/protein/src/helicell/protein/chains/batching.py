"""Batches of chains: like lengths together, a fixed number of residues a batch, an order that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.flow import BackboneBatch
from helicell.protein.frames import Frames, frames_from_backbone


def collate(coordinates: Sequence[np.ndarray]) -> BackboneBatch:
    """Return padded frames of backbones, each [residues, 4, 3] in Angstrom; padding has identity rotations."""
    lengths = [len(chain) for chain in coordinates]
    size = (len(lengths), max(lengths))
    atoms = np.zeros((*size, 3, 3), dtype=np.float32)
    mask = np.zeros(size, dtype=bool)
    for i, chain in enumerate(coordinates):
        atoms[i, : len(chain)] = chain[:, :3]
        mask[i, : len(chain)] = True
    frames = frames_from_backbone(torch.from_numpy(atoms))
    present = torch.from_numpy(mask)
    identity = torch.tensor((1.0, 0.0, 0.0, 0.0))
    quaternions = torch.where(present[..., None], frames.quaternions, identity)
    index = torch.arange(size[1]).expand(size)
    return BackboneBatch(Frames(frames.translations * present[..., None], quaternions), present, index)


class ChainBatches:
    """An endless stream of batches; each epoch takes one chain of every cluster.

    Chains are sorted by length with a little jitter and cut into batches of about `residues` residues, which are then
    shuffled. The order depends on the seed and the epoch alone, and the position in it is the stream's state, so that a
    resumed training sees what an uninterrupted one would have seen. In distributed training each rank takes its share.

    Parameters
    ----------
    store
        The chains.
    clusters
        Cluster of each chain.
    residues
        Residues of a batch, padding included.
    seed
        Of the order.
    """

    def __init__(self, store: ChainStore, clusters: np.ndarray, *, residues: int, seed: int) -> None:
        if not len(store):
            message = "there are no chains to train on; loosen the filters of the settings or import more chains"
            raise InputError(message)
        self.store, self.residues, self.seed = store, residues, seed
        self.lengths = store.lengths
        self.members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(np.unique_counts(clusters).counts)[:-1])
        self.drawn = 0

    def __iter__(self) -> Iterator[BackboneBatch]:
        position = 0
        for epoch in range(2**31):
            batches = self.epoch(epoch)
            if position + len(batches) <= self.drawn:
                position += len(batches)
                continue
            rank, ranks = _rank()
            for batch in batches[self.drawn - position :]:
                self.drawn += 1
                if self.drawn % ranks == rank:
                    yield collate([self.store[int(i)].coordinates for i in batch])
            position += len(batches)

    def epoch(self, number: int) -> list[np.ndarray]:
        """Return the batches of one epoch as indices of chains."""
        rng = np.random.default_rng((self.seed, number))
        chosen = np.array([members[rng.integers(len(members))] for members in self.members])
        jitter = self.lengths[chosen] * (1 + 0.03 * rng.standard_normal(len(chosen)))
        order = chosen[np.argsort(jitter)]
        batches = pack(order, self.lengths, residues=self.residues)
        return [batches[i] for i in rng.permutation(len(batches))]

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a position."""
        self.drawn = int(state["drawn"])


def pack(order: np.ndarray, lengths: np.ndarray, *, residues: int) -> list[np.ndarray]:
    """Cut an order of chains into batches that hold, padded, at most `residues` residues (at least one chain)."""
    batches, start, longest = [], 0, 0
    for stop, chain in enumerate(order):
        longest = max(longest, int(lengths[chain]))
        if (stop + 1 - start) * longest > residues and stop > start:
            batches.append(order[start:stop])
            start, longest = stop, int(lengths[chain])
    batches.append(order[start:])
    return batches


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
