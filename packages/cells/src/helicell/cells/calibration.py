"""How much of the flow to follow for donors that were never seen.

From few donors a flow also learns what is theirs alone. What of it carries over is asked of donors that are held out:
they are dealt into folds, a flow is trained without each fold, and its velocity v is held against the velocities u of
the coupled cells of that fold. The share

    s = sum <v, u> / sum <v, v>,    at most 1 and at least 0,

is the part of v that makes the squared error on unseen donors least, the slope of calibration. Cells then go this share
of their ways. Shifts of means are left out of both v and u: the regression of `shifts` has its own evidence.

Copas, Regression, prediction and shrinkage, Journal of the Royal Statistical Society B 45 (1983) 311-354.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from helicell.cells.batches import PopulationBatch, PopulationBatches
from helicell.cells.encoders.moments import MomentsEncoder
from helicell.cells.network import PopulationNetwork
from helicell.cells.objective import PopulationObjective
from helicell.core.runs.seeds import sample_generator
from helicell.core.training.loop import minimise
from helicell.core.training.settings import OptimiserSettings

if TYPE_CHECKING:
    from helicell.cells.flow import PopulationFlow

logger = logging.getLogger(__name__)

# How often every held-out population is looked at, each time with other cells at other times.
LOOKS = 4


def folds_of(model: PopulationFlow) -> list[set[str]]:
    """Return the donors of each fold; none where the flow is followed all the way without asking."""
    settings, donors = model.settings.calibration, sorted({key.donor for key in model.trained_on})
    if settings.kind == "none" or model.network.shift is None or not 2 <= len(donors) <= settings.donors:
        return []
    folds = min(settings.folds, len(donors))
    return [set(donors[start::folds]) for start in range(folds)]


def fold_steps(model: PopulationFlow) -> int:
    """Return the steps of training of a fold."""
    return max(round(model.settings.calibration.steps * model.settings.optimiser.steps), 1)


def calibrate(
    model: PopulationFlow, batches: PopulationBatches, *, seed: int, report: Callable[[int, float], None] | None = None
) -> None:
    """Set the share of the flow that a model follows.

    Parameters
    ----------
    model
        The model, trained or yet to be trained.
    batches
        Its training batches; see `PopulationFlow.prepare`.
    seed
        Of weights, order and draws.
    report
        Called with the number of each step of a fold's training and its loss.
    """
    donors = [response.key.donor for response in batches.responses]
    folds = folds_of(model)
    explained = squared = 0.0
    for fold in folds:
        kept = [number for number, donor in enumerate(donors) if donor not in fold]
        unseen = [number for number, donor in enumerate(donors) if donor in fold]
        objective = _trained_without(model, batches.among(kept), seed=seed, report=report)
        for batch in _looks(batches.among(unseen)):
            one, other = _agreement(objective, batch.to(model.device), seed)
            explained, squared = explained + one, squared + other
    if squared > 0:
        model.network.share.fill_(min(max(explained / squared, 0.0), 1.0))
        logger.info("%.0f %% of the flow carry over to donors that are held out", 100 * model.share)


def _trained_without(
    model: PopulationFlow, batches: PopulationBatches, *, seed: int, report: Callable[[int, float], None] | None
) -> PopulationObjective:
    """Return the objective of a network that was trained on some populations, as the model is on all."""
    network = PopulationNetwork.like(model.network, conditions=model.conditions, seed=seed).to(model.device)
    if isinstance(network.encoder, MomentsEncoder):
        network.encoder.fit_scale(torch.stack([reference.moments for reference in batches.references]))
    objective = PopulationObjective(network).train()
    steps, whole = fold_steps(model), model.settings.optimiser
    optimiser = OptimiserSettings.from_mapping(
        {**whole.to_mapping(), "steps": steps, "warm_up": min(whole.warm_up, steps)}
    )
    minimise(objective, _on(batches, model.device), optimiser, seed=seed, report=report)
    return objective.eval()


def _on(batches: Iterable[PopulationBatch], device: torch.device) -> Iterator[PopulationBatch]:
    return (batch.to(device) for batch in batches)


def _looks(batches: PopulationBatches) -> Iterator[PopulationBatch]:
    """Yield batches in which each population is as often, told apart by nothing but its cells."""
    batches.references = [replace(reference, index=-1) for reference in batches.references]
    count = -(-LOOKS * len(batches.responses) // batches.populations)
    return (batches.batch(number) for number in range(count))


@torch.no_grad()
def _agreement(objective: PopulationObjective, batch: PopulationBatch, seed: int) -> tuple[float, float]:
    """Return the sums of <v, u> and <v, v>, but for what all cells of a population do alike."""
    generator = sample_generator(seed, 0, stream="calibration")
    predicted, target = objective.velocities(batch, generator)
    own = predicted - predicted.mean(dim=1, keepdim=True)
    return float((own * target).double().sum()), float(own.double().square().sum())
