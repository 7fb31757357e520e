"""How a predicted population differs from the treated one: every measure, by name.

Distances look at whole populations, scores at what changed. All of them take the real control cells, the predicted and
the treated ones; what a treatment changed is always judged against the real controls, never against predicted ones.

The published "r2" of correlations is `correlation`: it is Pearson's correlation, not its square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.evaluation.kernel import published_mmd
from helicell.core.errors import unknown_option
from helicell.core.statistics.kernels import energy_distance
from helicell.core.statistics.sliced import sliced_wasserstein
from helicell.core.statistics.transport import sinkhorn_divergence, wasserstein

Cells = Float[Tensor, "_ features"]

# The regularisation of Sinkhorn's divergence, as a share of the mean squared distance between two treated cells.
SINKHORN_SHARE = 0.05
# Sinkhorn's iterations end when the plan's marginals are wrong by so much of the mass; the value is then good to 1e-3.
SINKHORN_TOLERANCE = 1e-3
SLICED_DIRECTIONS = 200
# The most differential features that are compared; at most a quarter of all, or chance would find most of them.
TOP_FEATURES = 50
TOP_SHARE = 0.25
# A spread below this share of the largest one is a feature that does not vary.
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to compare populations.

    Attributes
    ----------
    name
        In tables and files.
    label
        For readers.
    kind
        "distance", of which less is better and which shrinks with the number of cells, or "score", of which 1 is best.
    function
        Of predicted and treated cells.
    of_changes
        Whether the function takes the control cells first.
    exponent
        The power of the number of cells as which the distance between two samples of one population falls, where it is
        the same for all populations.
    """

    name: str
    label: str
    kind: Literal["distance", "score"]
    function: Callable[..., float]
    of_changes: bool = False
    exponent: float | None = None

    def __call__(
        self,
        control: Float[Tensor, "controls features"],
        predicted: Float[Tensor, "predictions features"],
        treated: Float[Tensor, "treated features"],
    ) -> float:
        """Return the measure; not a number where it is not defined, as for correlations of constants."""
        samples = (control, predicted, treated) if self.of_changes else (predicted, treated)
        return self.function(*samples)


def _mmd(predicted: Cells, treated: Cells) -> float:
    return published_mmd(predicted.double(), treated.double())


def _sinkhorn(predicted: Cells, treated: Cells) -> float:
    # Of two independent cells the mean squared distance is twice the sum of the variances.
    scale = 2 * float(treated.double().var(dim=0, correction=0).sum())
    if not scale > 0:
        return float("nan")
    return sinkhorn_divergence(predicted, treated, regularisation=SINKHORN_SHARE * scale, tolerance=SINKHORN_TOLERANCE)


def _sliced(predicted: Cells, treated: Cells) -> float:
    generator = torch.Generator().manual_seed(0)
    return sliced_wasserstein(predicted, treated, directions=SLICED_DIRECTIONS, generator=generator).distance


def _mean_error(predicted: Cells, treated: Cells) -> float:
    return float((_mean(predicted) - _mean(treated)).norm())


def _variance_error(predicted: Cells, treated: Cells) -> float:
    return float((_variance(predicted) - _variance(treated)).norm())


def _correlation(predicted: Cells, treated: Cells) -> float:
    varying = _varying(predicted) & _varying(treated)
    if int(varying.sum()) < 3:
        return float("nan")  # two features have one correlation, which has nothing to be correlated with
    above = torch.triu_indices(int(varying.sum()), int(varying.sum()), offset=1)
    entries = [torch.corrcoef(cells[:, varying].double().T)[above[0], above[1]] for cells in (predicted, treated)]
    return _pearson(*entries)


def _pearson_delta(control: Cells, predicted: Cells, treated: Cells) -> float:
    return _pearson(_mean(predicted) - _mean(control), _mean(treated) - _mean(control))


def _top_overlap(control: Cells, predicted: Cells, treated: Cells) -> float:
    guessed, true = _effects(control, predicted, treated)
    if not guessed.any():
        return float("nan")
    return len(set(_top(guessed).tolist()) & set(_top(true).tolist())) / len(_top(true))


def _top_direction(control: Cells, predicted: Cells, treated: Cells) -> float:
    guessed, true = _effects(control, predicted, treated)
    if not guessed.any():
        return float("nan")
    top = _top(true)
    return float((guessed[top].sign() == true[top].sign()).double().mean())


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("w1", "W₁", "distance", partial(wasserstein, order=1)),
        Measure("w2", "W₂", "distance", partial(wasserstein, order=2)),
        Measure("mmd", "MMD (six kernels)", "distance", _mmd, exponent=-1.0),
        Measure("energy", "Energy distance", "distance", energy_distance, exponent=-1.0),
        Measure("sinkhorn", "Sinkhorn divergence", "distance", _sinkhorn),
        Measure("sliced_w2", "Sliced W₂", "distance", _sliced),
        Measure("mean_error", "Error of the means", "distance", _mean_error, exponent=-0.5),
        Measure("variance_error", "Error of the variances", "distance", _variance_error, exponent=-0.5),
        Measure("correlation", "Correlation structure", "score", _correlation),
        Measure("pearson_delta", "Pearson delta", "score", _pearson_delta, of_changes=True),
        Measure("top_overlap", "Overlap of top features", "score", _top_overlap, of_changes=True),
        Measure("top_direction", "Direction of top features", "score", _top_direction, of_changes=True),
    )
}
# Scores of single features, which mean something only where the coordinates are features, not components.
FEATURE_SCORES = ("correlation", "pearson_delta", "top_overlap", "top_direction")


def find_measure(name: str) -> Measure:
    """Return a measure by its name.

    Raises
    ------
    InputError
        If there is none; the message lists those that exist.
    """
    if name not in MEASURES:
        raise unknown_option("measure", name, MEASURES)
    return MEASURES[name]


def _mean(cells: Cells) -> Float[Tensor, " features"]:
    return cells.double().mean(dim=0)


def _variance(cells: Cells) -> Float[Tensor, " features"]:
    return cells.double().var(dim=0, correction=0)


def _varying(cells: Cells) -> Tensor:
    spread = _variance(cells).sqrt()
    return spread > LEAST_SPREAD * spread.max()


def _effects(control: Cells, predicted: Cells, treated: Cells) -> tuple[Tensor, Tensor]:
    """Return predicted and true standardised changes; both are divided by the spread of the real cells."""
    spread = ((_variance(control) + _variance(treated)) / 2).sqrt()
    spread = torch.where(spread > LEAST_SPREAD * spread.max(), spread, torch.inf)
    return tuple((_mean(cells) - _mean(control)) / spread for cells in (predicted, treated))  # type: ignore[return-value]


def _top(effects: Float[Tensor, " features"]) -> Tensor:
    """Return the features that change most; of equals, the first."""
    count = min(TOP_FEATURES, max(1, int(TOP_SHARE * len(effects))))
    return effects.abs().argsort(descending=True, stable=True)[:count]


def _pearson(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    x, y = x - x.mean(), y - y.mean()
    product = float(x.norm() * y.norm())
    return float(x @ y) / product if product > 0 else float("nan")
