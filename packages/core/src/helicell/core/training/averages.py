"""Averages of the weights along a training."""

from __future__ import annotations

import torch
from torch import Tensor


class ExponentialAverage:
    """An exponential average that forgets the random start: its decay rises to `decay` with the steps.

    Parameters
    ----------
    decay
        The share of the old average that a late step keeps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        """Return the average with one more value, after `count` values."""
        return average.lerp(current, self._share(float(count)))

    def update(self, averages: list[Tensor], current: list[Tensor], count: int) -> None:
        """Bring averages up to date with one more value of each, in place and all at once."""
        torch._foreach_lerp_(averages, current, self._share(count))

    def _share(self, seen: float) -> float:
        return 1 - min(self.decay, (1 + seen) / (10 + seen))
