"""Neal's funnel: the first coordinate sets the scale of all the others."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy


class Funnel(Energy):
    """x_0 ~ N(0, spread^2) and, given it, x_i ~ N(0, exp(x_0)); normalised, so that its log Z is zero.

    Parameters
    ----------
    dim
        Dimensions, 2 or more.
    spread
        Standard deviation of the first coordinate: 3 is the hard funnel, 1 the easy one.

    References
    ----------
    Neal, Slice sampling, Annals of Statistics 31 (2003).
    """

    log_z = 0.0

    def __init__(self, dim: int = 10, *, spread: float = 3.0) -> None:
        if dim < 2 or not spread > 0:
            message = (
                f"a funnel of dim {dim} and spread {spread} was asked for, expected dim >= 2 and a positive spread"
            )
            raise InputError(message)
        self.dim, self.spread = dim, spread
        self.variance = spread**2

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        first = x[:, 0]
        others = x[:, 1:].square().sum(dim=1)
        return self._value(first, others * (-first).exp())

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        first = x[:, 0]
        precision = (-first).exp()
        scaled = x[:, 1:].square().sum(dim=1) * precision
        gradient = x * -precision[:, None]
        gradient[:, 0] = -first / self.spread**2 - 0.5 * (self.dim - 1) + 0.5 * scaled
        return self._value(first, scaled), gradient

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        noise = torch.randn(count, self.dim, generator=generator)
        first = self.spread * noise[:, :1]
        return torch.cat((first, noise[:, 1:] * (0.5 * first).exp()), dim=1)

    def _value(self, first: Tensor, scaled: Tensor) -> Tensor:
        constant = -0.5 * self.dim * math.log(2 * math.pi) - math.log(self.spread)
        return constant - 0.5 * ((first / self.spread).square() + (self.dim - 1) * first + scaled)
