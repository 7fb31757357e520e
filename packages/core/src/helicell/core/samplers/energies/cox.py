"""A log-Gaussian Cox process: the posterior of log intensities, given counts of points in the cells of a grid.

The published task takes the positions of Finnish pines, which this package does not have; the counts here are drawn
from the model itself with a fixed seed, so log Z differs from what other codes print.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy

# The prior of Moller, Syversveen and Waagepetersen (1998): variance, range in units of the square, expected points.
PRIOR_VARIANCE = 1.91
PRIOR_RANGE = 1 / 33
POINTS = 126
SEED = 1998


class CoxProcess(Energy):
    """The log reward log N(x; mu, K) + sum_i (y_i x_i - a exp(x_i)) of log intensities x on a square grid.

    Parameters
    ----------
    side
        Cells along each side; 40 for the usual 1600 dimensions.
    counts
        Points in each cell, shape [side * side]; drawn from the model unless given.

    References
    ----------
    Moller, Syversveen and Waagepetersen, Log Gaussian Cox processes, Scandinavian Journal of Statistics 25 (1998).
    """

    def __init__(self, side: int = 40, *, counts: Tensor | None = None) -> None:
        if side < 2:
            message = f"a grid of {side} cells a side was asked for, expected 2 or more"
            raise InputError(message)
        self.dim = side * side
        self.variance = PRIOR_VARIANCE
        self._area = 1 / self.dim
        self._mean = math.log(POINTS) - 0.5 * PRIOR_VARIANCE
        axis = torch.arange(side, dtype=torch.float64)
        cells = torch.cartesian_prod(axis, axis)
        covariance = PRIOR_VARIANCE * (-torch.cdist(cells, cells) / (side * PRIOR_RANGE)).exp()
        factor = torch.linalg.cholesky(covariance)
        self._precision = torch.cholesky_inverse(factor).float()
        half_log_determinant = float(factor.diagonal().log().sum())
        self._constant = -0.5 * self.dim * math.log(2 * math.pi) - half_log_determinant
        if counts is None:
            generator = torch.Generator().manual_seed(SEED)
            field = self._mean + factor @ torch.randn(self.dim, generator=generator, dtype=torch.float64)
            counts = torch.poisson(self._area * field.exp(), generator=generator)
        if counts.shape != (self.dim,):
            message = f"counts of the shape {list(counts.shape)} were given, expected one for each cell: [{self.dim}]"
            raise InputError(message)
        self.counts = counts.float()

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        return self._terms(x)[0]

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        value, pull, expected = self._terms(x)
        return value, self.counts.to(x) - expected - pull

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log reward, the precision times the offset from the mean, and the expected counts."""
        offset = x - self._mean
        pull = offset @ self._precision.to(x)
        expected = self._area * x.exp()
        value = (self.counts.to(x) * x - expected - 0.5 * offset * pull).sum(dim=1) + self._constant
        return value, pull, expected
