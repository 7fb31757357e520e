"""Likelihood: the density of the samples of a flow, by the change of variables along its trajectories.

Where the points x_0 have the density rho_0 and follow the velocity b, at time 1 they have

    log rho_1(x_1) = log rho_0(x_0) - integral over t of (div b)(x_t, t),

taken along the trajectory that ends in x_1. The divergence is exact, at one derivative a dimension, or Hutchinson's
unbiased estimate p . (J p), averaged over random probes p, at one derivative a probe. On spheres, tori, quaternions and
products it is the divergence on the space, and densities are relative to its volume.

Chen and others, Neural ordinary differential equations, arXiv 1806.07366; Grathwohl and others, FFJORD, 1810.01367.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.dynamics.fields import Field, Times, batch_times, check_start, check_velocity, stack, time_points
from helicell.core.dynamics.noise import Generators, check_generators, check_isometric, gaussian, rademacher
from helicell.core.dynamics.ode import integrate
from helicell.core.errors import InputError, unknown_option
from helicell.core.spaces import Euclidean, Point, Product, Space
from helicell.core.spaces.space import as_tensors, like_point

PROBES = {"rademacher": rademacher, "gaussian": gaussian}
ESTIMATORS = ("exact", *PROBES)
# The exact divergence takes so many derivatives at a time, which bounds its memory.
ROWS = 32


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of points under a flow.

    Attributes
    ----------
    log_likelihood
        In nats, shape [batch].
    x_0
        Where the trajectories start.
    evaluations
        How often the field was called.
    """

    log_likelihood: Tensor
    x_0: Point
    evaluations: int


@cited("grathwohl2019ffjord")
def log_likelihood(
    field: Field,
    x_1: Point,
    *,
    log_density: Callable[[Point], Tensor] | None = None,
    times: Times = (0, 1),
    method: str = "dopri5",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    space: Space | None = None,
    estimator: str = "exact",
    probes: int = 1,
    generator: Generators = None,
    differentiable: bool = False,
) -> Likelihood:
    """Return the log-likelihood of points under the flow of a velocity field.

    Parameters
    ----------
    field
        The velocity `field(x, t)`, with t of shape [batch], differentiable in x.
    x_1
        The points at the last time, shape [batch, ..., dimension], or a tuple of such for a product.
    log_density
        Of x_0, shape [batch]; standard Gaussian unless given.
    times
        From the source to x_1, increasing, or a number of steps; they are gone through backwards.
    method, rtol, atol
        As for `integrate`.
    space
        Where the points live; flat unless given.
    estimator
        "exact", or Hutchinson's with "rademacher" or "gaussian" probes.
    probes
        How many probes are averaged; each stays the same along the trajectory.
    generator
        Of the probes: one for the batch, or one for every sample.
    differentiable
        Keep what gradients with respect to x_1 and the parameters of the field need. Memory grows with the steps.

    Raises
    ------
    InputError
        If the estimator is unknown, the divergence is not known on the space, or the density is missing or misshapen.

    Examples
    --------
    >>> shifted = log_likelihood(lambda x, t: torch.ones_like(x), torch.ones(1, 2))
    >>> round(shifted.log_likelihood.item(), 4), round(-math.log(2 * math.pi), 4)
    (-1.8379, -1.8379)
    """
    space = space if space is not None else Euclidean()
    if estimator not in ESTIMATORS:
        raise unknown_option("estimator", estimator, ESTIMATORS)
    if probes < 1:
        message = f"the number of probes is {probes}, expected 1 or more"
        raise InputError(message)
    check_isometric(space, "divergences")
    check_start(x_1, space)
    check_generators(generator, x_1)
    density = _density(log_density, space)
    backwards = sorted(time_points(times), reverse=True)
    fixed = None
    if estimator != "exact":
        fixed = stack([PROBES[estimator](x_1, generator) for _ in range(probes)])

    def augmented(state: Point, t: Tensor) -> Point:
        x = like_point(as_tensors(state)[:-1], x_1)
        v, change = divergence(field, x, t, space=space, probes=fixed, differentiable=differentiable)
        return (*as_tensors(v), change[:, None])

    factors = space.factors if isinstance(space, Product) else (space,)
    first = as_tensors(x_1)[0]
    start = (*as_tensors(x_1), first.new_zeros(first.shape[0], 1))
    with torch.set_grad_enabled(differentiable):
        solution = integrate(
            augmented, start, backwards, space=Product(*factors, Euclidean()), method=method, rtol=rtol, atol=atol
        )
        *parts, gained = as_tensors(solution.x)
        x_0 = like_point(tuple(parts), x_1)
        # The state gained the integral from 1 to 0, which is what is to be added.
        return Likelihood(_checked(density(x_0), first) + gained[:, 0], x_0, solution.evaluations)


