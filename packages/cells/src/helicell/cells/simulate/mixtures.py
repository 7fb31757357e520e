"""Populations as mixtures of Gaussian cell types, and what depends on a cell's state through a smooth gate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

TYPE_DISTANCE = 2.5  # of the cell types' means from the middle
SPREAD = 0.5  # standard deviation of a state within a type


@dataclass(frozen=True, slots=True)
class CellTypes:
    """Gaussian cell types: means [types, states] and factors L of the covariances L L^T, [types, states, states]."""

    means: Float[Tensor, "types states"]
    factors: Float[Tensor, "types states states"]


@dataclass(frozen=True, slots=True)
class Readouts:
    """Functions Phi(weights . z + offset) of a state, one a row."""

    weights: Float[Tensor, "functions states"]
    offsets: Float[Tensor, " functions"]

    def __call__(self, states: Float[Tensor, "cells states"]) -> Float[Tensor, "cells functions"]:
        return torch.special.ndtr(states @ self.weights.T + self.offsets)

    def means(self, means: Float[Tensor, "types states"], types: CellTypes) -> Float[Tensor, "types functions"]:
        """Return the expected values over Gaussians of these means and the types' covariances."""
        variance = torch.einsum("tij,fi->tfj", types.factors, self.weights).square().sum(dim=-1)
        return torch.special.ndtr((means @ self.weights.T + self.offsets) / (1 + variance).sqrt())


@dataclass(frozen=True, slots=True)
class Donor:
    """A donor: shares of the cell types [types], and a shift of all its states [states]."""

    name: str
    shares: Float[Tensor, " types"]
    shift: Float[Tensor, " states"]


def unit_vectors(count: int, states: int, *, generator: torch.Generator) -> Float[Tensor, "count states"]:
    """Draw directions."""
    drawn = torch.randn(count, states, dtype=torch.float64, generator=generator)
    return drawn / drawn.norm(dim=1, keepdim=True)


def draw_types(count: int, states: int, *, generator: torch.Generator) -> CellTypes:
    """Draw cell types; half of a state's variance is its own, half is shared with other states."""
    means = TYPE_DISTANCE * unit_vectors(count, states, generator=generator)
    mixing = torch.randn(count, states, states, dtype=torch.float64, generator=generator) / math.sqrt(states)
    factors = SPREAD * (torch.eye(states, dtype=torch.float64) + mixing) / math.sqrt(2)
    return CellTypes(means=means, factors=factors)


def draw_donor(name: str, types: CellTypes, *, composition: float, shift: float, generator: torch.Generator) -> Donor:
    """Draw a donor, whose shares follow Dirichlet's distribution and whose shift has this standard deviation."""
    shares = gamma_like(torch.full((len(types.means),), composition, dtype=torch.float64), generator=generator)
    shares = shares.clamp(min=1e-12)
    own = shift * torch.randn(types.means.shape[1], dtype=torch.float64, generator=generator)
    return Donor(name=name, shares=shares / shares.sum(), shift=own)


def towards_types(types: CellTypes, count: int) -> Readouts:
    """Return readouts of which number j is high around type j and beyond, as seen from the middle of all types."""
    middle = types.means.mean(dim=0)
    towards = types.means[:count] - middle
    weights = 2 * towards / towards.norm(dim=1, keepdim=True).clamp(min=1e-6)
    halfway = middle + towards / 2
    return Readouts(weights=weights, offsets=-(weights * halfway).sum(dim=1))


def gamma_like(shape: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw from gamma distributions of these shapes; torch's public ones take no generator."""
    return torch._standard_gamma(shape, generator=generator)  # noqa: SLF001
