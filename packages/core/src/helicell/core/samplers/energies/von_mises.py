"""Mixtures of von Mises distributions: the first test of a sampler of angles."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy
from helicell.core.spaces.torus import wrapped

COMPONENTS, CONCENTRATION, SEED = 5, 12.0, 1918


class VonMisesMixture(Energy):
    """A normalised mixture of products of von Mises distributions, so that its log Z is zero.

    Parameters
    ----------
    means
        Centres of the components [components, dim], in radian.
    concentration
        kappa: for large values 1 / kappa is the variance of every angle.
    weights
        Shares of the components [components]; equal unless given.

    Examples
    --------
    >>> mixture = VonMisesMixture(torch.tensor([[0.0], [3.0]]), concentration=5.0)
    >>> angles = torch.linspace(-torch.pi, torch.pi, 1001)[:-1, None]
    >>> round(float(mixture.log_reward(angles).exp().mean() * 2 * torch.pi), 4)
    1.0
    """

    log_z = 0.0
    periodic = True
    variance = 3.0

    def __init__(
        self,
        means: Float[Tensor, "components dim"],
        *,
        concentration: float,
        weights: Float[Tensor, " components"] | None = None,
    ) -> None:
        if means.ndim != 2 or not concentration > 0:
            message = (
                f"means of the shape {list(means.shape)} and concentration {concentration} given, "
                "expected means [components, dim] and a positive concentration"
            )
            raise InputError(message)
        self.means, self.concentration = means, concentration
        self.weights = torch.full((len(means),), 1 / len(means)) if weights is None else weights / weights.sum()
        self.dim = means.shape[1]
        self.modes, self.mode_radius = means, 4 / math.sqrt(concentration)
        # log I_0(kappa), of which i0e has the exponential taken out.
        bessel = float(torch.special.i0e(torch.tensor(concentration, dtype=torch.float64)).log()) + concentration
        self._constant = -self.dim * (math.log(2 * math.pi) + bessel)

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        return self._logits(x).logsumexp(dim=1) + self._constant

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        logits = self._logits(x)
        shares, means = logits.softmax(dim=1), self.means.to(x)
        # sin(mu - x) = sin mu cos x - cos mu sin x.
        gradient = (shares @ means.sin()) * x.cos() - (shares @ means.cos()) * x.sin()
        return logits.logsumexp(dim=1) + self._constant, self.concentration * gradient

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        noise = np.random.default_rng(seed).vonmises(0.0, self.concentration, (count, self.dim))
        return wrapped(self.means[chosen] + torch.from_numpy(noise).to(self.means))

    def _logits(self, x: Tensor) -> Tensor:
        means = self.means.to(x)
        aligned = x.cos() @ means.cos().T + x.sin() @ means.sin().T
        return self.concentration * aligned + self.weights.to(x).log()


def spread_mixture(dim: int) -> VonMisesMixture:
    """Return five components of unequal weights at centres drawn with a fixed seed."""
    generator = torch.Generator().manual_seed(SEED)
    means = 2 * math.pi * torch.rand(COMPONENTS, dim, generator=generator) - math.pi
    return VonMisesMixture(means, concentration=CONCENTRATION, weights=torch.arange(1.0, COMPONENTS + 1))