def divergence(
    field: Field,
    x: Point,
    t: Tensor | float,
    *,
    space: Space | None = None,
    probes: Point | None = None,
    differentiable: bool = False,
) -> tuple[Point, Tensor]:
    """Return the velocity at x and its divergence, shape [batch].

    Parameters
    ----------
    field
        The velocity field, differentiable in x.
    x
        Points, shape [batch, ..., dimension], or a tuple of such for a product.
    t
        A number, or times of shape [batch].
    space
        Where the points live; flat unless given.
    probes
        Hutchinson's probes, shape [probes, batch, ..., dimension]; the divergence is exact unless they are given.
    differentiable
        Keep what gradients of both results need.

    Examples
    --------
    >>> v, div = divergence(lambda x, t: x**2, torch.tensor([[1.0, 3.0]]), 0.0)
    >>> div
    tensor([8.])
    """
    space = space if space is not None else Euclidean()
    times = batch_times(t, x)
    if probes is not None and [p.shape[1:] for p in as_tensors(probes)] != [part.shape for part in as_tensors(x)]:
        shapes = [list(p.shape) for p in as_tensors(probes)]
        message = f"the probes have the shapes {shapes}, expected [probes, ...] with the shape of the points for ..."
        raise InputError(message)
    with torch.enable_grad():
        start = like_point(
            tuple(
                part if differentiable and part.requires_grad else part.detach().requires_grad_()
                for part in as_tensors(x)
            ),
            x,
        )
        v = field(start, times)
        check_velocity(v, x)
        pieces = _basis(x) if probes is None else iter([as_tensors(probes)])
        total = torch.zeros_like(times)
        for piece in pieces:
            rows = _tangent(piece, x, space)
            total = total + _contracted(v, start, rows, differentiable=differentiable)
        if probes is not None:
            total = total / as_tensors(probes)[0].shape[0]
    if differentiable:
        return v, total
    return like_point(tuple(part.detach() for part in as_tensors(v)), v), total.detach()


def standard_gaussian(x: Point) -> Tensor:
    """Return the log-density of the standard Gaussian, shape [batch]."""
    flat = torch.cat([part.flatten(1) for part in as_tensors(x)], dim=1)
    return -0.5 * (flat * flat).sum(dim=1) - 0.5 * flat.shape[1] * math.log(2 * math.pi)


def _contracted(v: Point, x: Point, rows: tuple[Tensor, ...], *, differentiable: bool) -> Tensor:
    """Return the sum over rows p of p . (J p), shape [batch]; rows [rows, batch, ...]."""
    outputs = [(part, row) for part, row in zip(as_tensors(v), rows, strict=True) if part.requires_grad]
    if not outputs:
        return rows[0].new_zeros(rows[0].shape[1])
    gradients = torch.autograd.grad(
        [part for part, _ in outputs],
        as_tensors(x),
        grad_outputs=[row for _, row in outputs],
        is_grads_batched=True,
        retain_graph=True,
        create_graph=differentiable,
        allow_unused=True,
        materialize_grads=True,
    )
    products = ((gradient * row).flatten(2).sum(dim=(0, 2)) for gradient, row in zip(gradients, rows, strict=True))
    return torch.stack(list(products)).sum(dim=0)


def _basis(x: Point) -> Iterator[tuple[Tensor, ...]]:
    """Yield the unit vectors of all coordinates of a point, some at a time: tensors [rows, batch, ...]."""
    parts = as_tensors(x)
    sizes = [part[0].numel() for part in parts]
    unit = torch.eye(sum(sizes), dtype=parts[0].dtype, device=parts[0].device)
    for rows in unit.split(ROWS):
        columns = rows.split(sizes, dim=1)
        yield tuple(
            column.reshape(len(rows), 1, *part.shape[1:]).expand(len(rows), *part.shape)
            for column, part in zip(columns, parts, strict=True)
        )


def _tangent(rows: tuple[Tensor, ...], x: Point, space: Space) -> tuple[Tensor, ...]:
    """Return the tangential parts of ambient vectors [rows, batch, ...] at x."""
    points = tuple(part.detach().expand(len(rows[0]), *part.shape) for part in as_tensors(x))
    return as_tensors(space.project_tangent(like_point(points, x), like_point(rows, x)))


def _density(given: Callable[[Point], Tensor] | None, space: Space) -> Callable[[Point], Tensor]:
    if given is not None:
        return given
    if not isinstance(space, Euclidean):
        message = f"the source on {type(space).__name__} has no density unless it is given; give log_density"
        raise InputError(message)
    return standard_gaussian


def _checked(density: Tensor, x: Tensor) -> Tensor:
    if density.shape != x.shape[:1]:
        message = f"log_density returned the shape {list(density.shape)}, expected [{x.shape[0]}], one number a point"
        raise InputError(message)
    return density
