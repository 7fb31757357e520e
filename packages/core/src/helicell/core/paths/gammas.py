"""The coefficient gamma(t) of the noise z that an interpolant adds between its ends; gamma(0) = gamma(1) = 0.

Albergo, Boffi and Vanden-Eijnden, Stochastic interpolants, arXiv 2303.08797, table 2. Any other gamma is a `Custom`
coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.paths.coefficients import Affine, Coefficient, check_positive

NO_NOISE = Affine(0.0, 0.0)
"""gamma = 0: a deterministic path between its ends."""


@dataclass(frozen=True, slots=True)
class Brownian(Coefficient):
    """sqrt(a t (1 - t)), the spread of a Brownian bridge. Its derivative is infinite at both ends.

    Examples
    --------
    >>> gamma = Brownian(a=4.0)
    >>> ends = torch.tensor([0.0, 0.5, 1.0])
    >>> gamma.value(ends), gamma.product(ends)
    (tensor([0., 1., 0.]), tensor([ 2.,  0., -2.]))
    """

    a: float = 1.0

    def __post_init__(self) -> None:
        check_positive("the variance a of the bridge", self.a)

    def value(self, t: Tensor) -> Tensor:
        return (self.a * t * (1 - t)).sqrt()

    def derivative(self, t: Tensor) -> Tensor:
        return self.product(t) / self.value(t)

    def product(self, t: Tensor) -> Tensor:
        return 0.5 * self.a * (1 - 2 * t)


@dataclass(frozen=True, slots=True)
class Quadratic(Coefficient):
    """scale t (1 - t)."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive("the scale of gamma", self.scale)

    def value(self, t: Tensor) -> Tensor:
        return self.scale * t * (1 - t)

    def derivative(self, t: Tensor) -> Tensor:
        return self.scale * (1 - 2 * t)


@dataclass(frozen=True, slots=True)
class SineSquared(Coefficient):
    """scale sin^2(pi t)."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive("the scale of gamma", self.scale)

    def value(self, t: Tensor) -> Tensor:
        return self.scale * torch.sin(torch.pi * t) ** 2

    def derivative(self, t: Tensor) -> Tensor:
        return self.scale * torch.pi * torch.sin(2 * torch.pi * t)


@dataclass(frozen=True, slots=True)
class Steady(Coefficient):
    """The same spread at all times; the path then ends in blurred data."""

    sigma: float

    def __post_init__(self) -> None:
        check_positive("the spread sigma", self.sigma)

    def value(self, t: Tensor) -> Tensor | float:
        return self.sigma

    def derivative(self, t: Tensor) -> Tensor | float:
        return 0.0
