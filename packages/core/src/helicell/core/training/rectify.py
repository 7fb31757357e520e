"""Rectification: a flow is trained again on the pairs that it itself connects, and becomes straight.

    pairs = generate_pairs(field, noise, space=space)      # or invert_data(field, data, space=space)
    straight = reflow(network, pairs, path=path, settings=settings, seed=0)

A flow from independent pairs bends where the straight lines between its pairs cross, and needs many steps. The pairs
that its own trajectories connect hardly cross; trained on them, the network keeps the distribution and a step or two
will do. One round is enough, with times that favour both ends and the pseudo-Huber loss. Everything works on any space,
with geodesics for straight lines.

Liu, Gong and Liu, Flow straight and fast, arXiv 2209.03003; Lee, Lin and Fanti, Improving the training of rectified
flows, arXiv 2405.20320.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from helicell.core.citations import cited
from helicell.core.dynamics.fields import Times, batch_times, time_points
from helicell.core.dynamics.ode import integrate
from helicell.core.errors import InputError
from helicell.core.paths import GeodesicPath, TimeDensity, UShapedTimes
from helicell.core.paths.checks import check_ends
from helicell.core.paths.couplings import take
from helicell.core.runs.seeds import sample_generator
from helicell.core.spaces import Euclidean, Point, Space
from helicell.core.spaces.space import as_tensors, like_point
from helicell.core.training.batches import FlowBatch
from helicell.core.training.loop import minimise
from helicell.core.training.objectives import FlowObjective, Loss, PseudoHuber
from helicell.core.training.settings import OptimiserSettings

ConditionedField = Callable[..., Point]
"""`field(x, t)`, or `field(x, t, condition)` where there are conditions."""


@dataclass(frozen=True, slots=True)
class FlowPairs:
    """Pairs of source and data that a flow connects, on the CPU.

    Attributes
    ----------
    x_0, x_1
        The ends, shape [pairs, ...], or tuples of such.
    condition
        What the flow was told about each pair, shape [pairs, ...].
    """

    x_0: Point
    x_1: Point
    condition: Tensor | None = None

    def __post_init__(self) -> None:
        check_ends(self.x_0, self.x_1)
        if self.condition is not None and len(self.condition) != len(self):
            message = f"there are {len(self)} pairs and {len(self.condition)} conditions; give one for each pair"
            raise InputError(message)

    def __len__(self) -> int:
        return as_tensors(self.x_0)[0].shape[0]

    def take(self, rows: Tensor) -> FlowBatch:
        """Return some of the pairs as a batch."""
        condition = None if self.condition is None else self.condition[rows]
        return FlowBatch(take(self.x_1, rows), take(self.x_0, rows), condition)

    def joined(self, other: FlowPairs) -> FlowPairs:
        """Return these pairs and others: say generated ones, and inverted data."""
        if (self.condition is None) != (other.condition is None):
            message = "pairs with conditions cannot be joined with pairs without; give conditions to both"
            raise InputError(message)
        shapes = [[list(part.shape[1:]) for part in as_tensors(pairs.x_1)] for pairs in (self, other)]
        if shapes[0] != shapes[1]:
            message = (
                f"pairs of points of the shapes {shapes[0]} and {shapes[1]} cannot be joined; give those of one space"
            )
            raise InputError(message)
        x_0, x_1 = (_concatenated([a, b]) for a, b in ((self.x_0, other.x_0), (self.x_1, other.x_1)))
        if self.condition is None or other.condition is None:
            return FlowPairs(x_0, x_1)
        return FlowPairs(x_0, x_1, torch.cat((self.condition, other.condition)))


class PairBatches:
    """An endless stream of batches of pairs, every pair once before any comes again.

    Parameters
    ----------
    pairs
        The pairs.
    batch_size
        Pairs in a batch; at most all of them.
    seed
        With the number of the round it determines the order, so a resumed training sees the same batches.
    """

    def __init__(self, pairs: FlowPairs, *, batch_size: int, seed: int) -> None:
        if not 1 <= batch_size <= len(pairs):
            message = f"the batch size is {batch_size}, expected 1 to {len(pairs)}, the number of pairs"
            raise InputError(message)
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.drawn = 0

    def __iter__(self) -> Iterator[FlowBatch]:
        each = len(self.pairs) // self.batch_size
        number, order = -1, torch.empty(0)
        while True:
            if self.drawn // each != number:
                number = self.drawn // each
                order = torch.randperm(len(self.pairs), generator=sample_generator(self.seed, number, stream="pairs"))
            start = self.drawn % each * self.batch_size
            self.drawn += 1
            yield self.pairs.take(order[start : start + self.batch_size])

    def state_dict(self) -> dict[str, int]:
        """Return the position in the stream."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.drawn = state["drawn"]


