"""Hypergrids: a walk on a lattice that starts in a corner, adds one to a coordinate at each step, and stops anywhere.

With c = |x / (side - 1) - 1/2| for each coordinate, the usual rewards are

    original    R_0 + R_1 prod 1[c > 1/4] + R_2 prod 1[3/10 < c < 4/10]
    cosine      R_0 + R_1 prod (1 + cos 50 c) phi(5 c), with the standard normal density phi
    deceptive   R_0 + R_1 - R_1 prod 1[c > 1/10] + R_2 prod 1[3/10 < c < 4/10]

Bengio and others, Flow network based generative models for non-iterative diverse candidate generation, arXiv
2106.04399.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError, unknown_option
from helicell.core.samplers.discrete.environment import States
from helicell.core.samplers.discrete.tabular import NONE, TabularEnvironment

# A table of more cells than this takes gigabytes.
MOST_CELLS = 1 << 20


class HyperGrid(TabularEnvironment):
    """The hypergrid as a table: cells, then a terminal copy of each cell.

    Parameters
    ----------
    dimensions, side
        The lattice has `side` points along each dimension.
    reward
        "original", "cosine", "deceptive", or a function from coordinates [cells, dimensions], whole numbers, to
        log-rewards [cells].
    scales
        R_0, R_1 and R_2 of a named reward; those of the literature unless given.

    Raises
    ------
    InputError
        If there is no such reward or the lattice is too small or too large.

    Examples
    --------
    >>> grid = HyperGrid(2, 8)
    >>> grid.states, grid.actions, grid.longest
    (128, 3, 15)
    """

    citations = ("bengio2021flow",)

    def __init__(
        self,
        dimensions: int,
        side: int,
        *,
        reward: str | Callable[[Tensor], Tensor] = "original",
        scales: tuple[float, float, float] | None = None,
    ) -> None:
        if dimensions < 1 or side < 2 or side**dimensions > MOST_CELLS:
            message = (
                f"a hypergrid of {dimensions} dimensions with {side} points along each cannot be written down; "
                f"expected 1 dimension, 2 points or more, and {MOST_CELLS} cells or fewer"
            )
            raise InputError(message)
        self.dimensions, self.side, self.cells = dimensions, side, side**dimensions
        powers = side ** torch.arange(dimensions - 1, -1, -1)
        cell = torch.arange(self.cells)
        coordinates = cell[:, None] // powers % side
        log_reward = reward(coordinates) if callable(reward) else named_reward(reward, coordinates, side, scales)
        children = torch.full((2 * self.cells, dimensions + 1), NONE)
        children[: self.cells, :-1] = torch.where(coordinates < side - 1, cell[:, None] + powers, NONE)
        children[: self.cells, -1] = cell + self.cells
        self.coordinates = coordinates.repeat(2, 1)
        features = torch.nn.functional.one_hot(self.coordinates, side).flatten(1).float()
        log_reward = log_reward.repeat(2)
        super().__init__(children, log_reward, features=features, log_potential=log_reward)

    def describe(self, states: States) -> list[str]:
        return [str(tuple(point)) for point in self.coordinates[states].tolist()]


def named_reward(
    name: str, coordinates: Tensor, side: int, scales: tuple[float, float, float] | None = None
) -> Float[Tensor, " cells"]:
    """Return the log-reward of cells under one of the usual rewards, in double precision."""
    if name not in _REWARDS:
        raise unknown_option("reward", name, _REWARDS)
    function, usual = _REWARDS[name]
    distance = (coordinates.double() / (side - 1) - 0.5).abs()
    return function(distance, *(scales or usual)).log()


def _original(c: Tensor, r_0: float, r_1: float, r_2: float) -> Tensor:
    return r_0 + r_1 * _all(c > 0.25) + r_2 * _all((c > 0.3) & (c < 0.4))


def _cosine(c: Tensor, r_0: float, r_1: float, _: float) -> Tensor:
    density = (-0.5 * (5 * c).square()).exp() / math.sqrt(2 * math.pi)
    return r_0 + r_1 * ((1 + (50 * c).cos()) * density).prod(dim=1)


def _deceptive(c: Tensor, r_0: float, r_1: float, r_2: float) -> Tensor:
    return r_0 + r_1 - r_1 * _all(c > 0.1) + r_2 * _all((c > 0.3) & (c < 0.4))


def _all(inside: Tensor) -> Tensor:
    return inside.all(dim=1).double()


_REWARDS: dict[str, tuple[Callable[..., Tensor], tuple[float, float, float]]] = {
    "original": (_original, (0.1, 0.5, 2.0)),
    "cosine": (_cosine, (0.1, 0.5, 0.0)),
    "deceptive": (_deceptive, (1e-5, 0.1, 2.0)),
}
