"""Fine-tuning of a flow by the gradient of a reward through its last sampling steps.

    samples = sample_with_gradient(network, noise, 20, last_steps=5)
    loss = -reward(samples).mean()

Sampling goes without gradients to the last K steps, through which the reward's gradient is then taken to the weights.
Each of these steps keeps only its start, and is run again on the way back, so memory hardly grows with K. The gradient
of few steps is biased; drawing K anew for every batch, from 1 to `last_steps`, lets early steps have their say as well.
What is trained are low-rank adapters, which are few numbers and forget less of what the flow was; or all weights.

Prabhudesai and others, Aligning text-to-image diffusion models with reward backpropagation, arXiv 2310.03739; Clark and
others, Directly fine-tuning diffusion models on differentiable rewards, arXiv 2309.17400.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from pydantic import Field as Described
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from helicell.core.citations import cited
from helicell.core.dynamics.fields import CountedField, Field, Times, check_start, time_points
from helicell.core.dynamics.runge_kutta import TABLEAUS, RungeKutta
from helicell.core.errors import HelicellError, InputError, unknown_option
from helicell.core.runs.seeds import sample_generator
from helicell.core.runs.settings import Settings
from helicell.core.spaces import Euclidean, Point, Space
from helicell.core.spaces.space import as_tensors, like_point
from helicell.core.training.adapters import add_adapters
from helicell.core.training.optimisers import adamw

Reward = Callable[[Point], Tensor]
"""Takes samples, returns a differentiable reward for each, shape [batch]."""

Source = Callable[[int, torch.Generator], Point]
"""(count, generator) -> points to start from."""


class FinetuneSettings(Settings):
    """How a flow is fine-tuned by a reward."""

    steps: int = Described(200, ge=1, description="optimiser steps")
    batch_size: int = Described(64, ge=1, description="samples in a step")
    learning_rate: float = Described(1e-3, gt=0, description="learning rate of AdamW")
    clip: float = Described(1.0, gt=0, description="largest norm of the gradient")
    sampling_steps: int = Described(20, ge=1, description="steps from noise to sample")
    method: str = Described("euler", description="how samples are drawn: euler, midpoint, heun or rk4")
    last_steps: int = Described(10, ge=1, description="sampling steps that the gradient goes through, at most")
    random_truncation: bool = Described(default=True, description="draw the number of these steps for every batch")
    rank: int | None = Described(4, ge=1, description="rank of the adapters; null trains all weights")


@dataclass(frozen=True, slots=True)
class Finetuned:
    """A fine-tuned flow.

    Attributes
    ----------
    network
        A copy of the network, with its adapters still apart if it has them: `merge_adapters` makes them weights.
    rewards
        The mean reward of every step's samples, before the step.
    """

    network: nn.Module
    rewards: list[float]


def sample_with_gradient(
    field: Field,
    x_0: Point,
    times: Times,
    *,
    last_steps: int,
    method: str = "euler",
    space: Space | None = None,
) -> Point:
    """Follow a field, with gradients through the last steps only, each of which is run again on the way back.

    Parameters
    ----------
    field
        The velocity field.
    x_0
        The start, shape [batch, ..., dimension], or a tuple of such for a product.
    times
        As for `integrate`.
    last_steps
        How many steps the gradient goes through; all if there are fewer.
    method
        "euler", "midpoint", "heun" or "rk4".
    space
        Where the points live; flat unless given.

    Raises
    ------
    InputError
        If an option is unknown or out of range, or the batch is empty or not finite.

    Examples
    --------
    >>> speed = torch.tensor(1.0, requires_grad=True)
    >>> x = sample_with_gradient(lambda x, t: speed * torch.ones_like(x), torch.zeros(1, 1), 10, last_steps=3)
    >>> x.sum().backward()
    >>> round(x.item(), 4), round(speed.grad.item(), 4)
    (1.0, 0.3)
    """
    space = space if space is not None else Euclidean()
    if method not in TABLEAUS:
        raise unknown_option("method", method, TABLEAUS)
    if last_steps < 1:
        message = f"the gradient should go through {last_steps} steps, expected 1 or more"
        raise InputError(message)
    check_start(x_0, space)
    stepper = RungeKutta(TABLEAUS[method], CountedField(field), space)
    spans = list(pairwise(time_points(times)))
    x = x_0
    with torch.no_grad():
        for t, s in spans[:-last_steps]:
            x = stepper.step(x, t, s)

    def step(t: float, s: float, *parts: Tensor) -> tuple[Tensor, ...]:
        return as_tensors(stepper.step(like_point(parts, x_0), t, s))

    for t, s in spans[-last_steps:]:
        # Fields draw no random numbers, so there is no state of generators to bring back.
        x = like_point(
            checkpoint(step, t, s, *as_tensors(x), use_reentrant=False, preserve_rng_state=False),
            x_0,
        )
    return x


@cited("prabhudesai2023aligning", "clark2024directly")
def finetune(
    network: nn.Module,
    reward: Reward,
    source: Source,
    *,
    settings: FinetuneSettings,
    seed: int,
    space: Space | None = None,
    report: Callable[[int, float], None] | None = None,
    **adapters: Any,
) -> Finetuned:
    """Fine-tune a copy of a velocity network so that its samples have a higher reward.

    Parameters
    ----------
    network
        `network(x, t)`, with t of shape [batch]; it is left as it is.
    reward
        What samples should have more of; differentiable in them.
    source
        Draws the noise: `source(count, generator)`.
    settings
        Steps, rates, ranks.
    seed
        Of noise, truncation and adapters.
    space
        Where the points live; flat unless given.
    report
        Called with the step and the mean reward of its samples.
    **adapters
        Further options of `add_adapters`, such as `choose` and `scale`.

    Raises
    ------
    InputError
        If the reward is not one number a sample, or carries no gradient.
    HelicellError
        If the reward is not finite.
    """
    tuned = copy.deepcopy(network)
    if settings.rank is None:
        parameters = [p for p in tuned.parameters() if p.requires_grad]
    else:
        start = sample_generator(seed, 0, stream="adapters")
        parameters = add_adapters(tuned, rank=settings.rank, generator=start, **adapters)
    optimiser = adamw(parameters, learning_rate=settings.learning_rate)
    rewards: list[float] = []
    for step in range(settings.steps):
        generator = sample_generator(seed, step, stream="finetune")
        noise = source(settings.batch_size, generator)
        last = settings.last_steps
        if settings.random_truncation:
            last = int(torch.randint(1, last + 1, (), generator=generator))
        samples = sample_with_gradient(
            tuned, noise, settings.sampling_steps, last_steps=last, method=settings.method, space=space
        )
        values = _checked(reward(samples), samples, step)
        optimiser.zero_grad(set_to_none=True)
        (-values.mean()).backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        rewards.append(float(values.detach().mean()))
        if report is not None:
            report(step, rewards[-1])
    return Finetuned(tuned, rewards)


def _checked(values: Tensor, samples: Point, step: int) -> Tensor:
    count = as_tensors(samples)[0].shape[0]
    if values.shape != (count,):
        message = f"the reward has the shape {list(values.shape)}, expected [{count}], one number a sample"
        raise InputError(message)
    if not values.requires_grad:
        message = "the reward carries no gradient; compute it from the samples by differentiable operations"
        raise InputError(message)
    if not values.isfinite().all():
        message = f"the reward of step {step} is not finite; lower the learning rate or look at the reward"
        raise HelicellError(message)
    return values
