"""The shared clock: projections that are exact for mixtures, and trust that grows with what was seen."""

from __future__ import annotations

import pytest
import torch

from helicell.cells.responses import PopulationKey
from helicell.cells.timecourse import Course, SharedClock


def mixing(share: float, *, donor: str = "A", times: tuple[float, ...] = (0.0, 1.0, 2.0), seed: int = 0) -> Course:
    """Return a course whose middle visit is a mixture of the first and the last."""
    generator = torch.Generator().manual_seed(seed)
    first, last = torch.zeros(2), torch.tensor([3.0, 0.0])

    def drawn(late: float) -> torch.Tensor:
        chosen = (torch.rand(1000, 1, generator=generator) < late).float()
        return torch.randn(1000, 2, generator=generator) + (1 - chosen) * first + chosen * last

    return Course(PopulationKey(donor, "all"), times, (drawn(0.0), drawn(share), drawn(1.0)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_projection_of_a_mixture_is_its_share(share: float) -> None:
    """In the Hilbert space whose squared distance is the energy distance, a mixture lies on the line: an oracle."""
    (seen,) = SharedClock.fit([mixing(share)]).observed
    assert seen.share == pytest.approx(share, abs=0.04)


def test_courses_outweigh_the_steady_pace_as_they_become_many() -> None:
    """Without courses the pace is steady; with n alike, the steady pace is worth two of n + 2."""
    assert SharedClock().share(0.0, 0.5, 2.0) == pytest.approx(0.25)
    seen = SharedClock.fit([mixing(0.9)]).observed[0]
    for count in (1, 8):
        clock = SharedClock((seen,) * count)
        assert clock.share(0.0, 1.0, 2.0) == pytest.approx((count * seen.share + 2 * 0.5) / (count + 2))


def test_visits_at_other_times_say_nothing() -> None:
    """What happened long after the interval asked for does not count."""
    late = SharedClock.fit([mixing(0.9, times=(50.0, 51.0, 52.0))])
    assert late.share(0.0, 1.0, 2.0) == pytest.approx(0.5)


def test_a_course_that_stands_still() -> None:
    """Three visits of one population show no way along which anything could have come, and are left out."""
    visit = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    course = Course(PopulationKey("A", "all"), (0.0, 1.0, 2.0), (visit, visit, visit))
    assert SharedClock.fit([course]).observed == ()
