"""Mixtures of Gaussians with equal weights and one variance: the usual first test of a sampler."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy


class GaussianMixture(Energy):
    """A normalised mixture of Gaussians, so that its log Z is zero.

    Parameters
    ----------
    means
        Centres of the components [components, dim].
    scale
        Standard deviation of every component in every direction.

    Examples
    --------
    >>> mixture = GaussianMixture(torch.tensor([[-1.0], [1.0]]), scale=0.5)
    >>> value, gradient = mixture.value_and_gradient(torch.zeros(1, 1))
    >>> round(float(value), 4), float(gradient)
    (-2.2258, 0.0)
    """

    log_z = 0.0

    def __init__(self, means: Float[Tensor, "components dim"], *, scale: float) -> None:
        if means.ndim != 2 or not scale > 0:
            message = (
                f"means of the shape {list(means.shape)} and scale {scale} given, "
                "expected means [components, dim] and a positive scale"
            )
            raise InputError(message)
        self.means, self.scale = means, scale
        self.dim = means.shape[1]
        self.modes, self.mode_radius = means, 4 * scale
        # The reference covers the means and their spread, and a quarter more.
        self.variance = float(1.25 * (means.square().mean() + scale**2))
        self._half_norms = 0.5 * means.square().sum(dim=1) / scale**2
        self._constant = -0.5 * self.dim * math.log(2 * math.pi * scale**2) - math.log(len(means))

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        return self._logits(x).logsumexp(dim=1) - x.square().sum(dim=1) / (2 * self.scale**2) + self._constant

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        logits = self._logits(x)
        top = logits.amax(dim=1, keepdim=True)
        shares = (logits - top).exp_()
        total = shares.sum(dim=1, keepdim=True)
        value = (total.log() + top).squeeze(1) - x.square().sum(dim=1) / (2 * self.scale**2) + self._constant
        return value, ((shares @ self.means.to(x)) / total - x) / self.scale**2

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        chosen = torch.randint(len(self.means), (count,), generator=generator)
        noise = torch.randn(count, self.dim, generator=generator, dtype=self.means.dtype)
        return self.means[chosen] + self.scale * noise

    def _logits(self, x: Tensor) -> Tensor:
        """The exponents of the components, less the part that they share."""
        return torch.addmm(-self._half_norms.to(x), x, self.means.to(x).T, alpha=1 / self.scale**2)


def grid_mixture(per_side: int, *, spacing: float = 5.0, variance: float = 0.3) -> GaussianMixture:
    """Return the mixture on a square grid around zero: 3 for nine modes, 5 for twenty-five, in the plane.

    References
    ----------
    Sendera and others, arXiv 2402.05098: means at multiples of 5, covariance 0.3.
    """
    axis = spacing * (torch.arange(per_side) - (per_side - 1) / 2)
    return GaussianMixture(torch.cartesian_prod(axis, axis), scale=variance**0.5)
