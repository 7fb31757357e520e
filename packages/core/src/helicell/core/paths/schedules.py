"""Schedules: which fraction kappa(t) of the way from x_0 to x_1 is behind us at time t; kappa(0) = 0, kappa(1) = 1.

A schedule also tells a sampler how far to go. While x moves along kappa, the way still to go shrinks from 1 - kappa(t)
to 1 - kappa(s), so the step from t to s covers the fraction (kappa(s) - kappa(t)) / (1 - kappa(t)) of what is left.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.errors import InputError


class Schedule(ABC):
    """A monotone schedule kappa, given by what is left, 1 - kappa(t), which stays exact near t = 1."""

    @abstractmethod
    def remaining(self, t: Tensor) -> Tensor:
        """Return 1 - kappa(t)."""

    @abstractmethod
    def derivative(self, t: Tensor) -> Tensor:
        """Return d kappa / d t."""

    def value(self, t: Tensor) -> Tensor:
        """Return kappa(t)."""
        return 1 - self.remaining(t)

    def rate(self, t: Tensor) -> Tensor:
        """Return kappa' / (1 - kappa): the speed at time t is this rate times the distance that is left."""
        return self.derivative(t) / self.remaining(t)

    def fraction(self, t: Tensor, s: Tensor) -> Tensor:
        """Return the fraction, in [0, 1], of what is left at t that the step from t to s covers."""
        return 1 - self.remaining(s) / self.remaining(t)


@dataclass(frozen=True, slots=True)
class Linear(Schedule):
    """kappa(t) = t."""

    def remaining(self, t: Tensor) -> Tensor:
        return 1 - t

    def derivative(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@dataclass(frozen=True, slots=True)
class Power(Schedule):
    """kappa(t) = 1 - (1 - t)^exponent: ahead of the linear schedule for exponents above 1.

    The exponent may be a tensor that broadcasts against the times, say one exponent per example.
    """

    exponent: float | Tensor = 2.0

    def __post_init__(self) -> None:
        if not torch.all(torch.as_tensor(self.exponent) > 0):
            message = f"the exponent of Power is {self.exponent}, expected above 0"
            raise InputError(message)

    def remaining(self, t: Tensor) -> Tensor:
        return (1 - t) ** self.exponent

    def derivative(self, t: Tensor) -> Tensor:
        return self.exponent * (1 - t) ** (self.exponent - 1)


@dataclass(frozen=True, slots=True)
class Exponential(Schedule):
    """kappa(t) = (1 - exp(-rate t)) / (1 - exp(-rate)): approaches the data exponentially and reaches it at t = 1."""

    rate_constant: float = 10.0

    def __post_init__(self) -> None:
        if not self.rate_constant or not math.isfinite(self.rate_constant):
            message = (
                f"the rate of Exponential is {self.rate_constant}, expected a number other than 0; for 0 take Linear"
            )
            raise InputError(message)

    def remaining(self, t: Tensor) -> Tensor:
        # (e^{-rt} - e^{-r}) / (1 - e^{-r}), written with expm1 so that nothing cancels near t = 1.
        rate = self.rate_constant
        return torch.exp(-rate * t) * torch.expm1(-rate * (1 - t)) / math.expm1(-rate)

    def derivative(self, t: Tensor) -> Tensor:
        rate = self.rate_constant
        return rate * torch.exp(-rate * t) / -math.expm1(-rate)
