"""What a sampler learns to sample: an energy, which gives the logarithm of an unnormalised density.

`Energy` is the interface; its subclasses give values and gradients in closed form. `Target` stands between an energy
and everything that calls it: it counts the calls, and it finds the values that are no numbers, so that nothing is
learned from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.errors import InputError


class Energy:
    """The logarithm of an unnormalised density on R^dim, or on the torus of dim angles, called the log reward.

    A subclass sets `dim` and gives `log_reward`; everything else has a default. Conditional energies have a positive
    `condition_dim`, and take one condition for each point.

    Attributes
    ----------
    dim
        Dimensions of a point.
    condition_dim
        Dimensions of a condition; 0 for an energy without conditions.
    log_z
        The logarithm of the normalising constant, where it is known.
    periodic
        Whether the coordinates are angles in radian; the log reward then has a period of 2 pi in each.
    variance
        A good variance for the reference process at time 1: it should cover the target. For angles, how far a path
        should come from its uniform start.
    modes, mode_radius
        Centres of the modes [modes, dim], and the distance within which a point counts as belonging to one of them.
    """

    dim: int
    condition_dim: int = 0
    log_z: float | None = None
    periodic: bool = False
    variance: float = 1.0
    modes: Tensor | None = None
    mode_radius: float = 0.0

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        """Return the log reward of every point."""
        raise NotImplementedError

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        """Return the log reward and its gradient; by automatic differentiation unless a subclass knows better."""
        with torch.enable_grad():
            points = x.detach().requires_grad_()
            value = self.log_reward(points, condition)
            (gradient,) = torch.autograd.grad(value.sum(), points)
        return value.detach(), gradient

    @property
    def has_samples(self) -> bool:
        """Whether exact samples can be drawn."""
        return type(self).sample is not Energy.sample

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        """Return exact samples.

        Raises
        ------
        InputError
            If this energy has none.
        """
        message = f"{type(self).__name__} has no exact samples; choose an energy that has, or a metric without them"
        raise InputError(message)

    def draw_conditions(self, count: int, generator: torch.Generator | None = None) -> Tensor | None:
        """Return conditions to train on [count, condition_dim]; None for an energy without conditions."""
        return None


@dataclass(frozen=True, slots=True)
class EnergyValues:
    """The log reward of points, and its gradient if it was asked for.

    Attributes
    ----------
    log_reward
        Shape [batch]; minus infinity where the energy gave no finite number.
    gradient
        Shape [batch, dim]; zero where it is not finite.
    finite
        Where the energy gave a finite number.
    """

    log_reward: Float[Tensor, " batch"]
    gradient: Float[Tensor, "batch dim"] | None
    finite: Bool[Tensor, " batch"]


class Target:
    """An energy with a count of its calls and a watch on its values.

    Parameters
    ----------
    energy
        What is called.

    Attributes
    ----------
    calls
        Points evaluated so far, with or without their gradient.
    rejected
        How many of them gave no finite number.
    """

    def __init__(self, energy: Energy) -> None:
        self.energy = energy
        self.calls = 0
        self.rejected = 0

    def evaluate(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None, *, gradient: bool = False
    ) -> EnergyValues:
        """Evaluate points, without a graph.

        Raises
        ------
        InputError
            If the energy returns a tensor of the wrong shape.
        """
        self.calls += len(x)
        slope: Tensor | None = None
        if gradient:
            value, slope = self.energy.value_and_gradient(x, condition)
        else:
            with torch.no_grad():
                value = self.energy.log_reward(x, condition)
        if value.shape != x.shape[:1]:
            message = f"log_reward returned the shape {list(value.shape)}, expected one number a point: [{len(x)}]"
            raise InputError(message)
        finite = value.isfinite()
        if slope is not None and not bool(slope.sum().isfinite()):
            finite = finite & slope.isfinite().all(dim=1)
            slope = slope.nan_to_num(0.0, 0.0, 0.0)
        if not bool(finite.all()):
            self.rejected += int((~finite).sum())
            value = value.masked_fill(~finite, -torch.inf)
        return EnergyValues(value, slope, finite)
