"""Couplings by optimal transport between two minibatches.

| coupling | plan | solver |
| --- | --- | --- |
| `ExactTransport` | least total cost | for equal sizes the permutation, by `statistics.assignment`; else POT |
| `SinkhornTransport` | least cost less regularisation times entropy | Sinkhorn's, stabilised |
| `UnbalancedTransport` | the same, with marginals kept only softly | the same, damped |
| `PartialTransport` | only a share of the mass is moved, the cheapest | POT |

A plan that is not a permutation is sampled: as many pairs as the larger batch has points, one from each of so many
equal parts of the plan's mass, so that every point comes up about as often as the plan says.

Tong and others, Improving and generalizing flow-based generative models with minibatch optimal transport,
arXiv 2302.00482; Flamary and others, POT, JMLR 22 (2021).
"""

from __future__ import annotations

import logging
import math
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from helicell.core.errors import HelicellError, InputError
from helicell.core.paths.checks import check_points
from helicell.core.paths.coefficients import check_positive
from helicell.core.paths.couplings import Coupling, Pairs, batch_sizes
from helicell.core.spaces import Euclidean, Point, Space
from helicell.core.spaces.space import as_tensors

logger = logging.getLogger(__name__)

# Up to this many dimensions the exact solver starts from a quarter of the problem, which is what pays there.
LOW_DIMENSION = 10
# Sinkhorn's iterations end when no potential changes by more than this share of the regularisation.
CONVERGED = 1e-6
# Scalings are taken into the kernel when they exceed e to this power.
FAR = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport(Coupling):
    """A coupling that minimises the sum of squared distances, with a share for differing conditions.

    Parameters
    ----------
    space
        Whose distances are meant; all axes after the first are flattened in flat space, which is the default.
    condition_weight
        Weight of the squared distance between the conditions of x_0 and x_1, added to the cost. It is for conditions
        that are numbers; labels are better kept apart by `WithinLabels`.
    """

    space: Space | None = None
    condition_weight: float = 0.0
    citations: ClassVar[tuple[str, ...]] = ("tong2024improving", "flamary2021pot")

    def __post_init__(self) -> None:
        if not 0 <= self.condition_weight < math.inf:
            message = f"the weight of the conditions is {self.condition_weight}, expected 0 or more"
            raise InputError(message)

    def pair(
        self,
        x_0: Point,
        x_1: Point,
        *,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
        source_condition: Tensor | None = None,
    ) -> Pairs:
        cost = squared_distances(x_0, x_1, space=self.space)
        if self.condition_weight:
            cost = cost + self.condition_weight * _condition_cost(cost.shape, condition, source_condition)
        return self._solve(cost, generator, low_dimension=_dimension(x_0) <= LOW_DIMENSION)

    def _solve(self, cost: Tensor, generator: torch.Generator | None, *, low_dimension: bool) -> Pairs:
        return sample_plan(self.plan(cost), max(cost.shape), generator=generator)

    @abstractmethod
    def plan(self, cost: Tensor) -> Tensor:
        """Return the plan, float64, of a cost matrix [sources, targets] between points of equal mass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactTransport(Transport):
    """The plan of the least cost.

    Between batches of one size it is a permutation, and is used as such: every point comes up once, nothing is drawn.

    Examples
    --------
    >>> import torch
    >>> x_0, x_1 = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.1], [0.1]])
    >>> ExactTransport().pair(x_0, x_1).target
    tensor([1, 0])
    """

    def _solve(self, cost: Tensor, generator: torch.Generator | None, *, low_dimension: bool) -> Pairs:
        sources, targets = cost.shape
        if sources != targets:
            return sample_plan(self.plan(cost), max(cost.shape), generator=generator)
        from helicell.core.statistics.assignment import assign

        columns = assign(cost.cpu().numpy(), coarse=low_dimension).columns
        return Pairs(torch.arange(sources), torch.from_numpy(columns))

    def plan(self, cost: Tensor) -> Tensor:
        import ot

        with _silent():
            return torch.from_numpy(ot.emd(*_uniform(cost), _double(cost)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkhornTransport(Transport):
    """The plan with an entropy term.

    Parameters
    ----------
    regularisation
        Weight of the entropy, as a share of the mean cost, or in the units of the cost if `relative` is false. The
        Schroedinger bridge of spread sigma takes 2 sigma^2 in the units of the cost.
    relative
        See above.
    iterations
        At most so many; a plan that has not converged by then is used, with a warning in the log.
    """

    regularisation: float = 0.05
    relative: bool = True
    iterations: int = 1000
    citations: ClassVar[tuple[str, ...]] = ("tong2024improving", "cuturi2013sinkhorn", "flamary2021pot")

    def plan(self, cost: Tensor) -> Tensor:
        weight = _scaled("the regularisation", self.regularisation, cost, relative=self.relative)
        return _usable(entropic_plan(cost, weight, iterations=self.iterations))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbalancedTransport(Transport):
    """The entropic plan whose marginals may differ from the batches at a price, so that outliers are left out.

    Parameters
    ----------
    regularisation, marginal_weight
        Weights of the entropy and of the marginals' Kullback-Leibler divergence, as shares of the mean cost, or in the
        units of the cost if `relative` is false.
    relative
        See above.
    iterations
        As for `SinkhornTransport`.
    """

    regularisation: float = 0.05
    marginal_weight: float = 1.0
    relative: bool = True
    iterations: int = 1000
    citations: ClassVar[tuple[str, ...]] = ("tong2024improving", "chizat2018scaling", "flamary2021pot")

    def plan(self, cost: Tensor) -> Tensor:
        entropy = _scaled("the regularisation", self.regularisation, cost, relative=self.relative)
        marginals = _scaled("the weight of the marginals", self.marginal_weight, cost, relative=self.relative)
        return _usable(entropic_plan(cost, entropy, marginal_weight=marginals, iterations=self.iterations))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialTransport(Transport):
    """The cheapest plan that moves a share of the mass; points beyond it are not coupled at all.

    Parameters
    ----------
    mass
        The share that is moved, over 0 and at most 1.
    """

    mass: float = 0.9
    citations: ClassVar[tuple[str, ...]] = ("tong2024improving", "chapel2020partial", "flamary2021pot")

    def __post_init__(self) -> None:
        Transport.__post_init__(self)
        if not 0 < self.mass <= 1:
            message = f"the mass that partial transport moves is {self.mass}, expected a share over 0 and at most 1"
            raise InputError(message)

    def plan(self, cost: Tensor) -> Tensor:
        import ot

        with _silent():
            return _usable(
                torch.from_numpy(ot.partial.partial_wasserstein(*_uniform(cost), _double(cost), m=self.mass))
            )


def squared_distances(x_0: Point, x_1: Point, *, space: Space | None = None) -> Tensor:
    """Return the squared distances [sources, targets] between two batches, in flat space by one matrix product.

    Raises
    ------
    InputError
        If the points differ in shape, a batch is empty, or numbers are not finite.
    """
    batch_sizes(x_0, x_1)
    first, last = as_tensors(x_0), as_tensors(x_1)
    if len(first) != len(last):
        message = f"points of x_0 consist of {len(first)} tensors and of x_1 of {len(last)}; give both the same form"
        raise InputError(message)
    if space is not None:
        space.check(x_0)
    for a, b in zip(first, last, strict=True):
        if a.shape[1:] != b.shape[1:]:
            message = (
                f"points of x_0 have the shape {list(a.shape[1:])} and of x_1 {list(b.shape[1:])}; expected one shape"
            )
            raise InputError(message)
        check_points("x_0", a)
        check_points("x_1", b)
    if space is None or isinstance(space, Euclidean):
        return _flat_distances(_flattened(first), _flattened(last))
    lifted = tuple(a.detach()[:, None] for a in first), tuple(b.detach()[None] for b in last)
    pair = lifted if isinstance(x_0, tuple) else (lifted[0][0], lifted[1][0])
    squared = space.distance(*pair) ** 2
    return squared.reshape(*squared.shape[:2], -1).sum(dim=2)


def entropic_plan(
    cost: Tensor, regularisation: float, *, marginal_weight: float | None = None, iterations: int = 1000
) -> Tensor:
    """Return the plan of least cost plus regularisation times its divergence from the product of the marginals.

    Parameters
    ----------
    cost
        Shape [sources, targets]; all points have equal mass.
    regularisation
        In the units of the cost.
    marginal_weight
        Weight of the divergence of the plan's marginals from the given ones; they are kept exactly unless given.
    iterations
        At most so many rounds of Sinkhorn's algorithm.

    Raises
    ------
    InputError
        If the cost is empty or not finite, or an option is out of range.

    Notes
    -----
    A round is two matrix-vector products with a kernel that has the potentials of an earlier round in it. It is made
    anew when they have moved far, so that no number leaves its range, however small the regularisation.

    References
    ----------
    Chizat and others, Scaling algorithms for unbalanced transport problems, arXiv 1607.05816, algorithms 1 and 2.
    """
    check_points("the cost", cost)
    check_positive("the regularisation", regularisation)
    if cost.ndim != 2 or iterations < 1:
        message = (
            f"the cost has the shape {list(cost.shape)} and there are {iterations} iterations; expected "
            "[sources, targets] and 1 or more"
        )
        raise InputError(message)
    damping = 1.0 if marginal_weight is None else marginal_weight / (marginal_weight + regularisation)
    scaled = cost.detach().double() / regularisation
    row_size, column_size = math.log(scaled.shape[1]), math.log(scaled.shape[0])
    # Every row and column of the first kernel has an entry of 1.
    f = f_0 = scaled.amin(dim=1)
    g = g_0 = (scaled - f[:, None]).amin(dim=0)
    kernel = (f_0[:, None] + g_0 - scaled).exp_()
    for _ in range(iterations):
        before = f
        f = damping * (f_0 + row_size - (kernel @ (g - g_0).exp()).log())
        g = damping * (g_0 + column_size - (kernel.T @ (f - f_0).exp()).log())
        if float((f - before).abs().max()) < CONVERGED:
            break
        if float(torch.maximum((f - f_0).abs().max(), (g - g_0).abs().max())) > FAR:
            f_0, g_0 = f, g
            kernel = (f_0[:, None] + g_0 - scaled).exp_()
    else:
        logger.warning("Sinkhorn has not converged after %d iterations; raise the regularisation", iterations)
    return (f[:, None] + g - scaled).exp_() / scaled.numel()


def sample_plan(plan: Tensor, count: int, *, generator: torch.Generator | None = None) -> Pairs:
    """Draw pairs from a plan, one from each of `count` equal parts of its mass.

    Parameters
    ----------
    plan
        Non-negative masses, shape [sources, targets].
    count
        How many pairs.
    generator
        A CPU generator.

    Raises
    ------
    InputError
        If the plan is no table of finite masses, none of them negative and not all zero, or no pair is asked for.
    """
    total = float(plan.sum())
    if plan.ndim != 2 or not 0 < total < math.inf or plan.min() < 0 or count < 1:
        message = (
            f"a plan of shape {list(plan.shape)} and mass {total:g} gives no {count} pairs; expected masses "
            "[sources, targets], none negative and not all zero, and 1 pair or more"
        )
        raise InputError(message)
    behind = plan.detach().double().cpu().reshape(-1).cumsum(0)
    u = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    chosen = torch.searchsorted(behind, u * behind[-1], right=True).clamp_max(plan.numel() - 1)
    return Pairs(chosen // plan.shape[1], chosen % plan.shape[1])


def _flat_distances(x: Tensor, y: Tensor) -> Tensor:
    # Distances do not change when both batches move, and near the origin they lose fewer digits.
    centre = y.mean(dim=0)
    x, y = x - centre, y - centre
    squares = (x * x).sum(dim=1)[:, None] + (y * y).sum(dim=1)
    return torch.addmm(squares, x, y.T, alpha=-2).clamp_min_(0)


def _flattened(points: tuple[Tensor, ...]) -> Tensor:
    flat = [x.detach().reshape(x.shape[0], -1) for x in points]
    return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)


def _dimension(x: Point) -> int:
    return sum(part[0].numel() for part in as_tensors(x))


def _condition_cost(shape: torch.Size, condition: Tensor | None, source_condition: Tensor | None) -> Tensor:
    source_condition = condition if source_condition is None else source_condition
    lengths = tuple(0 if c is None else c.shape[0] for c in (source_condition, condition))
    if lengths != tuple(shape):
        message = (
            f"a coupling with condition_weight needs conditions of {shape[0]} x_0 and {shape[1]} x_1, got {lengths[0]} "
            f"and {lengths[1]}; give condition, and source_condition where the sizes differ"
        )
        raise InputError(message)
    return squared_distances(*(c.float().reshape(len(c), -1) for c in (source_condition, condition)))  # type: ignore[union-attr,arg-type]


def _scaled(name: str, value: float, cost: Tensor, *, relative: bool) -> float:
    check_positive(name, value)
    return value * max(float(cost.mean()), torch.finfo(torch.float32).tiny) if relative else value


def _uniform(cost: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return np.full(cost.shape[0], 1 / cost.shape[0]), np.full(cost.shape[1], 1 / cost.shape[1])


def _double(cost: Tensor) -> np.ndarray:
    return np.ascontiguousarray(cost.detach().cpu().numpy(), dtype=np.float64)


def _usable(plan: Tensor) -> Tensor:
    if not (plan.isfinite().all() and plan.sum() > 0):
        message = "the transport plan is empty or not finite; raise the regularisation, or the weight of the marginals"
        raise HelicellError(message)
    return plan


def _silent() -> Any:
    """Return a context without the warnings of numpy and POT; the result is checked instead."""
    return warnings.catch_warnings(action="ignore")
