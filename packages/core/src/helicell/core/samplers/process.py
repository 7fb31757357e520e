"""Reference processes on time grids: what a diffusion sampler starts from, and where its backward kernels come from.

A reference process is linear and Gaussian, so that on any grid of times it is a table of numbers a step, `Steps`:

    forward   x_{k+1} ~ N(forward_scale_k x_k + (what the policy adds), forward_variance_k)
    backward  x_k     ~ N(backward_scale_k x_{k+1}, backward_variance_k)
    marginal  x_k     ~ N(0, marginal_variance_k)

| process | starts at | its backward kernels |
| --- | --- | --- |
| `Brownian` | zero | the exact bridges to zero |
| `TorusBrownian` | the uniform distribution of angles | exact |
| `OrnsteinUhlenbeck` | its stationary normal distribution | exact |
| `VariancePreserving` | the same | one Euler step of the noising process |

Angles are kept unwrapped along a path: a path on the torus is its start and its increments, and the two ways to tell a
path, from its start with forward increments or from its end with backward ones, are one to one. So Gaussian densities
of increments, and policies with a period of 2 pi, are all that a torus takes; no sums over windings.

Times run from 0 (the start) to 1 (the target). Grids: `uniform_grid`, `geometric_grid` with steps that shrink towards
the target, and `random_grid`, a random part of a finer one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import InputError, unknown_option

GRIDS = ("uniform", "geometric")
# The last step of a geometric grid sees about this share of the time left to it, as all the others do.
FINEST = 0.01
# Noise rates of the variance-preserving process at its ends, over half of which the reference forgets its start.
SLOWEST_RATE, FASTEST_RATE = 0.1, 12.0


@dataclass(frozen=True, slots=True)
class Steps:
    """A reference process on a grid of times.

    Attributes
    ----------
    times
        [steps + 1], from 0 to 1.
    forward_scale, forward_variance
        [steps] of the kernels without a policy.
    backward_scale, backward_variance
        [steps]; a variance of zero makes the kernel a point mass, whose log density counts as zero.
    marginal_variance
        [steps + 1] of the process without a policy; infinite where it is uniform on a torus.
    gain
        [steps]: what one unit of a policy's output moves a step. The optimal policy's output is then about one.
    periodic
        Whether the states are angles, uniform at all times without a policy.
    """

    times: Float[Tensor, " knots"]
    forward_scale: Float[Tensor, " steps"]
    forward_variance: Float[Tensor, " steps"]
    backward_scale: Float[Tensor, " steps"]
    backward_variance: Float[Tensor, " steps"]
    marginal_variance: Float[Tensor, " knots"]
    gain: Float[Tensor, " steps"]
    periodic: bool = False

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self.gain)

    @property
    def starts_at_zero(self) -> bool:
        """Whether the process starts at a point, and not in a distribution."""
        return float(self.marginal_variance[0]) == 0

    def start(self, count: int, dim: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        """Return starting points."""
        if self.starts_at_zero:
            return self.gain.new_zeros(count, dim)
        noise = torch.randn(count, dim, generator=generator, dtype=self.gain.dtype).to(self.gain.device)
        return self.start_from(noise)

    def start_from(self, noise: Float[Tensor, "count dim"]) -> Float[Tensor, "count dim"]:
        """Return the starting points that standard normal numbers give."""
        if self.periodic:
            return uniform_angles(noise)
        return self.marginal_variance[0].sqrt() * noise

    def log_marginal(self, states: Float[Tensor, "some batch dim"], knots: slice) -> Float[Tensor, "some batch"]:
        """Return the log density of the process without a policy, of states at some of the knots."""
        if self.periodic:
            return states.new_full(states.shape[:2], -states.shape[2] * math.log(2 * math.pi))
        variance = self.marginal_variance[knots, None]
        quadratic = states.square().sum(dim=2) / variance
        return -0.5 * (quadratic + states.shape[2] * (2 * math.pi * variance).log())

    def bridge(
        self, end: Float[Tensor, "batch dim"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "knots batch dim"]:
        """Draw whole paths backwards from their ends, by the backward kernels.

        With the products P_k of the backward scales from 0 to k, the kernels read x_k / P_k = x_{k+1} / P_{k+1} plus
        independent noise, so that a path is one cumulative sum.
        """
        noise = torch.randn(self.count, *end.shape, generator=generator, dtype=end.dtype).to(end.device)
        first = 1 if self.starts_at_zero else 0
        logs = self.backward_scale[first:].double().log()
        # From the end: products of the scales of the steps after k.
        after = logs.flip(0).cumsum(0).flip(0).exp().to(end)
        deviations = self.backward_variance[first:].sqrt().to(end) / after
        walk = (deviations[:, None, None] * noise[first:]).flip(0).cumsum(0).flip(0)
        middle = after[:, None, None] * (end + walk)
        paths = (end.new_zeros(1, *end.shape), middle) if first else (middle,)
        return torch.cat((*paths, end[None]))


class Brownian:
    """Brownian motion from zero, with the given variance at time 1.

    Parameters
    ----------
    variance
        sigma^2.

    Examples
    --------
    >>> steps = Brownian(4.0).on(uniform_grid(4))
    >>> steps.backward_variance.tolist()
    [0.0, 0.5, 0.6666666865348816, 0.75]
    """

    periodic = False

    def __init__(self, variance: float) -> None:
        self.variance = _positive(variance)

    def on(self, times: Float[Tensor, " knots"]) -> Steps:
        """Return the process on a grid."""
        start, end = times[:-1], times[1:]
        widths = end - start
        variance = self.variance * widths
        left = self.variance * (1 - start + FINEST)
        return Steps(
            times=times,
            forward_scale=torch.ones_like(widths),
            forward_variance=variance,
            backward_scale=start / end,
            backward_variance=variance * start / end,
            marginal_variance=self.variance * times,
            gain=variance / left.sqrt(),
        )


class TorusBrownian:
    """Brownian motion of angles, which starts uniform and stays so, with the given variance of its way at time 1.

    Parameters
    ----------
    variance
        sigma^2: how far a path comes. Its grid may shrink towards the target, as that of `Brownian` does.
    """

    periodic = True

    def __init__(self, variance: float) -> None:
        self.variance = _positive(variance)

    def on(self, times: Float[Tensor, " knots"]) -> Steps:
        """Return the process on a grid."""
        brownian = Brownian(self.variance).on(times)
        ones = torch.ones_like(brownian.gain)
        return replace(
            brownian,
            backward_scale=ones,
            backward_variance=brownian.forward_variance,
            marginal_variance=torch.full_like(times, torch.inf),
            periodic=True,
        )


class OrnsteinUhlenbeck:
    """The stationary process N(0, variance) with exact kernels, as the denoising diffusion sampler has it.

    Parameters
    ----------
    variance
        Of the stationary distribution.

    References
    ----------
    Vargas, Grathwohl and Doucet, Denoising diffusion samplers, arXiv 2302.13834.
    """

    citations = ("vargas2023denoising",)
    periodic = False

    def __init__(self, variance: float) -> None:
        self.variance = _positive(variance)

    def on(self, times: Float[Tensor, " knots"]) -> Steps:
        """Return the process on a grid."""
        kept = (-0.5 * _rate_integral(times)).exp()
        lost = self.variance * (1 - kept.square())
        return Steps(
            times=times,
            forward_scale=kept,
            forward_variance=lost,
            backward_scale=kept,
            backward_variance=lost,
            marginal_variance=torch.full_like(times, self.variance),
            gain=lost / math.sqrt(self.variance),
        )


class VariancePreserving:
    """The time reversal of a variance-preserving noising process, both by Euler steps.

    Parameters
    ----------
    variance
        Of the distribution that the noising process goes to.

    References
    ----------
    Berner, Richter and Ullrich, An optimal control perspective on diffusion-based generative modeling, arXiv
    2211.01364.
    """

    citations = ("berner2024optimal",)
    periodic = False

    def __init__(self, variance: float) -> None:
        self.variance = _positive(variance)

    def on(self, times: Float[Tensor, " knots"]) -> Steps:
        """Return the process on a grid.

        The reverse drift is half the rate times x plus the rate times the variance times the score, and the score of
        the stationary distribution is -x / variance; a policy adds what the target's score has beyond that.
        """
        rate = _rate_integral(times)
        if float(rate.max()) >= 2:
            message = f"{len(rate)} steps are too few for Euler steps of the noising process; take twice as many"
            raise InputError(message)
        return Steps(
            times=times,
            forward_scale=1 - 0.5 * rate,
            forward_variance=self.variance * rate,
            backward_scale=1 - 0.5 * rate,
            backward_variance=self.variance * rate,
            marginal_variance=torch.full_like(times, self.variance),
            gain=rate * math.sqrt(self.variance),
        )


Process = Brownian | TorusBrownian | OrnsteinUhlenbeck | VariancePreserving
PROCESSES: dict[str, type[Brownian] | type[OrnsteinUhlenbeck] | type[VariancePreserving]] = {
    "brownian": Brownian,
    "ornstein-uhlenbeck": OrnsteinUhlenbeck,
    "variance-preserving": VariancePreserving,
}


def make_process(name: str, variance: float, *, periodic: bool = False) -> Process:
    """Return a reference process by its name; for angles, the one of that name on the torus.

    Raises
    ------
    InputError
        If the name is unknown, the variance not positive, or there is no such process of angles.
    """
    if name not in PROCESSES:
        raise unknown_option("process", name, PROCESSES)
    if not periodic:
        return PROCESSES[name](variance)
    if name != "brownian":
        message = f"the process {name} is not defined for angles; choose brownian, with any objective but dds and dis"
        raise InputError(message)
    return TorusBrownian(variance)


def uniform_angles(noise: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Return angles in [-pi, pi], uniform if the numbers given are standard normal."""
    return 2 * math.pi * torch.special.ndtr(noise) - math.pi


