"""The mean shift of a population, by a Gaussian process over populations.

Populations are few where cells are many, so what moves all cells of a population alike is learned by a method for few
examples, and the flow learns the rest: how cells move about the mean of their population. The shift is a sum of
independent parts, each with a kernel between populations:

| part | kernel |
| --- | --- |
| what all populations share | 1 |
| treatment | c, linear in the treatments and doses of a set, so the effects of a set add up |
| cell type | y, 1 for the same type, times 1 and c |
| population | m, linear in its means and deviations, and g, Gaussian in them; times 1 and c |
| donor | 1 for the same donor, times 1 and c; explains what donors differ in for no visible reason |
| noise | of the means of so many cells, and one for each population |

How much each part explains is what makes the training shifts most probable (empirical Bayes). The donor's part belongs
to that donor and is left out of predictions.

Rasmussen and Williams, Gaussian processes for machine learning, MIT Press 2006, chapters 2 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.conditions import ConditionBatch
from helicell.cells.responses import Response

# Squared length of the Gaussian kernel, in units of the mean squared deviation of the moments.
LENGTH = 4.0
# The fit looks at so many populations; more of them say the same about five or ten variances.
MOST_FITTED = 400
ITERATIONS = 100
# Logarithms of the variances (the shifts are scaled to one): where they start, and how gently they are held there.
START, NOISE_START, HOLD = -1.0, -2.0, 0.05
LEAST = 1e-6


class ShiftRegression(nn.Module):
    """Predicts the mean shift of a population.

    Parameters
    ----------
    populations
        Number of training populations.
    features
        Of a cell.
    moments
        How many of a population's moments are looked at; none with 0.
    condition_features
        Of the encoded sets of treatments.
    cell_types
        Known cell types.
    """

    def __init__(
        self, populations: int, *, features: int, moments: int, condition_features: int, cell_types: int
    ) -> None:
        super().__init__()
        self.looked_at = moments
        self.parts = [*PARTS] if moments else [part for part in PARTS if not {"m", "g"} & set(part)]
        self.moments: Tensor
        self.centre: Tensor
        self.deviation: Tensor
        self.conditions: Tensor
        self.cell_types: Tensor
        self.variances: Tensor
        self.weights: Tensor
        self.register_buffer("moments", torch.zeros(populations, moments))
        self.register_buffer("centre", torch.zeros(moments))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("conditions", torch.zeros(populations, condition_features))
        self.register_buffer("cell_types", torch.zeros(populations, cell_types))
        self.register_buffer("variances", torch.zeros(len(self.parts)))
        self.register_buffer("weights", torch.zeros(populations, features))

    @torch.no_grad()
    def fit(
        self, responses: Sequence[Response], moments: Float[Tensor, "populations all"], conditions: ConditionBatch
    ) -> None:
        """Fit the shifts of the training populations."""
        self.centre.copy_(moments[:, : self.looked_at].mean(dim=0))
        near = moments[:, : self.looked_at] - self.centre
        self.deviation.copy_(near.square().mean().sqrt().clamp_min(LEAST) if near.numel() else near.new_ones(()))
        self.moments.copy_(near / self.deviation)
        self.conditions.copy_(summed(conditions))
        self.cell_types.copy_(conditions.cell_types)
        shifts = mean_shifts(responses).double()
        scale = shifts.square().mean().sqrt().clamp_min(LEAST)
        kernels = self._kernels(self.moments, self.conditions, self.cell_types).double()
        donors = _same_donor([response.key.donor for response in responses])
        extra = torch.stack((donors, donors * self._condition_kernel(self.conditions).double()))
        noise = _mean_noise(responses) / scale**2
        variances = _most_probable(torch.cat((kernels, extra)), noise, shifts / scale)
        covariance = _covariance(torch.cat((kernels, extra)), noise, variances)
        self.variances.copy_(variances[: len(self.parts)])
        self.weights.copy_(torch.linalg.solve(covariance, shifts))

    def forward(
        self, moments: Float[Tensor, "new all"], conditions: ConditionBatch, *, average: bool = False
    ) -> Float[Tensor, "new features"]:
        """Return the mean shifts of populations; with `average` as if under the average of all trained treatments."""
        near = (moments[:, : self.looked_at] - self.centre) / self.deviation
        sets = self.conditions.mean(dim=0).expand(len(moments), -1) if average else summed(conditions)
        kernels = self._kernels(near, sets, conditions.cell_types)
        return torch.einsum("k,knp,pd->nd", self.variances, kernels, self.weights)

    def _kernels(self, moments: Tensor, conditions: Tensor, cell_types: Tensor) -> Tensor:
        """Return the kernel of each part between populations and the training populations."""
        one = self.weights.new_ones(len(conditions), len(self.conditions))
        count = max(moments.shape[1], 1)
        factors = {
            "1": one,
            "c": self._condition_kernel(conditions),
            "y": cell_types @ self.cell_types.T,
            "m": moments @ self.moments.T / count,
            "g": torch.exp(torch.cdist(moments, self.moments).square() / (-2 * LENGTH * count)) if count else one,
        }
        return torch.stack([torch.stack([factors[factor] for factor in part]).prod(dim=0) for part in self.parts])

    def _condition_kernel(self, conditions: Tensor) -> Tensor:
        return conditions @ self.conditions.T / self.conditions.square().sum(dim=1).mean().clamp_min(LEAST)


# The parts, each a product of factors.
PARTS = ("1", "c", "y", "cy", "m", "cm", "g", "cg")


def summed(conditions: ConditionBatch) -> Float[Tensor, "populations condition_features"]:
    """Return one vector for each set of treatments: the sum of what describes each, by itself and times its dose."""
    described, dose = conditions.treatments[..., :-2], conditions.treatments[..., -1:]
    each = torch.cat((described, described * dose), dim=2) * conditions.given[..., None]
    return each.sum(dim=1)


def mean_shifts(responses: Sequence[Response]) -> Float[Tensor, "populations features"]:
    """Return the difference of the means of treated and control cells of each population."""
    return torch.stack([response.treated.mean(dim=0) - response.control.mean(dim=0) for response in responses])


def _mean_noise(responses: Sequence[Response]) -> Tensor:
    """Return the variance of each population's shift that comes from its number of cells."""
    variances = [
        sum(cells.double().var(dim=0, unbiased=False).mean() / len(cells) for cells in (r.control, r.treated))
        for r in responses
    ]
    return torch.stack(variances)  # type: ignore[arg-type]


