"""Time densities: where along the path training looks.

Every density is given by its inverse distribution function, so that a batch can be stratified, and so that a draw costs
a few operations on a tensor, never a search.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from helicell.core.errors import InputError

# Cells of the tables of densities without a closed inverse.
CELLS = 4096
# Whole numbers below this one are exact in single precision.
EXACT = 1 << 24


class TimeDensity(ABC):
    """A density on [0, 1], given by its inverse distribution function."""

    @abstractmethod
    def inverse(self, u: Tensor) -> Tensor:
        """Return the times whose distribution function is u."""

    def sample(
        self,
        count: int,
        *,
        generator: torch.Generator | None = None,
        stratified: bool = False,
        margin: float = 0.0,
        device: object = None,
    ) -> Tensor:
        """Draw times.

        Parameters
        ----------
        count
            How many.
        generator
            Of the draws; it must live on the device.
        stratified
            Let one draw fall into each of `count` equally likely strata, in random order: every time still has this
            density, and averages over the batch have less variance.
        margin
            Keep this far from 0 and 1, where the velocities of some paths are infinite.
        device
            Where the times are drawn.

        Returns
        -------
        Tensor
            Single precision, shape [count].

        Raises
        ------
        InputError
            If there is nothing to draw, or the margin leaves no room.
        """
        if count < 1 or not 0 <= margin < 0.5:
            message = f"{count} times were asked for at a margin of {margin:g}; expected 1 or more, at 0 to below 0.5"
            raise InputError(message)
        u = torch.rand(count, generator=generator, device=device)  # type: ignore[call-overload]
        if stratified:
            # In single precision from the start, which saves a conversion.
            dtype = torch.float32 if count < EXACT else torch.int64
            order = torch.randperm(count, generator=generator, device=device, dtype=dtype)  # type: ignore[call-overload]
            u = u.add_(order).div_(count)
        return self.inverse(u).clamp(margin, 1 - margin)


@dataclass(frozen=True, slots=True)
class UniformTimes(TimeDensity):
    """All times alike."""

    def inverse(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True, slots=True)
class BetaTimes(TimeDensity):
    """Beta(a, b): a > 1 shuns the source, b > 1 the data.

    Beta(a, 1) and Beta(1, b) have closed inverses; the others are tabulated at the first draw, with errors of the
    distribution function around 1e-7.
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if not min(self.a, self.b) > 0:
            message = f"BetaTimes takes a > 0 and b > 0, got a = {self.a}, b = {self.b}"
            raise InputError(message)

    def inverse(self, u: Tensor) -> Tensor:
        if self.b == 1:
            return u ** (1 / self.a)
        if self.a == 1:
            return 1 - (1 - u) ** (1 / self.b)
        # The table is even in v with u = sin^2(pi v / 2), which resolves both ends.
        table = _beta_table(self.a, self.b).to(u.device)
        place = torch.asin(u.double().sqrt()) * (2 / torch.pi * CELLS)
        left = place.floor().clamp(0, CELLS - 1).long()
        return torch.lerp(table[left], table[left + 1], place - left).to(u.dtype)


@dataclass(frozen=True, slots=True)
class LogitNormalTimes(TimeDensity):
    """The logistic function of a normal variable: a bump, towards the data for mean > 0.

    References
    ----------
    Esser and others, arXiv 2403.03206, section 3.1.
    """

    mean: float = 0.0
    scale: float = 1.0
    citations = ("esser2024scaling",)

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf or not math.isfinite(self.mean):
            message = (
                f"LogitNormalTimes takes a finite mean and a positive scale, got mean = {self.mean}, "
                f"scale = {self.scale}"
            )
            raise InputError(message)

    def inverse(self, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.scale * torch.special.ndtri(u))


@dataclass(frozen=True, slots=True)
class UShapedTimes(TimeDensity):
    """The density proportional to e^(a t) + e^(a (1 - t)), which looks at both ends; for rectified flows a = 4.

    Its distribution function is 1/2 + sinh(a (t - 1/2)) / (2 sinh(a / 2)), whose inverse is closed.

    References
    ----------
    Lee, Lin and Fanti, Improving the training of rectified flows, arXiv 2405.20320, section 4.1.

    Examples
    --------
    >>> UShapedTimes().inverse(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    tensor([0.0000, 0.1608, 0.5000, 1.0000])
    """

    a: float = 4.0
    citations = ("lee2024improving",)

    def __post_init__(self) -> None:
        if not self.a > 0:
            message = f"the steepness a of UShapedTimes is {self.a}, expected a positive number"
            raise InputError(message)

    def inverse(self, u: Tensor) -> Tensor:
        return 0.5 + torch.asinh(math.sinh(0.5 * self.a) * (2 * u - 1)) / self.a


@dataclass(frozen=True, slots=True, eq=False)
class CustomTimes(TimeDensity):
    """Any density, given by a function that is proportional to it.

    It is tabulated, and drawn exactly from the straight lines between the table's points.

    Parameters
    ----------
    density
        Non-negative and finite on [0, 1]; takes a tensor of times.
    """

    density: Callable[[Tensor], Tensor]
    _table: tuple[Tensor, Tensor] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        heights = self.density(torch.linspace(0, 1, CELLS + 1, dtype=torch.float64))
        if (
            heights.shape != (CELLS + 1,)
            or not heights.isfinite().all()
            or (heights < 0).any()
            or not heights.sum() > 0
        ):
            message = "the density of CustomTimes must be finite, non-negative and somewhere positive on [0, 1]"
            raise InputError(message)
        masses = 0.5 * (heights[1:] + heights[:-1])
        behind = torch.cat((masses.new_zeros(1), masses.cumsum(0)))
        object.__setattr__(self, "_table", (heights / behind[-1], behind / behind[-1]))

    def inverse(self, u: Tensor) -> Tensor:
        heights, behind = (table.to(u.device) for table in self._table)
        wanted = u.double()
        cell = (torch.searchsorted(behind, wanted, right=True) - 1).clamp(0, CELLS - 1)
        low, slope, mass = heights[cell], heights[cell + 1] - heights[cell], wanted - behind[cell]
        # The root of low s + slope s^2 / 2 = mass in the form that does not cancel.
        root = (low * low + 2 * slope * mass).clamp_min(0).sqrt()
        place = (2 * mass / (low + root).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0, 1)
        return ((cell + place) / CELLS).to(u.dtype)


@dataclass(frozen=True, slots=True)
class MixtureTimes(TimeDensity):
    """A mixture of two densities: the share `weight` of the first, the rest of the second."""

    first: TimeDensity
    second: TimeDensity
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            message = f"the weight of the first density is {self.weight}, expected within 0 and 1"
            raise InputError(message)

    def inverse(self, u: Tensor) -> Tensor:
        # Not the inverse of the mixture's distribution function but a map of a uniform u with the right law:
        # the interval [0, weight) is stretched to feed the first density, the rest to feed the second.
        first = self.first.inverse((u / self.weight).clamp(0, 1))
        second = self.second.inverse(((u - self.weight) / (1 - self.weight)).clamp(0, 1))
        return torch.where(u < self.weight, first, second)


@cache
def _beta_table(a: float, b: float) -> Tensor:
    """Return the inverse of the incomplete beta function at sin^2(pi v / 2) for equally spaced v."""
    import numpy as np
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(a, b, np.sin(0.5 * np.pi * np.linspace(0, 1, CELLS + 1)) ** 2))
