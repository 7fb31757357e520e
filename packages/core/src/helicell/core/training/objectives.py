"""Objectives of flow matching: couple, draw a time, draw a point of the path, compare the network with its target.

`FlowObjective` puts the parts together: any path (`Interpolant` in flat space, `GeodesicPath` on every other), any
coupling and time density, a kind of prediction, and a loss. It is what `FlowTraining` trains.

| loss | of the squared error e^2, summed over d dimensions |
| --- | --- |
| `SquaredError` | e^2 / d |
| `PseudoHuber` | (sqrt(e^2 + c^2) - c) / d, with c = 0.00054 d |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from helicell.core.dynamics.fields import check_velocity
from helicell.core.errors import InputError
from helicell.core.paths import Coupling, GeodesicPath, GivenPairs, Interpolant, PathSample, TimeDensity, UniformTimes
from helicell.core.paths.checks import check_batch, check_ends, check_points, check_shapes, gaussian_like
from helicell.core.paths.conversions import regression_target
from helicell.core.paths.couplings import batch_sizes
from helicell.core.spaces import Euclidean, Point
from helicell.core.spaces.space import as_tensors, expand_like
from helicell.core.training.batches import FlowBatch

# Times are kept this far from both ends, where velocities and scores of some paths are infinite.
MARGIN = 1e-5
# The pseudo-Huber constant of a dimension (Lee, Lin and Fanti, arXiv 2405.20320, section 4.2).
HUBER_CONSTANT = 0.00054


class Loss(Protocol):
    """Turns squared errors, shape [batch], of so many dimensions into losses, shape [batch]."""

    def __call__(self, squared: Tensor, dimensions: int) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class SquaredError:
    """The mean squared error."""

    def __call__(self, squared: Tensor, dimensions: int) -> Tensor:
        return squared / dimensions


@dataclass(frozen=True, slots=True)
class PseudoHuber:
    """Quadratic for errors that are small beside c, linear for large ones.

    Parameters
    ----------
    constant
        c; unless given 0.00054 times the number of dimensions.
    """

    constant: float | None = None
    citations = ("lee2024improving",)

    def __post_init__(self) -> None:
        if self.constant is not None and not self.constant > 0:
            message = f"the constant c of the pseudo-Huber loss is {self.constant}, expected a positive number"
            raise InputError(message)

    def __call__(self, squared: Tensor, dimensions: int) -> Tensor:
        c = HUBER_CONSTANT * dimensions if self.constant is None else self.constant
        return ((squared + c * c).sqrt() - c) / dimensions


@dataclass(frozen=True, slots=True)
class ConditionDropout:
    """Replaces the conditions of a share of the examples, so that one network learns the field without them too.

    Parameters
    ----------
    probability
        Of replacing a condition.
    null
        What stands for no condition: a number, or a tensor of the shape of one condition.
    """

    probability: float = 0.1
    null: float | Tensor = 0.0
    citations = ("ho2022classifier",)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            message = f"the probability of dropping a condition is {self.probability}, expected 0 to 1"
            raise InputError(message)

    def __call__(self, condition: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the conditions [batch, ...] with some replaced."""
        drop = torch.rand(condition.shape[0], generator=generator) < self.probability
        null = torch.as_tensor(self.null, dtype=condition.dtype, device=condition.device)
        if null.ndim and null.shape != condition.shape[1:]:
            message = f"the null condition has the shape {list(null.shape)}, expected {list(condition.shape[1:])}"
            raise InputError(message)
        return torch.where(expand_like(drop.to(condition.device), condition), null, condition)  # type: ignore[arg-type]