@dataclass(frozen=True, slots=True)
class Straightness:
    """How straight the trajectories of a flow are; all are 0 for geodesics at constant speed.

    Attributes
    ----------
    deviation
        The mean square of the velocity's difference from the straight one: the straightness S of Liu and others.
    curvature
        The deviation as a share of the mean squared distance of the ends.
    detour
        By what share trajectories are longer than the distance of their ends.
    """

    deviation: float
    curvature: float
    detour: float


def generate_pairs(
    field: ConditionedField,
    x_0: Point,
    *,
    times: Times = 50,
    method: str = "heun",
    space: Space | None = None,
    condition: Tensor | None = None,
    batch_size: int = 1024,
    **options: Any,
) -> FlowPairs:
    """Follow a flow from the source to the data, without gradients, batch by batch.

    Parameters
    ----------
    field
        The velocity field, called with the condition where there is one.
    x_0
        Source points, shape [pairs, ...], or a tuple of such.
    times, method, space
        As for `integrate`: how the flow is followed, which should be accurate.
    condition
        Conditions, shape [pairs, ...].
    batch_size
        Points that are followed together.
    **options
        Further options of `integrate`.

    Raises
    ------
    InputError
        Those of `integrate`, or if there are not as many conditions as points.
    """
    ends = _followed(field, x_0, times, condition, batch_size, method=method, space=space, **options)
    return FlowPairs(_on_cpu(x_0), ends, None if condition is None else condition.cpu())


def invert_data(
    field: ConditionedField,
    x_1: Point,
    *,
    times: Times = 50,
    method: str = "heun",
    space: Space | None = None,
    condition: Tensor | None = None,
    batch_size: int = 1024,
    **options: Any,
) -> FlowPairs:
    """Follow a flow back from real data to the source; such pairs carry no errors of the flow at the data's end.

    The parameters are those of `generate_pairs`; times are given forwards and gone through backwards.
    """
    backwards = sorted(time_points(times), reverse=True)
    starts = _followed(field, x_1, backwards, condition, batch_size, method=method, space=space, **options)
    return FlowPairs(starts, _on_cpu(x_1), None if condition is None else condition.cpu())


@cited("liu2023flow", "lee2024improving")
def reflow(
    network: nn.Module,
    pairs: FlowPairs,
    *,
    settings: OptimiserSettings,
    seed: int,
    path: GeodesicPath | None = None,
    batch_size: int = 256,
    times: TimeDensity | None = None,
    loss: Loss | None = None,
) -> nn.Module:
    """Train a copy of a network on the pairs of its own flow, one round, and return it.

    `reflow_objective` and `PairBatches` are its parts, for trainings by `fit`.

    Parameters
    ----------
    network
        A velocity network, `network(x, t)` or `network(x, t, condition)`; it is left as it is.
    pairs
        Its pairs.
    settings
        The optimisation.
    seed
        Of all random draws.
    path
        The path of the training, linear in flat space unless given.
    batch_size
        Pairs in a batch.
    times, loss
        U-shaped times and the pseudo-Huber loss unless given.
    """
    straight = copy.deepcopy(network)
    objective = reflow_objective(straight, path=path, times=times, loss=loss)
    minimise(objective, PairBatches(pairs, batch_size=batch_size, seed=seed), settings, seed=seed)
    return straight