def uniform_grid(steps: int) -> Float[Tensor, " knots"]:
    """Return times in equal steps.

    Examples
    --------
    >>> uniform_grid(4).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return torch.linspace(0, 1, _steps(steps) + 1)


def geometric_grid(steps: int, *, finest: float = FINEST) -> Float[Tensor, " knots"]:
    """Return times whose distance to 1, plus `finest`, shrinks by the same factor every step.

    Each step then covers the same share of the variance that is left, which is where a target with narrow modes needs
    its steps.
    """
    powers = torch.linspace(0, 1, _steps(steps) + 1, dtype=torch.float64)
    times = (1 + finest) - (1 + finest) * (finest / (1 + finest)) ** powers
    times[0], times[-1] = 0.0, 1.0
    return times.float()


def make_grid(name: str, steps: int) -> Float[Tensor, " knots"]:
    """Return a grid by its name.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in GRIDS:
        raise unknown_option("grid", name, GRIDS)
    return uniform_grid(steps) if name == "uniform" else geometric_grid(steps)


@cited("berner2025discrete")
def random_grid(
    times: Float[Tensor, " knots"], steps: int, generator: torch.Generator | None = None
) -> Float[Tensor, " coarse"]:
    """Return a coarser grid with its inner times jittered, for cheap training steps.

    The knots of the given grid are interpolated at equal shares of its steps, each inner share moved at random by up to
    0.4 of the distance to its neighbours.

    References
    ----------
    Berner and others, From discrete-time policies to continuous-time diffusion samplers, arXiv 2501.06148.
    """
    shares = torch.arange(_steps(steps) + 1, dtype=torch.float64)
    # A little less than half the distance, so that no step vanishes.
    shares[1:-1] += 0.8 * (torch.rand(steps - 1, generator=generator, dtype=torch.float64) - 0.5)
    place = shares * ((len(times) - 1) / steps)
    below = place.long().clamp_max(len(times) - 2)
    lower, upper = times.double()[below], times.double()[below + 1]
    return (lower + (upper - lower) * (place - below)).to(times.dtype)


def _rate_integral(times: Tensor) -> Tensor:
    """The integral over each step of the noise rate, which is largest at the start and falls along a cosine."""
    low, high = SLOWEST_RATE, FASTEST_RATE
    integral = low * times + (high - low) * (0.5 * times + torch.sin(math.pi * times) / (2 * math.pi))
    return integral.diff()


def _positive(variance: float) -> float:
    if not (variance > 0 and math.isfinite(variance)):
        message = f"the variance of the reference process is {variance}, expected a positive number"
        raise InputError(message)
    return float(variance)


def _steps(steps: int) -> int:
    if steps < 1:
        message = f"the number of steps is {steps}, expected 1 or more"
        raise InputError(message)
    return steps
