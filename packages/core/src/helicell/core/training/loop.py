"""A light training loop, for small networks and short trainings: no folder, no checkpoints, no Lightning.

It optimises as `fit` does, with the same settings, schedule, random streams and average of the weights. Long trainings,
those on several devices, and those that must survive being killed, are for `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.training.averages import ExponentialAverage
from helicell.core.training.optimisers import adamw
from helicell.core.training.settings import OptimiserSettings


def minimise(
    objective: nn.Module,
    batches: Iterable[Any],
    settings: OptimiserSettings,
    *,
    seed: int,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train the parameters of an objective that want gradients, and leave them at their average over the steps.

    Parameters
    ----------
    objective
        A module whose call `objective(batch, generator)` returns named losses, the one to minimise under "loss".
    batches
        A stream of batches, as many as steps or endless.
    settings
        The optimisation.
    seed
        With the number of the step it determines the objective's random draws.
    report
        Called with the step and its loss.

    Returns
    -------
    list of float
        The loss of every step.

    Raises
    ------
    InputError
        If there is nothing to train.
    HelicellError
        If the loss is not finite, or the batches end early.
    """
    parameters = [p for p in objective.parameters() if p.requires_grad]
    if not parameters:
        message = "the objective has no parameters to train; give it a network that is a torch.nn.Module"
        raise InputError(message)
    optimiser = adamw(
        parameters,
        learning_rate=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        state_bits=settings.state_bits,
    )
    schedule = LambdaLR(optimiser, settings.rate_factor)
    average = ExponentialAverage(settings.average_decay)
    current, averages = [parameter.detach() for parameter in parameters], list[Tensor]()
    losses: list[float] = []
    for step, batch in zip(range(settings.steps), batches, strict=False):
        loss = objective(batch, sample_generator(seed, step, stream="train/0"))["loss"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        schedule.step()
        if step:
            average.update(averages, current, step)
        else:
            averages = [parameter.clone() for parameter in current]
        losses.append(loss.item())
        if losses[-1] != losses[-1]:
            message = f"the loss of step {step} is not a number; lower the learning rate or look at the batch"
            raise HelicellError(message)
        if report is not None:
            report(step, losses[-1])
    if len(losses) < settings.steps:
        message = f"the batches ended after {len(losses)} of {settings.steps} steps; give an endless stream"
        raise HelicellError(message)
    for parameter, mean in zip(current, averages, strict=True):
        parameter.copy_(mean)
    return losses