def reflow_objective(
    network: nn.Module,
    *,
    path: GeodesicPath | None = None,
    times: TimeDensity | None = None,
    loss: Loss | None = None,
) -> FlowObjective:
    """Return the objective of a round of reflow; the parameters are those of `reflow`."""
    return FlowObjective(
        network,
        path if path is not None else GeodesicPath(Euclidean()),
        times=times if times is not None else UShapedTimes(),
        loss=loss if loss is not None else PseudoHuber(),
    )


@torch.no_grad()
@cited("liu2023flow")
def straightness(
    field: ConditionedField,
    x_0: Point,
    *,
    steps: int = 50,
    method: str = "midpoint",
    space: Space | None = None,
    condition: Tensor | None = None,
) -> Straightness:
    """Measure how straight the trajectories of a flow are.

    Velocities are compared in the tangent space at x_0, where geodesics from x_0 are straight lines.

    Parameters
    ----------
    field
        The velocity field.
    x_0
        Starts, shape [batch, ..., dimension], or a tuple of such.
    steps
        Equal steps, in the middle of which velocities are looked at.
    method, space
        As for `integrate`.
    condition
        Conditions of the starts.

    Raises
    ------
    InputError
        Those of `integrate`, or if there is no step.
    """
    space = space if space is not None else Euclidean()
    if steps < 1:
        message = f"the number of steps is {steps}, expected 1 or more"
        raise InputError(message)
    closed = _with_condition(field, condition)
    grid = [step / (2 * steps) for step in range(2 * steps + 1)]
    solution = integrate(closed, x_0, grid, method=method, space=space, save_at=grid[1::2])
    straight = space.log(x_0, solution.x)
    squared = _summed(space.squared_norm(x_0, straight))
    deviation, length = torch.zeros_like(squared), torch.zeros_like(squared)
    for index, t in enumerate(grid[1::2]):
        x = like_point(tuple(part[index] for part in as_tensors(solution.states)), x_0)  # type: ignore[arg-type]
        v = closed(x, batch_times(t, x))
        length += _summed(space.squared_norm(x, v)).sqrt() / steps
        pulled = as_tensors(space.pull_back(x_0, x, v))
        difference = like_point(tuple(a - b for a, b in zip(pulled, as_tensors(straight), strict=True)), x_0)
        deviation += _summed(space.squared_norm(x_0, difference)) / steps
    least = torch.finfo(squared.dtype).tiny  # what does not move is straight
    return Straightness(
        float(deviation.mean()),
        float(deviation.mean() / squared.mean().clamp_min(least)),
        float(length.mean() / squared.sqrt().mean() - 1) if squared.any() else 0.0,
    )


@torch.no_grad()
def _followed(
    field: ConditionedField, x: Point, times: Times, condition: Tensor | None, batch_size: int, **options: Any
) -> Point:
    count = as_tensors(x)[0].shape[0]
    if condition is not None and len(condition) != count:
        message = f"there are {count} points and {len(condition)} conditions; give one for each point"
        raise InputError(message)
    if batch_size < 1:
        message = f"the batch size is {batch_size}, expected 1 or more"
        raise InputError(message)
    ends = []
    for rows in torch.arange(count).split(batch_size):
        closed = _with_condition(field, None if condition is None else condition[rows.to(condition.device)])
        ends.append(_on_cpu(integrate(closed, take(x, rows), times, **options).x))
    return _concatenated(ends)


def _with_condition(field: ConditionedField, condition: Tensor | None) -> Callable[[Point, Tensor], Point]:
    if condition is None:
        return field
    return lambda x, t: field(x, t, condition)


def _summed(values: Tensor) -> Tensor:
    """Return the sum over all points of an example, shape [batch]."""
    return values.reshape(values.shape[0], -1).sum(dim=1)


def _on_cpu(x: Point) -> Point:
    return like_point(tuple(part.detach().cpu() for part in as_tensors(x)), x)


def _concatenated(points: list[Point]) -> Point:
    parts = zip(*(as_tensors(point) for point in points), strict=True)
    return like_point(tuple(torch.cat(part) for part in parts), points[0])
