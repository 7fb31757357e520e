"""Settings of an optimisation, whatever is learned."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.runs.settings import Settings


class OptimiserSettings(Settings):
    """AdamW with warm-up, a long constant stretch and a final decay, and an average of the weights."""

    steps: int = Field(10_000, ge=1, description="optimiser steps in all")
    learning_rate: float = Field(1e-3, gt=0, description="learning rate after the warm-up")
    warm_up: int = Field(300, ge=0, description="steps over which the learning rate rises from zero")
    decay_share: float = Field(
        0.3, ge=0, le=1, description="last share of the steps, over which the rate falls to zero"
    )
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay of all matrices")
    betas: tuple[float, float] = Field((0.9, 0.99), description="decay of AdamW's first and second moment")
    state_bits: Literal[32, 8] = Field(
        32, description="bits of a number of AdamW's states; 8 need bitsandbytes and a GPU"
    )
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the exponential average of the weights")

    def rate_factor(self, step: int) -> float:
        """Return the learning rate at a step as a share of `learning_rate`.

        Examples
        --------
        >>> settings = OptimiserSettings(steps=100, warm_up=10, decay_share=0.5)
        >>> [settings.rate_factor(step) for step in (4, 30, 75)]
        [0.5, 1.0, 0.5]
        """
        decay_steps = self.decay_share * self.steps
        warm = (step + 1) / max(self.warm_up, 1)
        left = (self.steps - step) / max(decay_steps, 1)
        return max(min(1.0, warm, left), 0.0)
