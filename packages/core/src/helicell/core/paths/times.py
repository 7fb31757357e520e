"""Time densities: where along the path training looks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class TimeDensity(ABC):
    """A density on [0, 1], given by its inverse distribution function."""

    @abstractmethod
    def inverse(self, u: Tensor) -> Tensor:
        """Return the times whose distribution function is u."""

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, stratified: bool = False, device: object = None
    ) -> Tensor:
        """Draw `count` times, shape [count].

        With `stratified`, one draw falls into each of `count` equally likely strata, in random order: every time still
        has this density, and averages over the batch have less variance.
        """
        u = torch.rand(count, generator=generator, device=device)  # type: ignore[call-overload]
        if stratified:
            order = torch.randperm(count, generator=generator, device=device)  # type: ignore[call-overload]
            u = (order + u) / count
        return self.inverse(u).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class UniformTimes(TimeDensity):
    """All times alike."""

    def inverse(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True, slots=True)
class BetaTimes(TimeDensity):
    """Beta(a, 1) or Beta(1, b), the two kinds with a closed inverse: a > 1 favours the data, b > 1 the source."""

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if min(self.a, self.b) <= 0 or (self.a != 1 and self.b != 1):
            from helicell.core.errors import InputError

            message = f"BetaTimes takes a > 0 with b = 1 or b > 0 with a = 1, got a = {self.a}, b = {self.b}"
            raise InputError(message)

    def inverse(self, u: Tensor) -> Tensor:
        return u ** (1 / self.a) if self.b == 1 else 1 - (1 - u) ** (1 / self.b)


@dataclass(frozen=True, slots=True)
class MixtureTimes(TimeDensity):
    """A mixture of two densities: the share `weight` of the first, the rest of the second."""

    first: TimeDensity
    second: TimeDensity
    weight: float = 0.5

    def inverse(self, u: Tensor) -> Tensor:
        # Not the inverse of the mixture's distribution function but a map of a uniform u with the right law:
        # the interval [0, weight) is stretched to feed the first density, the rest to feed the second.
        first = self.first.inverse((u / self.weight).clamp(0, 1))
        second = self.second.inverse(((u - self.weight) / (1 - self.weight)).clamp(0, 1))
        return torch.where(u < self.weight, first, second)
