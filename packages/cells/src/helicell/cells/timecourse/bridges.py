"""Between two populations: where cells go, and how their mass changes on the way.

A plan pi couples cells i of one time with cells j of a later one. With balanced transport it keeps all mass. With
unbalanced transport its marginals r and c (as shares of what each cell has) may fall below one where a population
shrank or grew: cells of a type that becomes rare need not turn into another type, they become fewer. A pair then
has the mass

    w(s) = pi_ij ((1 - s) / r_i + s / c_j)        at the share s of the way,

which is exactly the first population at s = 0 and exactly the second at s = 1, and grows at the rate w'(s) / w(s).
Drawing from w(s) takes no table: with probability 1 - s a cell of the first population with its partner drawn from its
row, else a cell of the second with its partner drawn from its column.

The plan is that of Chizat and others, arXiv 1607.05816; displacement along an exact plan is McCann's interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths import ExactTransport, UnbalancedTransport
from helicell.core.paths.transport import squared_distances

Points = Float[Tensor, "cells features"]
Rows = Int[Tensor, " cells"]

# Beyond a factor e^5 a change of mass is noise of the plan.
FARTHEST_LOG = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """A plan between two populations, as its conditionals.

    Attributes
    ----------
    to_targets, to_sources
        Every cell's masses towards the other population, added up along its row, in double precision.
    source_shares, target_shares
        The marginals r and c: how much of each cell's mass is coupled.
    """

    to_targets: Float[Tensor, "sources targets"]
    to_sources: Float[Tensor, "targets sources"]
    source_shares: Float[Tensor, " sources"]
    target_shares: Float[Tensor, " targets"]

    @classmethod
    def between(
        cls, x_0: Points, x_1: Float[Tensor, "others features"], *, regularisation: float, marginal_weight: float | None
    ) -> Link:
        """Return the plan between two populations.

        Parameters
        ----------
        x_0, x_1
            Their cells.
        regularisation, marginal_weight
            Of unbalanced transport, as shares of the mean cost; the plan is exact and keeps all mass where
            `marginal_weight` is None.
        """
        cost = squared_distances(x_0, x_1)
        if marginal_weight is None:
            plan = _exact(x_0, x_1, cost)
        else:
            transport = UnbalancedTransport(regularisation=regularisation, marginal_weight=marginal_weight)
            plan = transport.plan(cost)
        sources, targets = plan.shape
        return cls(
            to_targets=plan.cumsum(dim=1),
            to_sources=plan.T.cumsum(dim=1),
            source_shares=(plan.sum(dim=1) * sources).float(),
            target_shares=(plan.sum(dim=0) * targets).float(),
        )

    def forward(self, rows: Rows, *, generator: torch.Generator) -> Rows:
        """Draw a partner in the second population for each of these cells of the first."""
        return _drawn(self.to_targets[rows], generator)

    def backward(self, rows: Rows, *, generator: torch.Generator) -> Rows:
        """Draw a partner in the first population for each of these cells of the second."""
        return _drawn(self.to_sources[rows], generator)

    def ratio(self, sources: Rows, targets: Rows) -> Float[Tensor, " cells"]:
        """Return what a mass of one at the start of these pairs becomes: r / c."""
        logs = self.source_shares[sources].log() - self.target_shares[targets].log()
        return logs.clamp(-FARTHEST_LOG, FARTHEST_LOG).exp()


def growth_rate(ratio: Tensor, share: Tensor) -> Tensor:
    """Return w'(s) / w(s) of pairs whose mass changes by a ratio along the way."""
    return (ratio - 1) / (1 - share + share * ratio)


def between(
    x_0: Points,
    x_1: Float[Tensor, "others features"],
    share: float,
    *,
    count: int | None = None,
    marginal_weight: float | None = 0.3,
    regularisation: float = 0.02,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "drawn features"]:
    """Return cells at a share of the way from one population to another, without training anything.

    Parameters
    ----------
    x_0, x_1
        The two populations.
    share
        0 for the first, 1 for the second.
    count
        How many cells; as many as the larger population unless given.
    marginal_weight, regularisation
        As for `Link.between`. With `marginal_weight=None` this is McCann's interpolation along the exact plan.
    generator
        Of the draws.

    Examples
    --------
    >>> x_0, x_1 = torch.tensor([[0.0], [10.0]]), torch.tensor([[10.5], [0.5]])
    >>> sorted(between(x_0, x_1, 0.5, marginal_weight=None).squeeze(1).tolist())
    [0.25, 10.25]
    """
    if not 0 <= share <= 1:
        message = f"the share of the way is {share}, expected 0 to 1"
        raise InputError(message)
    generator = generator or torch.Generator().manual_seed(0)
    link = Link.between(x_0, x_1, regularisation=regularisation, marginal_weight=marginal_weight)
    count = max(len(x_0), len(x_1)) if count is None else count
    if marginal_weight is None:
        sources = even_rows(len(x_0), count, generator)
        return torch.lerp(x_0[sources], x_1[link.forward(sources, generator=generator)], share)
    later = round(share * count)
    sources = even_rows(len(x_0), count - later, generator)
    targets = even_rows(len(x_1), later, generator)
    starts = torch.cat([sources, link.backward(targets, generator=generator)])
    ends = torch.cat([link.forward(sources, generator=generator), targets])
    return torch.lerp(x_0[starts], x_1[ends], share)


def even_rows(size: int, count: int, generator: torch.Generator) -> Rows:
    """Return `count` rows in random order, every one of `size` as often as any other, give or take one."""
    rounds = max(-(-count // size), 1)
    return torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])[:count]


def _exact(x_0: Tensor, x_1: Tensor, cost: Tensor) -> Tensor:
    if len(x_0) != len(x_1):
        return ExactTransport().plan(cost)
    pairs = ExactTransport().pair(x_0, x_1)
    plan = torch.zeros(cost.shape, dtype=torch.float64)
    plan[pairs.source, pairs.target] = 1 / len(x_0)
    return plan


def _drawn(behind: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one column of each row in proportion to masses that are given added up."""
    u = torch.rand(len(behind), 1, generator=generator, dtype=behind.dtype) * behind[:, -1:]
    return torch.searchsorted(behind, u, right=True).squeeze(1).clamp_max(behind.shape[1] - 1)
