"""Batches of coupled cells from several populations.

A plan couples a pool of cells of one population, and its pairs are dealt out to that population's next batches, so the
cost of exact plans is shared. Batch number k depends on the seed and k alone: a training that resumes sees the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.conditions import ConditionBatch
from helicell.cells.references import Reference, ReferenceBatch
from helicell.cells.responses import Response
from helicell.cells.settings import CouplingSettings
from helicell.core.errors import InputError
from helicell.core.paths import Coupling, ExactTransport, IndependentCoupling, UnbalancedTransport
from helicell.core.paths.transport import sample_plan, squared_distances
from helicell.core.runs.seeds import sample_generator


@dataclass(frozen=True, slots=True)
class PopulationBatch:
    """Pairs of control and treated cells of several populations.

    Attributes
    ----------
    x_0, x_1
        The pairs.
    references, conditions
        What is known of each population.
    sources, masses
        Control cells drawn evenly, and what a mass of one at them becomes; only with unbalanced transport.
    """

    x_0: Float[Tensor, "populations cells features"]
    x_1: Float[Tensor, "populations cells features"]
    references: ReferenceBatch
    conditions: ConditionBatch
    sources: Float[Tensor, "populations cells features"] | None = None
    masses: Float[Tensor, "populations cells"] | None = None

    def to(self, device: torch.device) -> PopulationBatch:
        """Return the batch on a device."""
        return PopulationBatch(
            self.x_0.to(device),
            self.x_1.to(device),
            self.references.to(device),
            self.conditions.to(device),
            None if self.sources is None else self.sources.to(device),
            None if self.masses is None else self.masses.to(device),
        )


@dataclass(frozen=True, slots=True)
class Deck:
    """Coupled pairs of a population, in random order, as rows of its control and treated cells."""

    number: int
    source: Tensor
    target: Tensor
    free: Tensor
    masses: Tensor


class PopulationBatches:
    """An endless stream of batches.

    Parameters
    ----------
    responses
        The training populations.
    references
        What encoders see of each.
    conditions
        The condition of each.
    coupling
        Which cells are paired.
    populations, cells
        Populations in a batch, and cells of each.
    seed
        With the number of the batch it determines every draw.

    Raises
    ------
    InputError
        If given pairs are asked for and a population has none.
    """

    def __init__(
        self,
        responses: Sequence[Response],
        references: Sequence[Reference],
        conditions: ConditionBatch,
        *,
        coupling: CouplingSettings,
        populations: int,
        cells: int,
        seed: int,
    ) -> None:
        self.responses, self.references, self.conditions = responses, references, conditions
        self.coupling, self.populations, self.cells, self.seed = coupling, populations, cells, seed
        for response in responses if coupling.kind == "pairs" else ():
            if not response.paired:
                message = f"the cells of {response.key} are not paired; take the coupling transport or independent"
                raise InputError(message)
        self.drawn = 0
        self._decks: dict[int, Deck] = {}
        self._order: tuple[int, list[int]] = -1, []

    def __iter__(self) -> Iterator[PopulationBatch]:
        while True:
            self.drawn += 1
            yield self.batch(self.drawn - 1)

    def state_dict(self) -> dict[str, int]:
        """Return the position in the stream."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.drawn = state["drawn"]

    def among(self, numbers: Sequence[int]) -> PopulationBatches:
        """Return a stream of some of the populations."""
        return PopulationBatches(
            [self.responses[number] for number in numbers],
            [self.references[number] for number in numbers],
            self.conditions.among(numbers),
            coupling=self.coupling,
            populations=self.populations,
            cells=self.cells,
            seed=self.seed,
        )

    def batch(self, number: int) -> PopulationBatch:
        """Return one batch of the stream."""
        places = range(number * self.populations, (number + 1) * self.populations)
        chosen = [self._population(place) for place in places]
        hands = [self._hand(population, round_) for population, round_ in chosen]
        members = [self.responses[population] for population, _ in chosen]
        unbalanced = self.coupling.kind == "unbalanced"
        return PopulationBatch(
            torch.stack([r.control[hand.source] for r, hand in zip(members, hands, strict=True)]),
            torch.stack([r.treated[hand.target] for r, hand in zip(members, hands, strict=True)]),
            ReferenceBatch.of([self.references[population] for population, _ in chosen]),
            self.conditions.among([population for population, _ in chosen]),
            torch.stack([r.control[hand.free] for r, hand in zip(members, hands, strict=True)]) if unbalanced else None,
            torch.stack([hand.masses for hand in hands]) if unbalanced else None,
        )

    def _population(self, place: int) -> tuple[int, int]:
        """Return which population has a place of the stream, and how often it had one before."""
        round_, position = divmod(place, len(self.responses))
        if self._order[0] != round_:
            generator = sample_generator(self.seed, round_, stream="order")
            self._order = round_, torch.randperm(len(self.responses), generator=generator).tolist()
        return self._order[1][position], round_

    def _hand(self, population: int, round_: int) -> Deck:
        """Return the pairs that a population gives to a batch."""
        response = self.responses[population]
        pool = min(len(response.control), len(response.treated), self.coupling.pool)
        hands = max(pool // self.cells, 1)
        number, place = divmod(round_, hands)
        deck = self._decks.get(population)
        if deck is None or deck.number != number:
            generator = sample_generator(self.seed, population, stream=f"deck {number}")
            deck = self._decks[population] = self._deck(response, number, pool, hands * self.cells, generator)
        rows = slice(place * self.cells, (place + 1) * self.cells)
        return Deck(number, deck.source[rows], deck.target[rows], deck.free[rows], deck.masses[rows])

    def _deck(self, response: Response, number: int, pool: int, count: int, generator: torch.Generator) -> Deck:
        parts = [self._plan(response, pool, generator) for _ in range(-(-count // pool))]
        source, target, free, masses = (torch.cat(column) for column in zip(*parts, strict=True))
        pairs, others = (torch.randperm(len(column), generator=generator)[:count] for column in (source, free))
        return Deck(number, source[pairs], target[pairs], free[others], masses[others])

    def _plan(self, response: Response, pool: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return paired rows, and rows with their masses, of one plan over a pool of cells."""
        source = torch.randperm(len(response.control), generator=generator)[:pool]
        ones = torch.ones(pool)
        if self.coupling.kind == "pairs":
            return source, source, source, ones
        target = torch.randperm(len(response.treated), generator=generator)[:pool]
        x_0, x_1 = response.control[source], response.treated[target]
        masses = ones
        if self.coupling.kind == "unbalanced":
            plan = self._unbalanced().plan(squared_distances(x_0, x_1))
            pairs, masses = sample_plan(plan, pool, generator=generator), pool * plan.sum(dim=1).float()
        else:
            pairs = self._coupling().pair(x_0, x_1, generator=generator)
        return source[pairs.source], target[pairs.target], source, masses

    def _coupling(self) -> Coupling:
        return ExactTransport() if self.coupling.kind == "transport" else IndependentCoupling()

    def _unbalanced(self) -> UnbalancedTransport:
        settings = self.coupling
        return UnbalancedTransport(regularisation=settings.regularisation, marginal_weight=settings.marginal_weight)
