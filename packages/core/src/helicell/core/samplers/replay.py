"""A replay buffer of ends of paths, the better the more often drawn, at a cost that hardly grows with its size.

With N entries and rank r of the log reward, 0 for the greatest, an entry is drawn with probability proportional to
1 / (k N + r). Adding is O(log N) an entry (`ranking`), the oldest giving way when the buffer is full; a draw takes a
rank in constant time, by inversion of the continuous density and rejection, and its entry in O(log N). Nothing is
sorted, nothing copied, and a draw sees every entry there is.

The ranks are those of Tripp, Daxberger and Hernandez-Lobato, Sample-efficient optimization in the latent space of deep
generative models, arXiv 2006.09191.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.ranking import Ranking

UNIFORM = math.inf


class ReplayBuffer:
    """Points with their log rewards, in a ring.

    Parameters
    ----------
    capacity
        Points; the oldest are overwritten.
    dim
        Dimensions of a point, with its condition behind it where it has one.
    rank_weight
        k: the smaller, the more the best are preferred; infinity draws all alike.

    Attributes
    ----------
    added
        Points added so far, those that were overwritten too.
    """

    citations = ("tripp2020sample",)

    def __init__(self, capacity: int, dim: int, *, rank_weight: float = 0.01) -> None:
        if not rank_weight > 0:
            message = f"the rank weight is {rank_weight}, expected a positive number; infinity draws all points alike"
            raise InputError(message)
        self.rank_weight = rank_weight
        self.added = 0
        self.points = torch.zeros(capacity, dim)
        self._ranking = Ranking(capacity)
        self.log_reward = torch.from_numpy(self._ranking.values)

    @property
    def capacity(self) -> int:
        """The number of points that it can hold."""
        return len(self.points)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, points: Float[Tensor, "batch dim"], log_reward: Float[Tensor, " batch"]) -> None:
        """Add points; those without a finite log reward are left out."""
        finite = log_reward.isfinite()
        points, log_reward = points[finite][-self.capacity :], log_reward[finite][-self.capacity :]
        slots = (self.added + np.arange(len(points))) % self.capacity
        self._ranking.put(slots, log_reward.detach().cpu().numpy().astype(np.float32))
        self.points[torch.from_numpy(slots)] = points.detach().to(self.points)
        self.added += len(points)

    def draw(
        self, count: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "count dim"], Float[Tensor, " count"]]:
        """Draw points with replacement, and their log rewards.

        Raises
        ------
        InputError
            If the buffer is empty.
        """
        slots = self.draw_slots(count, generator)
        return self.points[slots], self.log_reward[slots]

    def draw_slots(self, count: int, generator: torch.Generator | None = None) -> Int[Tensor, " count"]:
        """Draw the slots of points."""
        if not len(self):
            message = "nothing can be drawn from an empty replay buffer; add points first"
            raise InputError(message)
        if self.rank_weight == UNIFORM:
            return torch.randint(len(self), (count,), generator=generator)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        ranks = draw_ranks(count, len(self), self.rank_weight, np.random.default_rng(seed))
        return torch.from_numpy(self._ranking.slots(ranks))

    def state(self) -> dict[str, Tensor]:
        """Return what is to be saved."""
        size = len(self)
        return {
            "points": self.points[:size].clone(),
            "log_reward": self.log_reward[:size].clone(),
            "added": torch.tensor(self.added),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Take on a saved state."""
        size = len(state["points"])
        self.points[:size] = state["points"]
        self._ranking.put(np.arange(size), state["log_reward"].numpy())
        self.added = int(state["added"])


def draw_ranks(count: int, size: int, rank_weight: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw ranks 0 to size - 1 with probabilities proportional to 1 / (rank_weight size + rank), exactly.

    A rank is proposed as the whole part of a number with density 1 / (c + x) on [0, size), whose distribution function
    has an inverse, and accepted so that its probability comes out right; nearly all are.
    """
    offset = rank_weight * size
    # The target's share over the proposal's is y / log(1 + y) with y = 1 / (c + r), largest at rank 0.
    largest = (1 / offset) / math.log1p(1 / offset)
    accepted = np.empty(0, dtype=np.int64)
    while len(accepted) < count:
        uniform = generator.random((2, count))
        ranks = np.minimum(offset * np.expm1(uniform[0] * math.log1p(size / offset)), size - 1).astype(np.int64)
        inverse = 1 / (offset + ranks)
        keep = uniform[1] * largest <= inverse / np.log1p(inverse)
        accepted = np.concatenate((accepted, ranks[keep]))
    return accepted[:count]
