"""Many wells: independent pairs, each of a double well and a Gaussian, with 2^(dim / 2) modes in all."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy

# Beyond this the double well's density is below 1e-60 of its top.
LIMIT = 4.0
CELLS = 1 << 16


class ManyWell(Energy):
    """The product over pairs (a, b) of exp(-a^4 + 6 a^2 + a / 2 - b^2 / 2).

    Parameters
    ----------
    dim
        Dimensions, even.

    Examples
    --------
    >>> round(ManyWell(32).log_z, 6)
    164.695675

    References
    ----------
    Noé and others, Boltzmann generators, Science 365 (2019); Midgley and others, arXiv 2208.01893.
    """

    def __init__(self, dim: int = 32) -> None:
        if dim < 2 or dim % 2:
            message = f"many wells of dim {dim} were asked for, expected an even number of 2 or more"
            raise InputError(message)
        self.dim = dim
        self.variance = 2.0
        density = np.exp(_well_exponent(_edges()))
        mass = np.trapezoid(density, _edges())
        self.log_z = 0.5 * dim * (math.log(mass) + 0.5 * math.log(2 * math.pi))

    @property
    def right_share(self) -> float:
        """The probability of the right well in each pair, about 0.8443."""
        middle = 0.5 * (_edges()[1:] + _edges()[:-1])
        return float(np.diff(_distribution())[middle > 0].sum())

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        pairs = x.unflatten(1, (-1, 2))
        well, other = pairs[..., 0], pairs[..., 1]
        squares = well.square()
        return (squares * (6 - squares) + 0.5 * well - 0.5 * other.square()).sum(dim=1)

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        gradient = -x
        well = x[:, ::2]
        squares = well.square()
        gradient[:, ::2] = well * (12 - 4 * squares) + 0.5
        value = (squares * (6 - squares) + 0.5 * well).sum(dim=1) - 0.5 * x[:, 1::2].square().sum(dim=1)
        return value, gradient

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        uniform = torch.rand(count, self.dim // 2, generator=generator, dtype=torch.float64).numpy()
        well = torch.from_numpy(np.interp(uniform, _distribution(), _edges()))
        other = torch.randn(count, self.dim // 2, generator=generator, dtype=torch.float64)
        return torch.stack((well, other), dim=2).flatten(1).to(torch.get_default_dtype())


def _well_exponent(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return -(x**4) + 6 * x**2 + x / 2


@cache
def _edges() -> NDArray[np.float64]:
    return np.linspace(-LIMIT, LIMIT, CELLS + 1)


@cache
def _distribution() -> NDArray[np.float64]:
    """The double well's distribution function at the edges of fine cells."""
    density = np.exp(_well_exponent(_edges()))
    summed = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    return summed / summed[-1]
