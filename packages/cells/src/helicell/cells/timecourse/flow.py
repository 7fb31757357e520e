"""`TimeCourseFlow`: the velocity and growth of populations over time, learned from visits.

`fit` learns from courses; `interpolate` gives the population at a time that was not visited, `follow` the trajectories
of cells, `velocity` and `growth` what drives them. `save` and `load` keep the model in one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.conditions import ConditionBatch, Conditions
from helicell.cells.encoders.moments import MomentsEncoder
from helicell.cells.references import ReferenceBatch, check_population
from helicell.cells.responses import PopulationKey
from helicell.cells.timecourse.bridges import between
from helicell.cells.timecourse.clock import SharedClock
from helicell.cells.timecourse.courses import Course, TimeColumns
from helicell.cells.timecourse.network import TimeBatches, TimeNetwork, TimeObjective
from helicell.cells.timecourse.paths import CoursePaths
from helicell.cells.timecourse.settings import TimeFlowSettings
from helicell.core.dynamics.ode import integrate
from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.training.loop import minimise

if TYPE_CHECKING:
    from helicell.cells.preprocessing import Preprocessing

# Cells that are moved together.
CHUNK = 16_384
# Logarithms of masses stay within this, so that none is zero or infinite.
FARTHEST = 20.0


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Where cells are at several times, and what their mass is.

    Attributes
    ----------
    times
        In the units of the data.
    states
        Positions.
    masses
        What a mass of one at the first time has become.
    """

    times: tuple[float, ...]
    states: Float[Tensor, "times cells features"]
    masses: Float[Tensor, "times cells"]