def _same_donor(donors: Sequence[str]) -> Tensor:
    return torch.tensor([[float(a == b) for b in donors] for a in donors], dtype=torch.float64)


def _covariance(kernels: Tensor, noise: Tensor, variances: Tensor) -> Tensor:
    total = torch.einsum("k,kab->ab", variances[:-1], kernels)
    return total + torch.diag(noise + variances[-1] + LEAST)


def _most_probable(kernels: Tensor, noise: Tensor, shifts: Tensor) -> Tensor:
    """Return the variances of the parts, and of the noise, under which the shifts are most probable."""
    rows = torch.linspace(0, len(shifts) - 1, min(len(shifts), MOST_FITTED)).long()
    kernels, noise, shifts = kernels[:, rows][:, :, rows], noise[rows], shifts[rows]
    start = torch.full((len(kernels) + 1,), START, dtype=torch.float64)
    start[-1] = NOISE_START
    logs = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([logs], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimiser.zero_grad()
        with torch.enable_grad():
            root = torch.linalg.cholesky(_covariance(kernels, noise, logs.exp()))
            explained = (shifts * torch.cholesky_solve(shifts, root)).sum() / 2
            value = explained + shifts.shape[1] * root.diagonal().log().sum() + HOLD * (logs - start).square().sum()
            value.backward()
        return value

    optimiser.step(loss)
    return logs.detach().exp()
