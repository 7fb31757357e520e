"""Stochastic differential equations with the marginals of a stochastic interpolant, forwards and backwards.

With the velocity b and the score s of the densities rho_t, and any epsilon(t) >= 0,

    dX = (b + epsilon s) dt + sqrt(2 epsilon) dW        forwards, for increasing times,
    dX = (b - epsilon s) dt + sqrt(2 epsilon) dW        backwards, for decreasing times,

have rho_t as the density of X_t; epsilon = 0 is the ordinary differential equation. Noise forgets earlier errors of the
field, at the price of more steps.

| method | weak order | evaluations a step |
| --- | --- | --- |
| euler-maruyama | 1 | 1 |
| heun | 2 | 2 |

Heun's method here is Strang's splitting: half of the noise, a step of Heun's method along the drift, the other half.

Albergo, Boffi and Vanden-Eijnden, Stochastic interpolants, arXiv 2303.08797, theorem 2.7 and corollary 2.18.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.dynamics.fields import (
    CountedField,
    Field,
    Times,
    check_end,
    check_start,
    save_points,
    stack,
    time_points,
)
from helicell.core.dynamics.noise import Generators, check_generators, check_isometric, gaussian
from helicell.core.dynamics.ode import Solution, walk
from helicell.core.dynamics.runge_kutta import HEUN, RungeKutta, Stepper, weighted_sum
from helicell.core.errors import InputError, unknown_option
from helicell.core.spaces import Euclidean, Point, Space
from helicell.core.spaces.space import add_scaled, as_tensors, expand_points, like_point

METHODS = ("euler-maruyama", "heun")
Diffusion = float | Callable[[Tensor], Tensor]
"""epsilon: a number, or a function of times [batch]."""


@cited("albergo2023stochastic")
def simulate(
    velocity: Field,
    score: Field,
    x: Point,
    times: Times,
    *,
    epsilon: Diffusion,
    method: str = "heun",
    space: Space | None = None,
    generator: Generators = None,
    save_at: Iterable[float] | Tensor | None = None,
) -> Solution:
    """Draw a path of the stochastic differential equation with the marginals of b and s.

    Parameters
    ----------
    velocity, score
        b and s: `field(x, t)` with t of shape [batch]. On spheres and quaternions (as the sphere S^3) the score is the
        tangential gradient in surrounding coordinates.
    x
        The state at the first time, shape [batch, ..., dimension], or a tuple of such for a product.
    times
        Increasing times go forwards, decreasing ones backwards; or the number of equal steps from 0 to 1.
    epsilon
        The strength of the noise, 0 or more. Where it is 0 the score is not called, which may be infinite there.
    method
        "heun" or "euler-maruyama".
    space
        Where the points live; flat unless given.
    generator
        Of the noise. With a sequence of generators, one for each sample, no sample depends on its batch.
    save_at
        Those of the times at which the state is kept.

    Returns
    -------
    Solution
        Its `evaluations` count pairs of b and s.

    Raises
    ------
    InputError
        If the method is unknown, the times are not in order, epsilon is negative, the generators are not as many as
        the samples, or the space is curved in a way for which there is no Gaussian step.
    HelicellError
        If the result is not finite.

    Examples
    --------
    >>> x = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
    >>> at_rest = simulate(
    ...     lambda x, t: torch.zeros_like(x), lambda x, t: -x, x, 20,
    ...     epsilon=2.0, generator=torch.Generator().manual_seed(1),
    ... )
    >>> round(at_rest.x.std().item(), 1)
    1.0
    """
    space = space if space is not None else Euclidean()
    if method not in METHODS:
        raise unknown_option("method", method, METHODS)
    check_isometric(space, "Gaussian steps")
    check_start(x, space)
    check_generators(generator, x)
    grid = time_points(times)
    wanted = save_points(save_at, grid)
    strength = epsilon if callable(epsilon) else partial(torch.full_like, fill_value=epsilon)
    _check_strength(strength, grid)
    noise = Noise(strength, generator)
    sign = 1.0 if grid[-1] > grid[0] else -1.0
    drift = CountedField(partial(_drift, CountedField(velocity), CountedField(score), strength, sign))
    stepper = (Heun if method == "heun" else EulerMaruyama)(drift, noise, space)
    end, saved = walk(stepper, x, grid, wanted)
    check_end(end)
    states = stack(saved) if saved else None
    return Solution(end, drift.evaluations, len(grid) - 1, torch.tensor(wanted, dtype=torch.float64), states)


class Noise:
    """Gaussian increments of variance 2 epsilon(t) times a length of time.

    Parameters
    ----------
    strength
        epsilon as a function of times.
    generator
        One generator, or as many as samples.
    """

    def __init__(self, strength: Callable[[Tensor], Tensor], generator: Generators) -> None:
        self.strength, self.generator = strength, generator

    def draw(self, x: Point, t: float, length: float) -> Point:
        """Return increments of the shape of x for the strength at t."""
        scale = float(2 * self.strength(torch.tensor([t], dtype=torch.float64)) * length) ** 0.5
        return like_point(tuple(scale * part for part in as_tensors(self.standard(x))), x)

    def standard(self, x: Point) -> Point:
        """Return standard Gaussian numbers of the shape of x."""
        return gaussian(x, self.generator)


class EulerMaruyama(Stepper):
    """One step along the drift and the noise, both at the start."""

    def __init__(self, drift: CountedField, noise: Noise, space: Space) -> None:
        self.drift, self.noise, self.space = drift, noise, space

    def step(self, x: Point, t: float, s: float) -> Point:
        increment = self.space.project_tangent(x, self.noise.draw(x, t, abs(s - t)))
        return self.space.exp(x, add_scaled(increment, self.drift(x, t), s - t))


class Heun(Stepper):
    """Strang's splitting: half of the noise, Heun's step along the drift, the other half of the noise."""

    def __init__(self, drift: CountedField, noise: Noise, space: Space) -> None:
        self.drift, self.noise, self.space = drift, noise, space
        self._along = RungeKutta(HEUN, drift, space)

    def step(self, x: Point, t: float, s: float) -> Point:
        middle, half = (t + s) / 2, abs(s - t) / 2
        x = self.space.exp(x, self.space.project_tangent(x, self.noise.draw(x, middle, half)))
        x = self._along.step(x, t, s)
        return self.space.exp(x, self.space.project_tangent(x, self.noise.draw(x, middle, half)))


def _drift(
    velocity: Field, score: Field, strength: Callable[[Tensor], Tensor], sign: float, x: Point, t: Tensor
) -> Any:
    """Return b + sign epsilon s."""
    b, epsilon = velocity(x, t), strength(t)
    if not epsilon.any():
        return b
    s = like_point(tuple(expand_points(sign * epsilon, part) * part for part in as_tensors(score(x, t))), b)
    return weighted_sum((1, 1), (b, s), 1.0)


def _check_strength(strength: Callable[[Tensor], Tensor], grid: Sequence[float]) -> None:
    values = strength(torch.tensor(grid, dtype=torch.float64))
    if not (values.isfinite().all() and (values >= 0).all()):
        message = (
            f"epsilon reaches from {float(values.min()):g} to {float(values.max()):g}; it must be finite, 0 or more"
        )
        raise InputError(message)
