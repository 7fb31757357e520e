"""The shared clock: how far populations have come at a time between two visits, as other courses show it.

Between two visits a straight line assumes a steady pace. Courses of other donors that were observed in between say
better: how far population b has come from a to c is its projection on the way from a to c, by the law of cosines

    s = (D_ab + D_ac - D_bc) / (2 D_ac),

for any D that is a squared distance in a Hilbert space, such as the energy distance between populations (Szekely and
Rizzo, J. Stat. Plan. Inference 143 (2013) 1249-1272). Projections of courses with visits at about these times are
averaged, and the steady pace counts as two courses more, so that few courses do not say much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from helicell.cells.timecourse.courses import Course
from helicell.core.statistics.kernels import energy_distance

# A course counts by how near its three visits are to the times asked for, in units of this share of the interval.
NEARNESS = 0.25
# How many courses the steady pace is worth.
STEADY = 2.0
# Cells of a visit that are compared.
COMPARED = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """Three visits of a course, one after the other, and how far the middle one has come."""

    before: float
    time: float
    after: float
    share: float


@dataclass(frozen=True, slots=True)
class SharedClock:
    """How far courses have come between visits; made by `fit`.

    Attributes
    ----------
    observed
        What the courses show.
    """

    observed: tuple[Progress, ...] = ()

    @classmethod
    def fit(cls, courses: Sequence[Course]) -> SharedClock:
        """Look at all visits of courses that have a neighbour on both sides."""
        return cls(tuple(progress for course in courses for progress in _progress(course)))

    def share(self, before: float, time: float, after: float) -> float:
        """Return how far a course has come at a time between two visits, from 0 to 1.

        Examples
        --------
        >>> SharedClock().share(0.0, 2.0, 8.0)
        0.25
        """
        width = NEARNESS * (after - before)
        total, weight = STEADY * (time - before) / (after - before), STEADY
        for seen in self.observed:
            squared = (seen.before - before) ** 2 + (seen.time - time) ** 2 + (seen.after - after) ** 2
            nearness = math.exp(-squared / (2 * width**2))
            total, weight = total + nearness * seen.share, weight + nearness
        return total / weight


def _progress(course: Course) -> list[Progress]:
    visits = [visit[:: -(-len(visit) // COMPARED)] for visit in course.visits]
    steps = [energy_distance(a, b, unbiased=True) for a, b in pairwise(visits)]
    found = []
    for middle in range(1, len(visits) - 1):
        whole = energy_distance(visits[middle - 1], visits[middle + 1], unbiased=True)
        if whole <= 0:
            continue  # the populations at both ends are one, so that there is no way between them
        share = (steps[middle - 1] + whole - steps[middle]) / (2 * whole)
        before, time, after = course.times[middle - 1 : middle + 2]
        found.append(Progress(before, time, after, min(max(share, 0.0), 1.0)))
    return found