class FlowObjective(nn.Module):
    """The regression of a network on a path.

    Parameters
    ----------
    network
        Called as network(x_t, t), or network(x_t, t, condition) where batches have conditions. `t` has shape [batch].
    path
        From the source to the data.
    predict
        What the network predicts: "velocity", and in flat space also "score", "denoiser", "x_0" or "x_1".
    source
        Draws x_0 like a given x_1: `source(x_1, generator)`. Standard Gaussian unless given.
    coupling
        Which x_0 goes with which x_1; as they come unless given.
    times
        The density of training times, uniform unless given; every batch is stratified.
    loss
        The squared error unless given.
    weight
        The weight of an example as a function of its time.
    antithetic
        Show every example twice, the second time with its Gaussian part reversed. That halves the variance where
        gamma' or 1 / gamma is large.
    dropout
        Of conditions, for classifier-free guidance.

    Examples
    --------
    >>> from helicell.core.paths import linear
    >>> objective = FlowObjective(lambda x, t: torch.zeros_like(x), linear())
    >>> losses = objective(torch.zeros(64, 2), torch.Generator().manual_seed(0))
    >>> round(losses["loss"].item())
    1
    """

    def __init__(
        self,
        network: Callable[..., Any],
        path: Interpolant | GeodesicPath,
        *,
        predict: str = "velocity",
        source: Callable[[Point, torch.Generator | None], Point] | None = None,
        coupling: Coupling | None = None,
        times: TimeDensity | None = None,
        loss: Loss | None = None,
        weight: Callable[[Tensor], Tensor] | None = None,
        antithetic: bool = False,
        dropout: ConditionDropout | None = None,
    ) -> None:
        super().__init__()
        self.network, self.path, self.predict = network, path, predict
        self.source = source if source is not None else _gaussian
        self.coupling = coupling if coupling is not None else GivenPairs()
        self.times = times if times is not None else UniformTimes()
        self.loss = loss if loss is not None else SquaredError()
        self.weight, self.antithetic, self.dropout = weight, antithetic, dropout
        if isinstance(path, GeodesicPath) and (predict != "velocity" or antithetic):
            message = (
                "on a geodesic path a network predicts the velocity, without antithetic pairs; take an interpolant"
            )
            raise InputError(message)
        if antithetic and not (path.noisy or path.gaussian_source):  # type: ignore[union-attr]
            message = "antithetic pairs need a path with noise or with a Gaussian source; give it a gamma"
            raise InputError(message)

    def forward(self, batch: FlowBatch | Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return the loss under "loss".

        Parameters
        ----------
        batch
            Data; a bare tensor stands for data without conditions.
        generator
            The CPU stream of all random draws.

        Raises
        ------
        InputError
            If the batch is empty or not finite, or the coupling does not fit it.
        """
        batch = batch if isinstance(batch, FlowBatch) else FlowBatch(batch)
        for part in as_tensors(batch.x_1):
            check_batch("x_1", part)
        x_0, x_1, condition = self._coupled(batch, generator)
        count, device = batch_sizes(x_0, x_1)[1], as_tensors(x_1)[0].device
        t = self.times.sample(count, generator=generator, stratified=True, margin=MARGIN).to(device)
        if isinstance(self.path, GeodesicPath):
            loss = self._compare(self.path.sample(x_0, x_1, t), condition)
        else:
            check_shapes(x_0, x_1)
            Euclidean().check(x_1)
            sample = self.path.at(x_0, x_1, t, generator=generator)  # type: ignore[arg-type]
            loss = self._compare(sample, condition)
            if self.antithetic:
                loss = 0.5 * (loss + self._compare(self.path.mirrored(sample), condition))
        if self.weight is not None:
            weight = torch.as_tensor(self.weight(t))
            if weight.shape not in ((), t.shape):
                message = (
                    f"the weights have the shape {list(weight.shape)}, expected {list(t.shape)}, one for each time"
                )
                raise InputError(message)
            loss = weight * loss
        loss = loss.mean() if loss.ndim else loss
        # Whatever is not finite in a batch shows in the loss, which is cheaper to look at.
        if not math.isfinite(loss.item()):
            check_ends(x_0, x_1)
            if condition is not None and condition.is_floating_point():
                check_points("the condition", condition)
        return {"loss": loss}

    def _coupled(self, batch: FlowBatch, generator: torch.Generator | None) -> tuple[Point, Point, Tensor | None]:
        x_0 = batch.x_0 if batch.x_0 is not None else self.source(batch.x_1, generator)
        condition, count = batch.condition, batch_sizes(x_0, batch.x_1)[1]
        if condition is not None and condition.shape[:1] != (count,):
            message = f"there are {count} x_1 and conditions of shape {list(condition.shape)}; give one for each x_1"
            raise InputError(message)
        if isinstance(self.coupling, GivenPairs):
            x_1 = batch.x_1
        else:
            pairs = self.coupling.pair(x_0, batch.x_1, generator=generator, condition=condition)
            x_0, x_1 = pairs.take(x_0, batch.x_1)
            condition = None if condition is None else condition[pairs.target.to(condition.device)]
        if condition is not None and self.dropout is not None:
            condition = self.dropout(condition, generator)
        return x_0, x_1, condition

    def _compare(self, sample: PathSample, condition: Tensor | None) -> Tensor:
        """Return the loss of each example, shape [batch], or their mean, shape [], where that is one operation."""
        extra = () if condition is None else (condition,)
        predicted = self.network(sample.x_t, sample.t, *extra)
        check_velocity(predicted, sample.x_t)
        if isinstance(self.path, GeodesicPath):
            return self._compare_on_space(predicted, sample)
        target = regression_target(sample, self.predict, path=self.path)
        if self.weight is None and isinstance(self.loss, SquaredError):
            return nn.functional.mse_loss(predicted, target)  # one operation forward and one backward
        error = predicted - target
        return self.loss(error.square().flatten(1).sum(dim=1), error[0].numel())

    def _compare_on_space(self, predicted: Point, sample: PathSample) -> Tensor:
        space = self.path.space  # type: ignore[union-attr]
        predicted = space.project_tangent(sample.x_t, predicted)
        pairs = zip(as_tensors(predicted), as_tensors(sample.dx_t), strict=True)
        errors = tuple(a - b for a, b in pairs)
        error = errors if isinstance(predicted, tuple) else errors[0]
        squared = space.squared_norm(sample.x_t, error)
        return self.loss(squared.reshape(len(squared), -1).sum(dim=1), sum(e[0].numel() for e in errors))


def _gaussian(x_1: Point, generator: torch.Generator | None) -> Point:
    if isinstance(x_1, tuple):
        message = "points of a product have no Gaussian source; give source=... or x_0 in the batch"
        raise InputError(message)
    return gaussian_like(x_1, generator)
