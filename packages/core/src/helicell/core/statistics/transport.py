"""Distances between samples by optimal transport: exact, entropic, sliced.

| function | is | memory for n points |
| --- | --- | --- |
| `wasserstein` | W_1 or W_2, exact | n^2 |
| `sinkhorn_divergence` | entropic cost, less that of each sample with itself | n |
| `sliced_wasserstein` | mean over directions of the transport in one dimension | n |

Equal numbers of points without weights are solved as the assignment problem that they are, which is several times
faster than the general solver; POT solves the rest.

Flamary and others, POT, JMLR 22 (2021); Feydy and others, Interpolating between optimal transport and MMD using
Sinkhorn divergences, arXiv 1810.08278.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import HelicellError, InputError, unknown_option
from helicell.core.statistics.samples import Samples, as_pair, row_blocks

logger = logging.getLogger(__name__)

# The largest table of costs that `wasserstein` makes: 400 MB in single precision.
MOST_PAIRS = 100_000_000
# Up to this many features the assignment starts from a quarter of the problem, which is what pays there.
FEW_FEATURES = 10
# Sinkhorn's regularisation falls by this factor; at the last, updates go further than where they lead by the other one,
# which halves the iterations (Thibault and others, Overrelaxed Sinkhorn-Knopp, arXiv 1711.01851).
ANNEALING = 0.25
OVERRELAXATION = 1.5


@cited("flamary2021pot")
def wasserstein(
    x: Samples,
    y: Samples,
    *,
    order: int = 2,
    x_weights: Samples | None = None,
    y_weights: Samples | None = None,
) -> float:
    """Return the exact Wasserstein distance W_1 or W_2 between two samples, in Euclidean distance.

    Parameters
    ----------
    x, y
        Points [samples, features].
    order
        1, or 2 for the root of the mean squared distance.
    x_weights, y_weights
        Masses of the points, shape [samples], of any positive sum; equal unless given.

    Raises
    ------
    InputError
        If the samples do not fit each other, are empty, not finite, or too large for a table of costs.

    Examples
    --------
    >>> wasserstein(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]]))
    1.0
    """
    if order not in (1, 2):
        raise unknown_option("order", order, ["1", "2"])
    first, second = as_pair(x, y)
    if len(first) * len(second) > MOST_PAIRS:
        message = (
            f"an exact distance between {len(first)} and {len(second)} points needs a table of all pairs, which is too "
            "large; take a part of them, or sinkhorn_divergence or sliced_wasserstein"
        )
        raise InputError(message)
    if x_weights is None and y_weights is None and len(first) == len(second):
        return _permuted(first, second, order)
    import ot

    masses = _masses("x_weights", x_weights, len(first)), _masses("y_weights", y_weights, len(second))
    costs = _costs(first, second, order, np.float64)
    power, log = ot.emd2(*masses, costs, numItermax=10**9, log=True)
    if log["warning"]:
        message = f"the transport problem was not solved: {log['warning']}"
        raise HelicellError(message)
    return float(power) ** (1 / order)


@cited("feydy2019interpolating")
def sinkhorn_divergence(
    x: Samples, y: Samples, *, regularisation: float, order: int = 2, tolerance: float = 1e-4, iterations: int = 1000
) -> float:
    """Return the Sinkhorn divergence OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2.

    OT is the least of the sum of plan times cost |x - y|^order, plus the regularisation times the relative entropy of
    the plan to the product of the masses. The divergence goes to W_order^order for small regularisations, and for large
    ones to half the energy distance (order 1) or the squared distance of the means (order 2); it is zero between equal
    samples. It works in the logarithmic domain and never holds more than a block of the costs.

    Parameters
    ----------
    x, y
        Points [samples, features].
    regularisation
        In the units of the cost. The square of the shortest distance that matters is a good value for order 2.
    order
        1 or 2.
    tolerance
        The iteration ends when the plan's marginals are wrong by less than this share of the mass.
    iterations
        At most so many at the final regularisation; if they do not suffice, the log says so.

    Raises
    ------
    InputError
        If the samples do not fit each other, or an option is out of range.

    Examples
    --------
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> round(sinkhorn_divergence(x, x + torch.tensor([3.0, 0.0]), regularisation=1.0), 3)
    9.0
    """
    if order not in (1, 2):
        raise unknown_option("order", order, ["1", "2"])
    if not regularisation > 0:
        message = f"the regularisation is {regularisation}, expected a positive number in the units of the cost"
        raise InputError(message)
    if iterations < 1 or not tolerance >= 0:
        message = f"there are {iterations} iterations at the tolerance {tolerance}; expected 1 or more, at 0 or more"
        raise InputError(message)
    first, second = as_pair(x, y)
    entropic = _Entropic(order, regularisation, tolerance, iterations)
    own = entropic.cost(first, first) + entropic.cost(second, second)
    return entropic.cost(first, second) - 0.5 * own


@dataclass(frozen=True, slots=True)
class _Entropic:
    """Sinkhorn's iteration with a falling regularisation, overrelaxed at the last."""

    order: int
    regularisation: float
    tolerance: float
    iterations: int

    def cost(self, x: Tensor, y: Tensor) -> float:
        """Return the entropic transport cost."""
        # The squared length of the diagonal of the box around all points bounds every squared distance.
        both = torch.cat((x, y))
        strength = float((both.amax(dim=0) - both.amin(dim=0)).square().sum()) ** (self.order / 2)
        f, g = x.new_zeros(len(x)), y.new_zeros(len(y))
        while strength > self.regularisation:
            f, g, _ = self._step(x, y, f, g, strength, 1.0)
            strength *= ANNEALING
        for _ in range(self.iterations):
            f, g, wrong = self._step(x, y, f, g, self.regularisation, OVERRELAXATION)
            if wrong < self.tolerance:
                break
        else:
            logger.warning(
                "Sinkhorn's marginals are wrong by %.1e after %d iterations; raise the regularisation or iterations",
                wrong,
                self.iterations,
            )
        # With one side fitted last the plan has the mass 1, and the error of the value is of second order.
        return float(self._soft_minimum(x, y, g, self.regularisation).mean() + g.mean())

    def _step(
        self, x: Tensor, y: Tensor, f: Tensor, g: Tensor, strength: float, relaxation: float
    ) -> tuple[Tensor, Tensor, float]:
        """Return new potentials, and the error of the plan's marginal of x that the old ones had."""
        fitted = self._soft_minimum(x, y, g, strength)
        wrong = float((1 - ((f - fitted) / strength).clamp_max(1).exp()).abs().mean())
        if x is y:
            # Between a sample and itself both potentials are one, and averaging converges at once.
            return 0.5 * (f + fitted), 0.5 * (f + fitted), wrong
        f = torch.lerp(f, fitted, relaxation)
        return f, torch.lerp(g, self._soft_minimum(y, x, f, strength), relaxation), wrong

    def _soft_minimum(self, rows: Tensor, columns: Tensor, potential: Tensor, strength: float) -> Tensor:
        """Return -strength log mean exp((potential - cost) / strength) over the columns, for each row."""
        values = [
            torch.logsumexp((potential - (block if self.order == 2 else block.sqrt())) / strength, dim=1)
            for _, block in row_blocks(rows, columns)
        ]
        return strength * (math.log(len(columns)) - torch.cat(values))


