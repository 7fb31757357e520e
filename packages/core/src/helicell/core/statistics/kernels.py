"""Distances between samples that are means over pairs: maximum mean discrepancy and energy distance.

With a kernel k,  MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),
and with k = -|.|,  energy distance = 2 E |x - y| - E |x - x'| - E |y - y'|.

The biased estimate takes all pairs within a sample and is never negative; the unbiased one leaves out the pairs of a
point with itself, and is about zero, also below it, where both samples have one distribution.

Gretton and others, A kernel two-sample test, JMLR 13 (2012) 723-773, lemma 6; Szekely and Rizzo, Energy statistics,
J. Stat. Plan. Inference 143 (2013) 1249-1272.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import InputError
from helicell.core.statistics.samples import Samples, as_pair, mean_over_own_pairs, mean_over_pairs, row_blocks

Kernel = Callable[[Tensor], Tensor]
"""A kernel as a function of squared distances."""

# The median distance is taken among so many points of each sample, evenly chosen.
MEDIAN_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Gaussian:
    """k = exp(-r^2 / (2 bandwidth^2))."""

    bandwidth: float

    def __post_init__(self) -> None:
        _check_bandwidth(self.bandwidth)

    def __call__(self, squared: Tensor) -> Tensor:
        return torch.exp(squared / (-2 * self.bandwidth**2))


@dataclass(frozen=True, slots=True)
class Laplace:
    """k = exp(-r / bandwidth)."""

    bandwidth: float

    def __post_init__(self) -> None:
        _check_bandwidth(self.bandwidth)

    def __call__(self, squared: Tensor) -> Tensor:
        return torch.exp(squared.sqrt() / -self.bandwidth)


@dataclass(frozen=True, slots=True)
class RationalQuadratic:
    """k = (1 + r^2 / (2 exponent bandwidth^2))^-exponent: a mixture of Gaussian kernels of all widths."""

    bandwidth: float
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _check_bandwidth(self.bandwidth)
        if not self.exponent > 0:
            message = f"the exponent of the kernel is {self.exponent:g}, expected a positive number"
            raise InputError(message)

    def __call__(self, squared: Tensor) -> Tensor:
        return (1 + squared / (2 * self.exponent * self.bandwidth**2)) ** -self.exponent


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of several kernels, say Gaussian ones of several bandwidths."""

    kernels: Sequence[Kernel]

    def __post_init__(self) -> None:
        if not self.kernels:
            message = "a mean of no kernels was asked for; give one kernel or more"
            raise InputError(message)

    def __call__(self, squared: Tensor) -> Tensor:
        return torch.stack([kernel(squared) for kernel in self.kernels]).mean(dim=0)


@cited("gretton2012kernel")
def squared_mmd(x: Samples, y: Samples, *, kernel: Kernel, unbiased: bool = True) -> float:
    """Return the squared maximum mean discrepancy.

    Parameters
    ----------
    x, y
        Points [samples, features].
    kernel
        For example ``Gaussian(median_distance(x, y))``.
    unbiased
        Leave out the pairs of a point with itself.

    Raises
    ------
    InputError
        If the samples do not fit each other, are empty or not finite.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> squared_mmd(x, x, kernel=Gaussian(1.0), unbiased=False)
    0.0
    """
    first, second = as_pair(x, y)
    within = sum(mean_over_own_pairs(kernel, sample, distinct=unbiased) for sample in (first, second))
    return within - 2 * mean_over_pairs(kernel, first, second)


@cited("szekely2013energy")
def energy_distance(x: Samples, y: Samples, *, unbiased: bool = False) -> float:
    """Return the Euclidean energy distance 2 E|x - y| - E|x - x'| - E|y - y'|.

    The parameters and errors are those of `squared_mmd`.

    Examples
    --------
    >>> energy_distance(torch.zeros(3, 1), torch.ones(3, 1))
    2.0
    """
    first, second = as_pair(x, y)
    within = sum(mean_over_own_pairs(torch.sqrt, sample, distinct=unbiased) for sample in (first, second))
    return 2 * mean_over_pairs(torch.sqrt, first, second) - within


def median_distance(x: Samples, y: Samples) -> float:
    """Return the median distance between different points of both samples together: a usual choice of bandwidth.

    It is taken among at most 1,000 points of each sample, evenly chosen in their order.

    Raises
    ------
    InputError
        If the samples do not fit each other, or all points are one.

    Examples
    --------
    >>> round(median_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])), 6)
    2.0
    """
    chosen = torch.cat([sample[:: -(-len(sample) // MEDIAN_POINTS)] for sample in as_pair(x, y)])
    distances = []
    for rows, block in row_blocks(chosen, chosen):
        later = torch.arange(len(chosen), device=block.device) > torch.arange(rows.start, rows.stop)[:, None].to(
            block.device
        )
        distances.append(block[later].sqrt())
    median = float(torch.cat(distances).quantile(0.5, interpolation="higher")) if len(chosen) > 1 else 0.0
    _check_bandwidth(median)
    return median


def _check_bandwidth(bandwidth: float) -> None:
    if not bandwidth > 0:
        message = f"the bandwidth of the kernel is {bandwidth:g}, expected a positive length"
        raise InputError(message)
