"""The network of a flow through time, its batches and its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.conditions import ConditionBatch, ConditionEncoder, Conditions
from helicell.cells.encoders import NEEDS_GRAPH, build_encoder
from helicell.cells.fields import ConditionedField, Context
from helicell.cells.references import Moments, Reference, ReferenceBatch, make_reference
from helicell.cells.timecourse.paths import CoursePaths
from helicell.cells.timecourse.settings import TimeFlowSettings
from helicell.core.runs.seeds import sample_generator

# Rates of growth count in the loss relative to this many e-foldings over the whole range of times.
GROWTH_UNIT = 5.0


@dataclass(frozen=True, slots=True)
class TimeBatch:
    """Cells of several courses, each course at a time of its own."""

    x: Float[Tensor, "rows cells features"]
    velocity: Float[Tensor, "rows cells features"]
    growth: Float[Tensor, "rows cells"]
    times: Float[Tensor, " rows"]
    references: ReferenceBatch
    conditions: ConditionBatch


class TimeNetwork(nn.Module):
    """All that is learned: encoders of course and time, the velocity, and the growth where mass is not kept.

    Time steers the layers like the course does, so that a velocity may change quickly from one visit to the next.

    Parameters
    ----------
    settings
        Sizes and kinds.
    features
        Of a cell.
    conditions
        The treatments and cell types.
    courses
        Number of training courses.
    spread
        The standard deviation within populations, over all features.
    seed
        Of random features; weights are drawn from torch's own generator.
    """

    def __init__(
        self,
        settings: TimeFlowSettings,
        *,
        features: int,
        conditions: Conditions,
        courses: int,
        spread: float,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings, self.features, self.courses = settings, features, courses
        generator = sample_generator(seed, 0, stream="random features")
        self.moments = Moments(
            features, random_features=settings.encoder.random_features, spread=spread, generator=generator
        )
        self.encoder = build_encoder(settings.encoder, features=features, moments=self.moments, populations=courses)
        self.condition = ConditionEncoder(
            conditions.treatment_features, len(conditions.cell_types), width=settings.condition_width
        )
        channels = int(self.encoder.channels) + settings.condition_width + 1 + 2 * settings.waves  # type: ignore[arg-type]
        self.field = ConditionedField(
            features, features, channels=channels, settings=settings.field, spread=spread, generator=generator
        )
        self.growth = None
        if settings.coupling == "unbalanced":
            self.growth = ConditionedField(
                features, 1, channels=channels, settings=settings.field, spread=spread, generator=generator
            )

    def reference(self, visit: Tensor, *, seed: int, number: int = 0, index: int = -1) -> Reference:
        """Return a first visit as the encoder sees it."""
        encoder = self.settings.encoder
        return make_reference(
            visit,
            self.moments,
            cells=encoder.cells,
            neighbours=encoder.neighbours if encoder.kind in NEEDS_GRAPH else None,
            generator=sample_generator(seed, number, stream="reference"),
            index=index,
        )

    def vector(
        self, times: Float[Tensor, " rows"], references: ReferenceBatch, conditions: ConditionBatch
    ) -> Float[Tensor, "rows channels"]:
        """Return what steers the layers: course, condition, time."""
        waves = torch.pi * times[:, None] * torch.arange(1, self.settings.waves + 1, device=times.device)
        time = torch.cat([times[:, None], waves.sin(), waves.cos()], dim=1)
        return torch.cat([self.encoder(references), self.condition(conditions), time], dim=1)

    def outputs(
        self,
        x: Float[Tensor, "rows cells features"],
        times: Float[Tensor, " rows"],
        references: ReferenceBatch,
        conditions: ConditionBatch,
    ) -> tuple[Float[Tensor, "rows cells features"], Float[Tensor, "rows cells"]]:
        """Return velocities and rates of growth, per unit of time."""
        vector = self.vector(times, references, conditions)
        each = times[:, None].expand(x.shape[:2])
        velocity = self.field(x, each, self._context(self.field, vector, references))
        if self.growth is None:
            return velocity, torch.zeros_like(x[..., 0])
        rate = self.growth(x, each, self._context(self.growth, vector, references)).squeeze(2)
        return velocity, rate * (GROWTH_UNIT / self.growth.spread)

    @staticmethod
    def _context(field: ConditionedField, vector: Tensor, references: ReferenceBatch) -> Context:
        return field.context(vector, references.cells, references.mask)


class TimeObjective(nn.Module):
    """The regression of velocities and rates of growth, in one backward pass through encoders and fields."""

    def __init__(self, network: TimeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: TimeBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses, the one to minimise under "loss"."""
        velocity, growth = self.network.outputs(batch.x, batch.times, batch.references, batch.conditions)
        spread = self.network.field.spread
        losses = {"velocity": nn.functional.mse_loss(velocity / spread, batch.velocity / spread)}
        if self.network.growth is not None:
            losses["growth"] = nn.functional.mse_loss(growth / GROWTH_UNIT, batch.growth / GROWTH_UNIT)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


class TimeBatches:
    """An endless stream of batches; batch number k depends on the seed and k alone.

    Parameters
    ----------
    paths
        Of each course.
    references, conditions
        What is known of each course.
    rows, cells
        Courses in a batch, and cells of each.
    seed
        See above.
    """

    def __init__(
        self,
        paths: Sequence[CoursePaths],
        references: Sequence[Reference],
        conditions: ConditionBatch,
        *,
        rows: int,
        cells: int,
        seed: int,
    ) -> None:
        self.paths, self.references, self.conditions = paths, references, conditions
        self.rows, self.cells, self.seed = rows, cells, seed

    def __iter__(self) -> Iterator[TimeBatch]:
        number = 0
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> TimeBatch:
        """Return one batch of the stream: courses in turn, times evenly spread over each course's range."""
        generator = sample_generator(self.seed, number, stream="time batch")
        chosen = [(number * self.rows + row) % len(self.paths) for row in range(self.rows)]
        shares = (
            torch.randperm(self.rows, generator=generator) + torch.rand(self.rows, generator=generator)
        ) / self.rows
        times, points = [], []
        for course, share in zip(chosen, shares.tolist(), strict=True):
            first, last = self.paths[course].times[0], self.paths[course].times[-1]
            times.append(first + share * (last - first))
            points.append(self.paths[course].at(times[-1], self.cells, generator=generator))
        return TimeBatch(
            torch.stack([point.x for point in points]),
            torch.stack([point.velocity for point in points]),
            torch.stack([point.growth for point in points]),
            torch.tensor(times),
            ReferenceBatch.of([self.references[course] for course in chosen]),
            self.conditions.among(chosen),
        )
