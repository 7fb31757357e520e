"""The kernel of the published maximum mean discrepancy between populations: a mean of six Gaussian ones.

k(x, y) = mean over gamma in {2, 1, 0.5, 0.1, 0.01, 0.005} of exp(-gamma |x - y|^2), and the squared discrepancy is
mean k(x, x') + mean k(y, y') - 2 mean k(x, y) with all pairs counted, also those of a cell with itself. So it is never
negative, not zero between two samples of one distribution, and depends on the unit of the features.

Atanackovic and others, Meta flow matching, arXiv 2408.14608; Bunne and others, Learning single-cell perturbation
responses using neural optimal transport, Nature Methods 20 (2023) 1759-1768.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.statistics.samples import mean_over_pairs

GAMMAS = (2.0, 1.0, 0.5, 0.1, 0.01, 0.005)


def published_kernel(squared: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
    """Return the kernel as a function of squared distances.

    Examples
    --------
    >>> published_kernel(torch.zeros(2)).tolist()
    [1.0, 1.0]
    """
    # Half of the gammas are powers of the others, and multiplying is faster than exponentials.
    half, tenth, smallest = (torch.exp(-gamma * squared) for gamma in (0.5, 0.1, 0.005))
    one = half * half
    return (one * one + one + half + tenth + smallest * smallest + smallest) / len(GAMMAS)


def mean_kernel(x: Float[Tensor, "first features"], y: Float[Tensor, "second features"]) -> float:
    """Return the mean kernel over all pairs of two samples."""
    centre = y.mean(dim=0)
    return mean_over_pairs(published_kernel, x - centre, y - centre)


@cited("atanackovic2024meta", "bunne2023learning")
def published_mmd(x: Float[Tensor, "first features"], y: Float[Tensor, "second features"]) -> float:
    """Return the squared discrepancy as it is published.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> published_mmd(x, x)
    0.0
    """
    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
