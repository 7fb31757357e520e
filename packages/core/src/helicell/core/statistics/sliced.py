"""The sliced Wasserstein distance, with Gaussian control variates.

SW_p^p is the mean over directions theta, uniform on the sphere, of W_p^p between the samples projected on theta, which
is solved by sorting. A finite number of directions gives an unbiased estimate of it; control variates take away much of
its variance. They are the two parts of W_2^2 between Gaussians fitted to the projections, whose means over all
directions are known:

    lower   (theta . (m_1 - m_2))^2                      mean |m_1 - m_2|^2 / d
    upper   lower + theta^T (Sigma_1 + Sigma_2) theta    mean (|m_1 - m_2|^2 + tr Sigma_1 + tr Sigma_2) / d

with the samples' means m and covariances Sigma. Their coefficients are fitted to the directions; each half of them
takes the coefficients of the other half, so that the estimate stays unbiased.

Nguyen and Ho, Sliced Wasserstein estimation with control variates, arXiv 2305.00402.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import InputError, unknown_option
from helicell.core.statistics.samples import PAIRS, Samples, as_pair

CONTROLS = ("none", "lower", "upper", "both")
# Two coefficients cannot be fitted to fewer directions than half of these.
FEWEST_DIRECTIONS = 8


@dataclass(frozen=True, slots=True)
class SlicedEstimate:
    """An estimate of SW_p^p.

    Attributes
    ----------
    power
        The estimate.
    standard_error
        Of the estimate, from the spread over directions.
    order
        p.
    """

    power: float
    standard_error: float
    order: int

    @property
    def distance(self) -> float:
        """SW_p, the root of the estimate."""
        return max(self.power, 0.0) ** (1 / self.order)


@cited("nguyen2024sliced")
def sliced_wasserstein(
    x: Samples,
    y: Samples,
    *,
    directions: int = 500,
    order: int = 2,
    control: str | None = None,
    generator: torch.Generator | None = None,
) -> SlicedEstimate:
    """Estimate the sliced Wasserstein distance.

    Parameters
    ----------
    x, y
        Points [samples, features]; their numbers may differ.
    directions
        How many random directions.
    order
        p, 1 or 2.
    control
        "none", "lower", "upper" or "both" control variates; both for order 2 unless given, none for order 1.
    generator
        Of the directions.

    Raises
    ------
    InputError
        If the samples do not fit each other, there are too few directions, or control variates are asked for order 1.

    Examples
    --------
    >>> x = torch.zeros(4, 3)
    >>> estimate = sliced_wasserstein(x, x + 1, generator=torch.Generator().manual_seed(0))
    >>> round(estimate.power, 6), round(estimate.standard_error, 6)
    (1.0, 0.0)
    """
    if order not in (1, 2):
        raise unknown_option("order", order, ["1", "2"])
    control = control if control is not None else ("both" if order == 2 else "none")
    if control not in CONTROLS:
        raise unknown_option("control", control, CONTROLS)
    if order == 1 and control != "none":
        message = "the control variates are those of order 2; take control='none', or order=2"
        raise InputError(message)
    if directions < FEWEST_DIRECTIONS:
        message = f"the number of directions is {directions}, expected {FEWEST_DIRECTIONS} or more"
        raise InputError(message)
    first, second = as_pair(x, y)
    device = None if generator is None else generator.device
    theta = torch.randn(directions, first.shape[1], generator=generator, dtype=first.dtype, device=device)
    theta = torch.nn.functional.normalize(theta, dim=1).to(first.device)
    block = max(PAIRS // (len(first) + len(second)), 1)
    parts = [_projected(first @ some.T, second @ some.T, order) for some in theta.split(block)]
    powers, means, spreads = (torch.cat(part) for part in zip(*parts, strict=True))
    if control != "none":
        powers = _controlled(powers, means, spreads, first, second, control)
    return SlicedEstimate(float(powers.mean()), float(powers.std() / len(powers) ** 0.5), order)


def _projected(x: Tensor, y: Tensor, order: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return W_p^p, the squared difference of the means and the sum of the variances for each column."""
    means = (x.mean(dim=0) - y.mean(dim=0)).square()
    spreads = x.var(dim=0, correction=0) + y.var(dim=0, correction=0)
    x, y = x.sort(dim=0).values, y.sort(dim=0).values
    if len(x) == len(y):
        return (x - y).abs().pow(order).mean(dim=0), means, spreads
    # Both quantile functions are constant between these levels.
    levels = torch.cat([torch.arange(1, len(z) + 1, device=x.device, dtype=x.dtype) / len(z) for z in (x, y)]).unique()
    widths = levels.diff(prepend=levels.new_zeros(1))
    middle = levels - widths / 2
    rows = [(middle * len(z)).long().clamp_max(len(z) - 1) for z in (x, y)]
    return (widths[:, None] * (x[rows[0]] - y[rows[1]]).abs().pow(order)).sum(dim=0), means, spreads


def _controlled(powers: Tensor, means: Tensor, spreads: Tensor, x: Tensor, y: Tensor, control: str) -> Tensor:
    """Return the values less the fitted control variates, which have mean zero over all directions."""
    features = x.shape[1]
    lower = means - float((x.mean(dim=0) - y.mean(dim=0)).square().sum()) / features
    trace = float(x.var(dim=0, correction=0).sum() + y.var(dim=0, correction=0).sum())
    upper = lower + spreads - trace / features
    variates = torch.stack({"lower": [lower], "upper": [upper], "both": [lower, upper]}[control], dim=1)
    half = len(powers) // 2
    halves = slice(None, half), slice(half, None)
    controlled = torch.empty_like(powers)
    for own, other in (halves, halves[::-1]):
        offsets = variates[other] - variates[other].mean(dim=0)
        # By the pseudoinverse, since the variates may be multiples of each other.
        moments = torch.linalg.pinv(offsets.T @ offsets, hermitian=True)
        coefficients = moments @ (offsets.T @ (powers[other] - powers[other].mean()))
        controlled[own] = powers[own] - variates[own] @ coefficients
    return controlled
