"""Policies: the transition kernels of a sampler, forwards to the target and backwards from it.

The forward kernel of step k is a Gaussian with independent coordinates around

    forward_scale_k x + v_k (a(t) x / s^2 + c(t) clip(grad log R(x))) + gain_k n(x, t),

where n is a network that starts at zero, together with a few units for each coordinate by itself, a and c are learned
functions of time, one number a dimension (c only with the Langevin part), v_k is the variance of the reference process
and s^2 its variance at time 1. The variance of the kernel is v_k, or v_k exp(range tanh(r(x, t))) where it is learned.
For angles all is periodic: the network sees their sines and cosines, a is zero, and there are no units of single
coordinates. A last output of the network is the log flow through a state, for the objectives that need it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.core.samplers.coordinates import CoordinateUnits
from helicell.core.samplers.networks import SamplerNetwork, TimeFeatures
from helicell.core.samplers.process import Process, Steps

# Each coordinate of the gradient of the log reward is clipped to this size, as published.
GRADIENT_CLIP = 1e2
# The Langevin part starts with this share of its natural size.
FIRST_LANGEVIN = 0.01


@dataclass(frozen=True, slots=True)
class Tables:
    """What a forward policy needs to know of a grid, made once a training step.

    Attributes
    ----------
    steps
        The reference process on the grid.
    rows
        The network's time table [steps, hidden].
    scale
        Factors of the state [steps, dim].
    slope
        Factors of the gradient [steps, dim], with the Langevin part.
    units
        Weights of the units of single coordinates, if there are any.
    """

    steps: Steps
    rows: Float[Tensor, "steps hidden"]
    scale: Float[Tensor, "steps dim"]
    slope: Float[Tensor, "steps dim"] | None
    units: Float[Tensor, "steps parts units dim"] | None


class ForwardPolicy(nn.Module):
    """The learned kernels towards the target.

    Parameters
    ----------
    dim
        Dimensions of a state.
    process
        The reference process.
    hidden, layers
        Size of the network.
    learned_variance
        Whether the variance of a step is learned.
    variance_range
        The largest change of its logarithm.
    langevin
        Whether the gradient of the log reward enters the drift.
    flow
        Whether the network gives the log flow as well.
    coordinate_units
        Units for each coordinate by itself; 0 for none.
    condition_dim
        Dimensions of a condition; 0 for none.
    waves
        Multiples of each angle whose sines and cosines the network sees, where the process is one of angles.
    """

    def __init__(
        self,
        dim: int,
        process: Process,
        *,
        hidden: int = 64,
        layers: int = 2,
        learned_variance: bool = False,
        variance_range: float = 4.0,
        langevin: bool = False,
        flow: bool = False,
        coordinate_units: int = 0,
        condition_dim: int = 0,
        waves: int = 4,
    ) -> None:
        super().__init__()
        self.dim, self.process = dim, process
        self.learned_variance, self.variance_range = learned_variance, variance_range
        self.langevin, self.flow = langevin, flow
        outputs = dim * (2 if learned_variance else 1) + (1 if flow else 0)
        self.network = SamplerNetwork(
            dim,
            outputs,
            hidden=hidden,
            layers=layers,
            condition_dim=condition_dim,
            scale=process.variance**0.5,
            waves=waves if process.periodic else 0,
        )
        # The factors of the state come first, where there are any.
        self._linear = 0 if process.periodic else dim
        self.coefficients = nn.Sequential()
        if width := self._linear + (dim if langevin else 0):
            last = nn.Linear(hidden, width)
            self.coefficients.extend((TimeFeatures(hidden), nn.GELU(), last))
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            with torch.no_grad():
                last.bias[self._linear :] = FIRST_LANGEVIN
        self.units = (
            CoordinateUnits(
                dim, coordinate_units, 2 if learned_variance else 1, hidden=hidden, scale=process.variance**0.5
            )
            if coordinate_units and not process.periodic
            else None
        )

    def tables(self, steps: Steps) -> Tables:
        """Return the tables of a grid, differentiable in the weights."""
        start = steps.times[:-1]
        coefficients = self.coefficients(start) if len(self.coefficients) else start.new_empty(len(start), 0)
        variance = steps.forward_variance[:, None]
        scale = steps.forward_scale[:, None].expand(-1, self.dim)
        if self._linear:
            scale = scale + coefficients[:, : self._linear] * variance / self.process.variance
        slope = coefficients[:, self._linear :] * variance if self.langevin else None
        units = None if self.units is None else self.units.tables(start)
        return Tables(steps, self.network.time(start), scale, slope, units)

    def split(self, outputs: Float[Tensor, "*batch outputs"]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the parts of the network's outputs: drift, raw log variance, log flow."""
        raw = outputs[..., self.dim : 2 * self.dim] if self.learned_variance else None
        return outputs[..., : self.dim], raw, outputs[..., -1] if self.flow else None

    def parts(
        self, x: Tensor, outputs: Float[Tensor, "*batch outputs"], units: Tensor | None
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"] | None]:
        """Return drift and raw log variance at states, those of the network and of the coordinates' units together."""
        drift, raw, _ = self.split(outputs)
        if self.units is None or units is None:
            return drift, raw
        own = self.units(x, units)
        return drift + own[0], None if raw is None else raw + own[1]

    def log_variance_change(self, raw: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return by how much the log variance differs from that of the reference process."""
        return self.variance_range * torch.tanh(raw)

    def transition(
        self, tables: Tables, k: int, x: Tensor, outputs: Tensor, gradient: Tensor | None
    ) -> tuple[Float[Tensor, "batch dim"], Tensor]:
        """Return mean and variance of step k at one state a path."""
        drift, raw = self.parts(x, outputs, None if tables.units is None else tables.units[k])
        mean = torch.addcmul(tables.scale[k] * x, drift, tables.steps.gain[k])
        if tables.slope is not None and gradient is not None:
            mean = torch.addcmul(mean, tables.slope[k], clipped(gradient))
        variance = tables.steps.forward_variance[k]
        return mean, variance if raw is None else variance * self.log_variance_change(raw).exp()

    def log_probability(
        self,
        tables: Tables,
        states: Float[Tensor, "knots batch dim"],
        outputs: Float[Tensor, "steps batch outputs"],
        gradients: Float[Tensor, "steps batch dim"] | None,
    ) -> Float[Tensor, "steps batch"]:
        """Return the log probability of every step of paths."""
        steps = tables.steps
        drift, raw = self.parts(states[:-1], outputs, tables.units)
        mean = torch.addcmul(tables.scale[:, None] * states[:-1], drift, steps.gain[:, None, None])
        if tables.slope is not None and gradients is not None:
            mean = torch.addcmul(mean, tables.slope[:, None], clipped(gradients))
        squares = (states[1:] - mean).square()
        logs = self.dim * (2 * torch.pi * steps.forward_variance).log()[:, None]
        if raw is None:
            return -0.5 * (squares.sum(dim=2) / steps.forward_variance[:, None] + logs)
        change = self.log_variance_change(raw)
        quadratic = (squares * torch.exp(-change)).sum(dim=2) / steps.forward_variance[:, None]
        return -0.5 * (quadratic + change.sum(dim=2) + logs)


class BackwardPolicy(nn.Module):
    """Learned kernels away from the target: those of the reference process, changed by a bounded share.

    Parameters
    ----------
    dim, process, hidden, layers, condition_dim, waves
        As for `ForwardPolicy`.
    share
        The largest relative change of the mean's shift and of the variance.
    """

    def __init__(
        self,
        dim: int,
        process: Process,
        *,
        hidden: int = 64,
        layers: int = 2,
        condition_dim: int = 0,
        share: float = 0.1,
        waves: int = 4,
    ) -> None:
        super().__init__()
        self.dim, self.share = dim, share
        self.network = SamplerNetwork(
            dim,
            2 * dim,
            hidden=hidden,
            layers=layers,
            condition_dim=condition_dim,
            scale=process.variance**0.5,
            waves=waves if process.periodic else 0,
        )

    def kernel(self, steps: Steps, x: Tensor, outputs: Tensor, k: int | slice) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the steps k, from the states after them."""
        shift, spread = (1 + self.share * torch.tanh(part) for part in outputs.chunk(2, dim=-1))
        scale, variance = steps.backward_scale[k], steps.backward_variance[k]
        if isinstance(k, slice):
            scale, variance = scale[:, None, None], variance[:, None, None]
        return x - (1 - scale) * shift * x, variance * spread


def clipped(gradient: Tensor) -> Tensor:
    """Return the gradient with each coordinate clipped."""
    return gradient.clamp(-GRADIENT_CLIP, GRADIENT_CLIP)
