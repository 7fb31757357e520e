"""Coefficients of interpolants: scalar functions of time, each with its derivative.

The product of a coefficient and its derivative is a method of its own, because it stays finite where the derivative
does not: for gamma(t) = sqrt(t (1 - t)) it is (1 - 2t) / 2 also at the ends.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.schedules import Schedule

TimeFunction = Callable[[Tensor], Tensor]
"""A differentiable function of times, elementwise."""


class Coefficient(ABC):
    """A function of time. Times are tensors of any shape in [0, 1]; constant values and slopes may be plain numbers."""

    @abstractmethod
    def value(self, t: Tensor) -> Tensor | float:
        """Return the value at the times t."""

    @abstractmethod
    def derivative(self, t: Tensor) -> Tensor | float:
        """Return the derivative with respect to time."""

    def product(self, t: Tensor) -> Tensor | float:
        """Return value times derivative, finite wherever the square of the function is smooth."""
        return self.value(t) * self.derivative(t)


@dataclass(frozen=True, slots=True)
class Affine(Coefficient):
    """intercept + slope t."""

    intercept: float
    slope: float

    def value(self, t: Tensor) -> Tensor | float:
        if not self.slope:
            return self.intercept
        # The two slopes that nearly all paths have take one operation, or none.
        if self.slope == -1:
            return self.intercept - t
        scaled = t if self.slope == 1 else self.slope * t
        return self.intercept + scaled if self.intercept else scaled

    def derivative(self, t: Tensor) -> Tensor | float:
        return self.slope


@dataclass(frozen=True, slots=True)
class QuarterCosine(Coefficient):
    """cos(pi t / 2): from 1 to 0."""

    def value(self, t: Tensor) -> Tensor:
        # As a sine of what is left, so that it is zero, and not a rounding error, at t = 1.
        return torch.sin(0.5 * torch.pi * (1 - t))

    def derivative(self, t: Tensor) -> Tensor:
        return -0.5 * torch.pi * torch.sin(0.5 * torch.pi * t)


@dataclass(frozen=True, slots=True)
class QuarterSine(Coefficient):
    """sin(pi t / 2): from 0 to 1."""

    def value(self, t: Tensor) -> Tensor:
        return torch.sin(0.5 * torch.pi * t)

    def derivative(self, t: Tensor) -> Tensor:
        return 0.5 * torch.pi * torch.sin(0.5 * torch.pi * (1 - t))


@dataclass(frozen=True, slots=True)
class CosineHalf(Coefficient):
    """cos^2(pi t) on one half of the time, the first or the second, and 0 on the other."""

    first: bool

    def value(self, t: Tensor) -> Tensor:
        return torch.where(self._active(t), torch.cos(torch.pi * t) ** 2, 0)

    def derivative(self, t: Tensor) -> Tensor:
        return torch.where(self._active(t), -torch.pi * torch.sin(2 * torch.pi * t), 0)

    def _active(self, t: Tensor) -> Tensor:
        return t < 0.5 if self.first else t > 0.5


@dataclass(frozen=True, slots=True)
class Damped(Coefficient):
    """sqrt(1 - gamma^2) times a coefficient: makes room for the variance of gamma z."""

    inner: Coefficient
    gamma: Coefficient

    def value(self, t: Tensor) -> Tensor | float:
        return self._room(t) * self.inner.value(t)

    def derivative(self, t: Tensor) -> Tensor | float:
        room = self._room(t)
        return room * self.inner.derivative(t) - self.gamma.product(t) / room * self.inner.value(t)

    def _room(self, t: Tensor) -> Tensor:
        return (1 - torch.as_tensor(self.gamma.value(t), dtype=t.dtype, device=t.device) ** 2).sqrt()


@dataclass(frozen=True, slots=True)
class Scheduled(Coefficient):
    """kappa(t) of a schedule, or with `remaining` what is left, 1 - kappa(t)."""

    schedule: Schedule
    remaining: bool = False

    def value(self, t: Tensor) -> Tensor:
        return self.schedule.remaining(t) if self.remaining else self.schedule.value(t)

    def derivative(self, t: Tensor) -> Tensor:
        slope = self.schedule.derivative(t)
        return -slope if self.remaining else slope


@dataclass(frozen=True, slots=True)
class DiffusionSignal(Coefficient):
    """The signal of the variance-preserving diffusion, exp(-s^2 (high - low) / 4 - s low / 2) with s = 1 - t."""

    low: float = 0.1
    high: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            message = f"the noise rates are low = {self.low} and high = {self.high}; expected 0 < low <= high"
            raise InputError(message)

    def value(self, t: Tensor) -> Tensor:
        return torch.exp(self.exponent(t))

    def derivative(self, t: Tensor) -> Tensor:
        return self.value(t) * self.slope(t)

    def exponent(self, t: Tensor) -> Tensor:
        """Return the logarithm of the value."""
        left = 1 - t
        return -0.25 * left * left * (self.high - self.low) - 0.5 * left * self.low

    def slope(self, t: Tensor) -> Tensor:
        """Return the derivative of the logarithm."""
        return 0.5 * (1 - t) * (self.high - self.low) + 0.5 * self.low


@dataclass(frozen=True, slots=True)
class DiffusionNoise(Coefficient):
    """The noise of the variance-preserving diffusion, sqrt(1 - signal^2)."""

    signal: DiffusionSignal

    def value(self, t: Tensor) -> Tensor:
        # 1 - exp(x) by expm1, which keeps its digits near the data, where the noise is small.
        return (-torch.expm1(2 * self.signal.exponent(t))).sqrt()

    def derivative(self, t: Tensor) -> Tensor:
        return self.product(t) / self.value(t)

    def product(self, t: Tensor) -> Tensor:
        value = self.signal.value(t)
        return -value * value * self.signal.slope(t)


@dataclass(frozen=True, slots=True)
class Custom(Coefficient):
    """A user's function of time, differentiated automatically.

    Parameters
    ----------
    function
        Made of differentiable torch operations, elementwise in the times.
    square
        The square of the function, where it is smooth although the function is not, as for sqrt(t (1 - t)). It makes
        the product with the derivative finite at the ends.
    """

    function: TimeFunction
    square: TimeFunction | None = None

    def value(self, t: Tensor) -> Tensor:
        return self.function(t)

    def derivative(self, t: Tensor) -> Tensor:
        return derivative(self.function, t)

    def product(self, t: Tensor) -> Tensor:
        if self.square is None:
            return self.value(t) * self.derivative(t)
        return 0.5 * derivative(self.square, t)


@dataclass(frozen=True, slots=True, eq=False)
class Tabulated(Coefficient):
    """A cubic through values and slopes at equally spaced times from 0 to 1.

    Parameters
    ----------
    values, slopes
        Float64, shape [nodes], two nodes or more.
    """

    values: Tensor
    slopes: Tensor

    def __post_init__(self) -> None:
        if self.values.shape != self.slopes.shape or self.values.ndim != 1 or len(self.values) < 2:
            message = (
                f"values {list(self.values.shape)} and slopes {list(self.slopes.shape)} must have one shape [nodes], "
                "nodes >= 2"
            )
            raise InputError(message)

    def value(self, t: Tensor) -> Tensor:
        h, s, low, high, low_slope, high_slope = self._cell(t)
        rise = high - low - h * low_slope
        bend = h * (high_slope - low_slope) - 2 * rise
        return (low + s * (h * low_slope + s * (rise + (s - 1) * bend))).to(t.dtype)

    def derivative(self, t: Tensor) -> Tensor:
        h, s, low, high, low_slope, high_slope = self._cell(t)
        rise = high - low - h * low_slope
        bend = h * (high_slope - low_slope) - 2 * rise
        return (low_slope + (2 * s * rise + (3 * s * s - 2 * s) * bend) / h).to(t.dtype)

    def _cell(self, t: Tensor) -> tuple[float, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the width of a cell, the place in it (0 to 1), and values and slopes at its ends."""
        cells = len(self.values) - 1
        values, slopes = self.values.to(t.device), self.slopes.to(t.device)
        scaled = t.double() * cells
        left = scaled.floor().clamp(0, cells - 1).long()
        place = scaled - left
        return 1 / cells, place, values[left], values[left + 1], slopes[left], slopes[left + 1]


def as_coefficient(function: Coefficient | TimeFunction) -> Coefficient:
    """Return a coefficient as it is, and a plain function of time as one that is differentiated automatically."""
    return function if isinstance(function, Coefficient) else Custom(function)


def derivative(function: TimeFunction, t: Tensor) -> Tensor:
    """Return the derivative of a function that acts on each time by itself.

    Examples
    --------
    >>> derivative(lambda t: t**3, torch.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    return torch.func.jvp(function, (t,), (torch.ones_like(t),))[1]


def check_positive(name: str, value: float) -> None:
    """Raise an error unless a parameter is a positive number."""
    if not (math.isfinite(value) and value > 0):
        message = f"{name} is {value}, expected a positive number"
        raise InputError(message)
