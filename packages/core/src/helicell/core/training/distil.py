"""Distillation of a rectified flow into one step.

A straight flow goes from x_0 to exp_{x_0}(v(x_0, 0)). Its network is trained on its pairs at time 0 alone, until that
one step lands where the whole flow did. A flow that is still bent must first be rectified: where trajectories bend, one
step from x_0 is a harder function than the velocity that was learned.

Liu, Gong and Liu, Flow straight and fast, arXiv 2209.03003, section 2.2.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from helicell.core.citations import cited
from helicell.core.dynamics.fields import batch_times, check_start, check_velocity
from helicell.core.errors import InputError
from helicell.core.paths.checks import check_shapes
from helicell.core.spaces import Euclidean, Point, Space
from helicell.core.spaces.space import as_tensors, like_point
from helicell.core.training.batches import FlowBatch
from helicell.core.training.loop import minimise
from helicell.core.training.objectives import Loss, PseudoHuber
from helicell.core.training.rectify import FlowPairs, PairBatches
from helicell.core.training.settings import OptimiserSettings


def one_step(
    network: Callable[..., Point], x_0: Point, *, space: Space | None = None, condition: Tensor | None = None
) -> Point:
    """Return the samples that one step from x_0 reaches.

    Raises
    ------
    InputError
        If the batch is empty or not finite, or the network returns other shapes than it was given.

    Examples
    --------
    >>> one_step(lambda x, t: torch.ones_like(x), torch.zeros(1, 2))
    tensor([[1., 1.]])
    """
    space = space if space is not None else Euclidean()
    check_start(x_0, space)
    return space.exp(x_0, _velocity(network, x_0, space, condition))


class DistilObjective(nn.Module):
    """The loss of one step from x_0 to x_1, both given.

    Parameters
    ----------
    network
        `network(x, t)` or `network(x, t, condition)`; it is called at time 0 only.
    space
        Where the points live; flat unless given.
    loss
        Of the difference in the tangent space at x_0; pseudo-Huber unless given.
    """

    def __init__(self, network: nn.Module, *, space: Space | None = None, loss: Loss | None = None) -> None:
        super().__init__()
        self.network = network
        self.space = space if space is not None else Euclidean()
        self.loss = loss if loss is not None else PseudoHuber()

    def forward(self, batch: FlowBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return the loss under "loss"; nothing is drawn from the generator.

        Raises
        ------
        InputError
            If the batch has no x_0, or one that does not fit x_1.
        """
        if batch.x_0 is None:
            message = "distillation needs the pairs of a flow, and the batch has no x_0; take batches of FlowPairs"
            raise InputError(message)
        check_shapes(batch.x_0, batch.x_1)
        predicted = as_tensors(_velocity(self.network, batch.x_0, self.space, batch.condition))
        aim = as_tensors(self.space.log(batch.x_0, batch.x_1))
        errors = tuple(a - b for a, b in zip(predicted, aim, strict=True))
        squared = self.space.squared_norm(batch.x_0, like_point(errors, batch.x_0))
        dimensions = sum(error[0].numel() for error in errors)
        return {"loss": self.loss(squared.reshape(len(squared), -1).sum(dim=1), dimensions).mean()}


@cited("liu2023flow")
def distil(
    network: nn.Module,
    pairs: FlowPairs,
    *,
    settings: OptimiserSettings,
    seed: int,
    space: Space | None = None,
    batch_size: int = 256,
    **options: Any,
) -> nn.Module:
    """Train a copy of a rectified network to arrive in one step, and return it.

    Parameters
    ----------
    network
        The velocity network of a rectified flow; it is left as it is.
    pairs
        The pairs of its flow.
    settings
        The optimisation.
    seed
        Of the order of the pairs.
    space
        Where the points live; flat unless given.
    batch_size
        Pairs in a batch.
    **options
        Further options of `DistilObjective`.
    """
    student = copy.deepcopy(network)
    objective = DistilObjective(student, space=space, **options)
    minimise(objective, PairBatches(pairs, batch_size=batch_size, seed=seed), settings, seed=seed)
    return student


def _velocity(network: Callable[..., Any], x_0: Point, space: Space, condition: Tensor | None) -> Point:
    extra = () if condition is None else (condition,)
    velocity = network(x_0, batch_times(0.0, x_0), *extra)
    check_velocity(velocity, x_0)
    return space.project_tangent(x_0, velocity)