class TimeCourseFlow:
    """A trained model of time courses; made by `fit` or `load`.

    Parameters
    ----------
    network
        The trained network.
    conditions
        What treatments and cell types it knows.
    keys
        The courses that it was trained on.
    times
        First and last time, between which it knows anything.
    preprocessing
        From measured features to the model's space and back, where the model was trained on such.
    columns
        What told the courses apart that it was trained on, where these came from a table.
    card
        Whatever else is worth knowing: data, licence, metrics.
    """

    citations = ("lipman2023flow", "tong2024improving", "chizat2018scaling")

    def __init__(
        self,
        network: TimeNetwork,
        conditions: Conditions,
        keys: Sequence[PopulationKey],
        *,
        times: tuple[float, float],
        preprocessing: Preprocessing | None = None,
        columns: TimeColumns | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.settings, self.conditions, self.keys, self.times = network.settings, conditions, tuple(keys), times
        self.preprocessing, self.columns = preprocessing, columns
        self.card: dict[str, Any] = dict(card or {})

    @classmethod
    def fit(
        cls,
        courses: Sequence[Course],
        settings: TimeFlowSettings | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        columns: TimeColumns | None = None,
        seed: int = 0,
        report: Callable[[int, float], None] | None = None,
    ) -> Self:
        """Train a model.

        Parameters
        ----------
        courses
            Of at least two visits each, in the space of the model.
        settings
            Everything but data and seed; the defaults unless given.
        preprocessing, columns
            What the courses went through and where they are from, to be kept with the model.
        seed
            Of weights, plans and draws.
        report
            Called with the step and its loss.

        Raises
        ------
        InputError
            If there is no course, one has a single visit, or cells are not finite or of different features.
        """
        settings = settings or TimeFlowSettings()
        _check(courses)
        keys = [course.key for course in courses]
        times = min(course.times[0] for course in courses), max(course.times[-1] for course in courses)
        conditions = Conditions.of(keys)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = TimeNetwork(
                settings,
                features=courses[0].visits[0].shape[1],
                conditions=conditions,
                courses=len(courses),
                spread=_spread_within(courses),
                seed=seed,
            )
        references = [
            network.reference(course.visits[0], seed=seed, number=i, index=i) for i, course in enumerate(courses)
        ]
        if isinstance(network.encoder, MomentsEncoder):
            network.encoder.fit_scale(torch.stack([reference.moments for reference in references]))
        paths = [
            CoursePaths.of(course, tuple(_unit(time, times) for time in course.times), settings, seed=seed)
            for course in courses
        ]
        batches = TimeBatches(
            paths, references, conditions.encode(keys), rows=settings.rows, cells=settings.cells, seed=seed
        )
        minimise(TimeObjective(network), batches, settings.optimiser, seed=seed, report=report)
        return cls(network, conditions, keys, times=times, preprocessing=preprocessing, columns=columns)

    @torch.no_grad()
    def velocity(self, x: Float[Tensor, "cells features"], course: Course, time: float) -> Tensor:
        """Return the velocity of cells of a course, per unit of time of the data, shape [cells, features]."""
        return self._rates(x, course, time)[0]

    @torch.no_grad()
    def growth(self, x: Float[Tensor, "cells features"], course: Course, time: float) -> Tensor:
        """Return the change of the logarithm of the cells' mass, per unit of time of the data, shape [cells].

        It is zero with the coupling "transport", which keeps all mass.
        """
        return self._rates(x, course, time)[1]

    @torch.no_grad()
    def follow(
        self, x: Float[Tensor, "cells features"], course: Course, times: Sequence[float], *, seed: int = 0
    ) -> Trajectories:
        """Follow cells of a course through time.

        Parameters
        ----------
        x
            Where they are at the first of the times.
        course
            Whose they are; its first visit is what encoders look at.
        times
            At which to report, increasing or decreasing, within the range that was trained on.
        seed
            Of the cells that the encoder looks at.

        Raises
        ------
        InputError
            If a time is out of range, times are not in order, or cells do not fit the model.
        """
        check_population("course's", x, features=self.network.features)
        grid = self._grid(times)
        saved = [_unit(time, self.times) for time in times]
        told = self._told(course, seed)
        parts = []
        for chunk in x.float().split(CHUNK):
            start = torch.cat([chunk, torch.zeros(len(chunk), 1)], dim=1).to(self.device)
            solution = integrate(
                lambda state, t: self._flow(state, t, told), start, grid, method=self.settings.method, save_at=saved
            )
            parts.append(solution.states.cpu())  # type: ignore[union-attr]
        states = torch.cat(parts, dim=1)
        return Trajectories(tuple(times), states[..., :-1], states[..., -1].clamp(-FARTHEST, FARTHEST).exp())

    @torch.no_grad()
    def interpolate(
        self,
        course: Course,
        time: float,
        *,
        clock: SharedClock | None = None,
        transport: float = 0.0,
        count: int | None = None,
        seed: int = 0,
    ) -> Float[Tensor, "drawn features"]:
        """Return the population of a course at a time between two of its visits.

        The visit before is followed forwards and the one after backwards; the nearer one in time counts more.

        Parameters
        ----------
        course
            Its visits.
        time
            Between the first and the last of them.
        clock
            Says how far along the way to the next visit the course is at this time; it is steady unless given.
        transport
            Share of the cells that come from linear transport between the two visits instead of from the flow. W2 and
            MMD, squared, are convex: a mixture is at most as far from the truth as its members are on average.
        count
            How many cells; as many as the larger of the two visits unless given.
        seed
            Of draws.

        Raises
        ------
        InputError
            If the time is not within the course, or the share not within 0 and 1.
        """
        if not 0 <= transport <= 1:
            message = f"the share of transport is {transport}, expected 0 to 1"
            raise InputError(message)
        before, after = course.around(time)
        if before == after:
            return course.visits[before][:count]
        first, last = course.times[before], course.times[after]
        share = (time - first) / (last - first) if clock is None else clock.share(first, time, last)
        ends = course.visits[before], course.visits[after]
        count = max(map(len, ends)) if count is None else count
        generator = sample_generator(seed, 0, stream=f"interpolation of {course.key} at {time}")
        plain = round(transport * count)
        later = round(share * (count - plain))
        there = first + share * (last - first)
        parts = [between(*ends, share, count=plain, marginal_weight=None, generator=generator)] if plain else []
        for end, start, cells in ((ends[0], first, count - plain - later), (ends[1], last, later)):
            if cells == 0:
                continue
            if start == there:
                points, masses = end, torch.ones(len(end))
            else:
                moved = self.follow(end, course, (start, there), seed=seed)
                points, masses = moved.states[-1], moved.masses[-1]
            parts.append(points[_resampled(masses, cells, generator)])
        return torch.cat(parts)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.field.spread.device

    def save(self, path: str | Path) -> None:
        """Write the model with its card to one file; a model that was loaded is written to the same bytes."""
        from helicell.cells.timecourse.storing import save_model

        save_model(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        InputError
            If the file is missing, damaged or no model of this kind.
        """
        from helicell.cells.timecourse.storing import load_parts

        network, conditions, others = load_parts(path)
        return cls(network, conditions, **others)

    def _told(self, course: Course, seed: int = 0) -> tuple[ReferenceBatch, ConditionBatch]:
        index = self.keys.index(course.key) if course.key in self.keys else -1
        reference = self.network.reference(course.visits[0].float(), seed=seed, index=index)
        conditions = self.conditions.encode([replace(course.key, time=None)])
        return ReferenceBatch.of([reference]).to(self.device), conditions.to(self.device)

    def _flow(self, state: Any, t: Tensor, told: tuple[ReferenceBatch, ConditionBatch]) -> Tensor:
        """Return the change of positions and of the logarithms of masses."""
        velocity, growth = self.network.outputs(state[None, :, :-1], t[:1], *told)
        return torch.cat([velocity[0], growth[0, :, None]], dim=1)

    def _rates(self, x: Tensor, course: Course, time: float) -> tuple[Tensor, Tensor]:
        check_population("course's", x, features=self.network.features)
        self._grid([time])
        told, t = self._told(course), torch.tensor([_unit(time, self.times)], device=self.device)
        length = self.times[1] - self.times[0]
        parts = [self.network.outputs(chunk[None].to(self.device), t, *told) for chunk in x.float().split(CHUNK)]
        velocity, growth = (torch.cat([part[0].cpu() for part in column]) for column in zip(*parts, strict=True))
        return velocity / length, growth / length

    def _grid(self, times: Sequence[float]) -> list[float]:
        """Return the solver's times in [0, 1]: those that are asked for, with enough steps between them."""
        low, high = self.times
        for time in times:
            if not low <= time <= high:
                message = f"the time {time:g} is outside of what was trained on, {low:g} to {high:g}"
                raise InputError(message)
        grid = [_unit(times[0], self.times)]
        for time in times[1:]:
            end = _unit(time, self.times)
            steps = max(round(abs(end - grid[-1]) * self.settings.steps), 1)
            grid += [grid[-1] + (end - grid[-1]) * step / steps for step in range(1, steps)] + [end]
        return grid


def _unit(time: float, times: tuple[float, float]) -> float:
    return (time - times[0]) / (times[1] - times[0])


def _resampled(masses: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return rows in proportion to masses, one from each of `count` equal parts of the whole mass."""
    # In random order, so that which of equal masses are drawn does not depend on the order of the cells.
    order = torch.randperm(len(masses), generator=generator)
    behind = masses[order].double().cumsum(0)
    u = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    return order[torch.searchsorted(behind, u * behind[-1], right=True).clamp_max(len(masses) - 1)]


def _check(courses: Sequence[Course]) -> None:
    if not courses:
        message = "there are no courses to train on"
        raise InputError(message)
    features = courses[0].visits[0].shape[1]
    for course in courses:
        if len(course.visits) < 2:
            message = f"the course of {course.key} has a single visit; give courses of two or more"
            raise InputError(message)
        for visit in course.visits:
            check_population(f"{course.key}'s", visit, features=features)


def _spread_within(courses: Sequence[Course]) -> float:
    """Return the standard deviation within populations, over all features; 1 where there is none."""
    variances = [visit.double().var(dim=0, unbiased=False).mean() for course in courses for visit in course.visits]
    return float(torch.stack(variances).mean().sqrt()) or 1.0
