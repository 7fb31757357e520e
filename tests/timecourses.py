"""Time courses with known motion."""

from __future__ import annotations

import torch

from helicell.cells.responses import PopulationKey
from helicell.cells.timecourse import Course

TIMES = (0.0, 2.0, 4.0, 6.0)
DRIFT = (1.0, -0.5)


def drifting(donor: str, *, seed: int, cells: int = 200) -> Course:
    """Return a course of a Gaussian population that moves with the velocity `DRIFT`; cells of visits are different."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(2, generator=generator)
    visits = tuple(
        0.5 * torch.randn(cells, 2, generator=generator) + start + time * torch.tensor(DRIFT) for time in TIMES
    )
    return Course(PopulationKey(donor, "all"), TIMES, visits)