def _permuted(x: Tensor, y: Tensor, order: int) -> float:
    from helicell.core.statistics.assignment import assign

    if x.shape[1] == 1:
        columns = torch.empty(len(x), dtype=torch.int64)
        columns[x[:, 0].argsort().cpu()] = y[:, 0].argsort().cpu()
    else:
        costs = _costs(x, y, order, np.float32)
        columns = torch.from_numpy(assign(costs, coarse=x.shape[1] <= FEW_FEATURES).columns)
    # The distances of the pairs are taken anew: the table's are differences of large numbers.
    distances = (x - y[columns.to(y.device)]).norm(dim=1)
    return float((distances**order).mean()) ** (1 / order)


def _costs(x: Tensor, y: Tensor, order: int, dtype: Any) -> NDArray[Any]:
    costs = np.empty((len(x), len(y)), dtype=dtype)
    for rows, block in row_blocks(x, y):
        costs[rows] = (block if order == 2 else block.sqrt_()).cpu().numpy()
    return costs


def _masses(name: str, weights: Samples | None, count: int) -> NDArray[np.float64]:
    if weights is None:
        return np.full(count, 1 / count)
    masses = np.asarray(torch.as_tensor(weights).detach().cpu(), dtype=np.float64)
    if masses.shape != (count,) or not (np.isfinite(masses).all() and (masses >= 0).all() and masses.sum() > 0):
        message = f"{name} has the shape {list(masses.shape)}, expected {count} finite masses, none of them negative"
        raise InputError(message)
    return masses / masses.sum()
