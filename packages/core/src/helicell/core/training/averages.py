"""Averages of the weights along a training."""

from __future__ import annotations

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
        seen = float(count)
        return average.lerp(current, 1 - min(self.decay, (1 + seen) / (10 + seen)))
