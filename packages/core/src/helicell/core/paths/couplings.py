"""Couplings: which x_0 goes with which x_1. `coupling.pair(x_0, x_1)` returns the indices of the pairs.

Indices rather than points, so that labels, conditions and masks can follow their points. Couplings by optimal transport
are in `transport`; here are the interface, the simple couplings, and the one that keeps labels apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces import Point
from helicell.core.spaces.space import as_tensors, like_point


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which points belong together.

    Attributes
    ----------
    source, target
        Indices into x_0 and x_1, shape [pairs], on the CPU.
    """

    source: Tensor
    target: Tensor

    def take(self, x_0: Point, x_1: Point) -> tuple[Point, Point]:
        """Return the ends of the pairs.

        Raises
        ------
        InputError
            If there are fewer points than the pairs are of.
        """
        for name, rows, points in (("x_0", self.source, x_0), ("x_1", self.target, x_1)):
            count = as_tensors(points)[0].shape[0]
            if len(rows) and int(rows.max()) >= count:
                message = (
                    f"the pairs name {name} number {int(rows.max())} of {count}; give the batches they were made of"
                )
                raise InputError(message)
        return take(x_0, self.source), take(x_1, self.target)


class Coupling(ABC):
    """A rule by which points of two batches are paired."""

    @abstractmethod
    def pair(
        self,
        x_0: Point,
        x_1: Point,
        *,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
        source_condition: Tensor | None = None,
    ) -> Pairs:
        """Return the pairs of two batches: as many as the larger batch has points.

        Parameters
        ----------
        x_0, x_1
            The points, shapes [sources, ...] and [targets, ...], or tuples of such for products.
        generator
            A CPU generator for whatever is drawn.
        condition
            What is known about each x_1, shape [targets, ...], for the couplings that look at it.
        source_condition
            The same for x_0; unless given, row i of x_0 has the condition of row i of x_1, with which it was drawn.

        Raises
        ------
        InputError
            If the coupling does not fit the sizes, a batch is empty, or numbers are not finite.
        """


@dataclass(frozen=True, slots=True)
class GivenPairs(Coupling):
    """Row i with row i: pairs that the data bring along, or independent draws as they come."""

    def pair(self, x_0: Point, x_1: Point, **_: object) -> Pairs:
        sources, targets = batch_sizes(x_0, x_1)
        if sources != targets:
            message = f"given pairs need as many x_0 as x_1, got {sources} and {targets}; use another coupling"
            raise InputError(message)
        rows = torch.arange(targets)
        return Pairs(rows, rows)


@dataclass(frozen=True, slots=True)
class IndependentCoupling(Coupling):
    """Pairs at random, whatever the order of the rows."""

    def pair(self, x_0: Point, x_1: Point, *, generator: torch.Generator | None = None, **_: object) -> Pairs:
        sizes = batch_sizes(x_0, x_1)
        count = max(sizes)
        source, target = (_shuffled(size, count, generator) for size in sizes)
        return Pairs(source, target)


@dataclass(frozen=True, slots=True)
class WithinLabels(Coupling):
    """Couples points of the same label only, so that the labels' shares stay what they are on both sides.

    A plan that ignores a condition couples each condition with a skewed part of the source, which a sampler, who draws
    the source freely, never sees.

    Parameters
    ----------
    inner
        The coupling within a label.

    References
    ----------
    Cheng and Schwing, The curse of conditions, arXiv 2503.10636.
    """

    inner: Coupling
    citations = ("cheng2025curse",)

    def pair(
        self,
        x_0: Point,
        x_1: Point,
        *,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
        source_condition: Tensor | None = None,
    ) -> Pairs:
        sources, targets = batch_sizes(x_0, x_1)
        labels = _labels("condition", condition, targets)
        source_labels = labels if source_condition is None else _labels("source_condition", source_condition, sources)
        if len(source_labels) != sources:
            message = f"there are {sources} x_0 and {targets} labels of x_1; give source_condition, one label an x_0"
            raise InputError(message)
        parts = []
        for label in labels.unique():
            rows = (source_labels == label).nonzero().squeeze(1), (labels == label).nonzero().squeeze(1)
            if not len(rows[0]):
                message = f"no x_0 has the label {label.item()} that x_1 have; draw x_0 of every label"
                raise InputError(message)
            pairs = self.inner.pair(take(x_0, rows[0]), take(x_1, rows[1]), generator=generator)
            parts.append((rows[0][pairs.source], rows[1][pairs.target]))
        source, target = (torch.cat(side) for side in zip(*parts, strict=True))
        return Pairs(source, target)


def batch_sizes(x_0: Point, x_1: Point) -> tuple[int, int]:
    """Return how many points two batches hold, at least one each."""
    first, last = as_tensors(x_0)[0].shape, as_tensors(x_1)[0].shape
    sources, targets = first[0] if first else 0, last[0] if last else 0
    if not sources or not targets:
        message = f"there are {sources} x_0 and {targets} x_1; give tensors [batch, ...] with one point or more"
        raise InputError(message)
    return sources, targets


def take(x: Point, rows: Tensor) -> Point:
    """Return rows of a batch of points."""
    return like_point(tuple(part[rows.to(part.device)] for part in as_tensors(x)), x)


def _shuffled(size: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Return `count` indices in random order, every one of `size` as often as any other, give or take one."""
    rounds = -(-count // size)
    return torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])[:count]


def _labels(name: str, labels: Tensor | None, count: int) -> Tensor:
    if labels is None or labels.shape != (count,):
        given = "none" if labels is None else f"the shape {list(labels.shape)}"
        message = f"labels need {name} of shape [{count}], one label a point, got {given}"
        raise InputError(message)
    return labels.cpu()
