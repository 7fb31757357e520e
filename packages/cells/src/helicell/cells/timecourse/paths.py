"""Paths of single cells through the visits of a course, from which a flow through time is learned.

A path starts at a cell of some visit and is continued to the visits before and after by the conditionals of their
plans (`bridges.Link`). Between two visits it is a straight line, or all visits lie on one natural cubic spline: the
multi-marginal path. At a share s between visits k and k + 1, a part 1 - s of the paths starts at k and a part s at
k + 1, so that at every visit the paths are that visit's population, whatever mass was gained or lost on the way.

Splines through all visits are the multi-marginal flow matching of Rohbeck and others, Modeling complex system dynamics
with flow matching across time and conditions, ICLR 2025; the masses are those of `bridges`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helicell.cells.timecourse.bridges import Link, even_rows, growth_rate
from helicell.cells.timecourse.courses import Course
from helicell.cells.timecourse.settings import TimeFlowSettings
from helicell.core.runs.seeds import sample_generator


@dataclass(frozen=True, slots=True)
class PathPoints:
    """Where cells are at one time, where they go, and how their mass changes.

    Attributes
    ----------
    x, velocity
        Positions, and their change per unit of time.
    growth
        Change of the logarithm of the mass per unit of time.
    """

    x: Float[Tensor, "cells features"]
    velocity: Float[Tensor, "cells features"]
    growth: Float[Tensor, " cells"]


@dataclass(frozen=True, slots=True)
class CoursePaths:
    """The visits of a course at times in [0, 1] and the plans between neighbours; made by `of`."""

    times: tuple[float, ...]
    visits: tuple[Float[Tensor, "cells features"], ...]
    links: tuple[Link, ...]
    spline: bool

    @classmethod
    def of(cls, course: Course, times: tuple[float, ...], settings: TimeFlowSettings, *, seed: int) -> CoursePaths:
        """Couple the neighbouring visits of a course, whose times are given in [0, 1]."""
        visits = []
        for number, visit in enumerate(course.visits):
            generator = sample_generator(seed, number, stream=f"pool of {course.key}")
            visits.append(visit[torch.randperm(len(visit), generator=generator)[: settings.pool]])
        weight = settings.marginal_weight if settings.coupling == "unbalanced" else None
        links = tuple(
            Link.between(a, b, regularisation=settings.regularisation, marginal_weight=weight)
            for a, b in pairwise(visits)
        )
        return cls(times, tuple(visits), links, settings.path == "spline" and len(visits) > 2)

    def at(self, time: float, cells: int, *, generator: torch.Generator) -> PathPoints:
        """Draw cells at a time within the course."""
        before = max(number for number, other in enumerate(self.times[:-1]) if other <= time)
        length = self.times[before + 1] - self.times[before]
        share = (time - self.times[before]) / length
        later = int(share * cells + float(torch.rand((), generator=generator)))  # right on average, whatever is drawn
        first = self._rows(before, cells - later, generator, start=before)
        last = self._rows(before, later, generator, start=before + 1)
        rows = {visit: torch.cat([first[visit], last[visit]]) for visit in first}
        ratio = self.links[before].ratio(rows[before], rows[before + 1])
        growth = growth_rate(ratio, torch.tensor(share)) / length
        if self.spline:
            x, velocity = self._spline(rows, time)
        else:
            ends = [self.visits[visit][rows[visit]] for visit in (before, before + 1)]
            x, velocity = torch.lerp(ends[0], ends[1], share), (ends[1] - ends[0]) / length
        return PathPoints(x, velocity, growth)

    def _rows(
        self, before: int, cells: int, generator: torch.Generator, *, start: int
    ) -> dict[int, Int[Tensor, " cells"]]:
        """Draw paths that start at a visit, as rows of the visits that matter: the neighbours, or all of them."""
        low, high = (0, len(self.visits) - 1) if self.spline else (before, before + 1)
        rows = {start: even_rows(len(self.visits[start]), cells, generator)}
        for visit in range(start + 1, high + 1):
            rows[visit] = self.links[visit - 1].forward(rows[visit - 1], generator=generator)
        for visit in range(start - 1, low - 1, -1):
            rows[visit] = self.links[visit].backward(rows[visit + 1], generator=generator)
        return rows

    def _spline(self, rows: dict[int, Tensor], time: float) -> tuple[Tensor, Tensor]:
        from scipy.interpolate import CubicSpline

        knots = torch.stack([self.visits[visit][rows[visit]] for visit in range(len(self.visits))])
        spline = CubicSpline(self.times, knots.double().numpy(), bc_type="natural")
        x, velocity = spline(time), spline(time, 1)
        return torch.from_numpy(x).to(knots.dtype), torch.from_numpy(velocity).to(knots.dtype)
