"""Batches of points for the training of flows, and pairs from a plan that is pooled over many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.couplings import Coupling, batch_sizes, take
from helicell.core.runs.seeds import sample_generator
from helicell.core.spaces import Point
from helicell.core.spaces.space import as_tensors, like_point

Draw = Callable[[int, torch.Generator], Any]
"""(count, generator) -> a point with that many rows, or a pair (points, conditions)."""


@dataclass(frozen=True, slots=True)
class FlowBatch:
    """What one training step looks at.

    Attributes
    ----------
    x_1
        Data, shape [batch, ...], or a tuple of such tensors.
    x_0
        Source points of the same shapes; None to let the objective draw them.
    condition
        What is known about each x_1, shape [batch, ...].
    """

    x_1: Point
    x_0: Point | None = None
    condition: Tensor | None = None

    def to(self, device: torch.device) -> FlowBatch:
        """Return the batch on a device."""
        x_1, x_0, condition = (None if x is None else _moved(x, device) for x in (self.x_1, self.x_0, self.condition))
        return FlowBatch(x_1, x_0, condition)  # type: ignore[arg-type]


class PooledPairs:
    """An endless stream of batches whose pairs come from one plan over many batches.

    The plan over a large pool is nearer to the transport between the distributions than plans over single batches are;
    it is solved once, and its pairs are dealt out in random order.

    Parameters
    ----------
    source, data
        Draw points: `draw(count, generator)`. `data` may return (points, conditions).
    coupling
        Couples the pool.
    batch_size, batches
        Pairs in a batch, and batches in a pool.
    seed
        With the number of the pool it determines every draw, so a resumed training sees the same batches.
    """

    def __init__(
        self, source: Draw, data: Draw, *, coupling: Coupling, batch_size: int, batches: int, seed: int
    ) -> None:
        if min(batch_size, batches) < 1:
            message = f"a pool of {batches} batches of {batch_size} pairs is empty; give at least one of one"
            raise InputError(message)
        self.source, self.data, self.coupling = source, data, coupling
        self.batch_size, self.batches, self.seed = batch_size, batches, seed
        self.drawn = 0

    def __iter__(self) -> Iterator[FlowBatch]:
        pool: list[FlowBatch] = []
        number = -1
        while True:
            if self.drawn // self.batches != number:
                number = self.drawn // self.batches
                pool = self._pool(number)
            self.drawn += 1
            yield pool[(self.drawn - 1) % self.batches]

    def state_dict(self) -> dict[str, int]:
        """Return the position in the stream."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.drawn = state["drawn"]

    def _pool(self, number: int) -> list[FlowBatch]:
        generator = sample_generator(self.seed, number, stream="pool")
        count = self.batch_size * self.batches
        x_0, x_1 = self.source(count, generator), self.data(count, generator)
        x_1, condition = x_1 if _with_condition(x_0, x_1) else (x_1, None)
        if batch_sizes(x_0, x_1) != (count, count):
            message = (
                f"a pool needs {count} points of each side, got {batch_sizes(x_0, x_1)}; draw as many as asked for"
            )
            raise InputError(message)
        pairs = self.coupling.pair(x_0, x_1, generator=generator, condition=condition)
        order = torch.randperm(len(pairs.source), generator=generator)[:count].split(self.batch_size)
        return [
            FlowBatch(
                take(x_1, pairs.target[rows]),
                take(x_0, pairs.source[rows]),
                None if condition is None else take(condition, pairs.target[rows]),  # type: ignore[arg-type]
            )
            for rows in order
        ]


def _with_condition(x_0: Point, x_1: Any) -> bool:
    """Return whether data came as (points, conditions): as a pair where the source is no pair of that form."""
    if not isinstance(x_1, tuple) or len(x_1) != 2:
        return False
    return not isinstance(x_0, tuple) or isinstance(x_1[0], tuple)


def _moved(x: Point, device: torch.device) -> Any:
    return like_point(tuple(part.to(device) for part in as_tensors(x)), x)
