"""Peers of the learned samplers: path-wise training (PIS, DDS, DIS), sequential Monte Carlo, and plain MALA.

PIS, DDS and DIS minimise the divergence from the policy's paths to the backward paths, with gradients through all
states: the path integral sampler on Brownian motion, the denoising diffusion sampler on the Ornstein-Uhlenbeck
process, the time-reversed diffusion sampler on Euler steps of the variance-preserving process. `differentiable_path`
makes such paths, `objectives.path_divergence` is their loss, and all else is as for the other objectives.

`annealed_sampling` and `chain_sampling` need no training and return the same `Samples`.

Zhang and Chen, arXiv 2111.15141; Vargas and others, arXiv 2302.13834; Berner and others, arXiv 2211.01364; Del Moral,
Doucet and Jasra, Sequential Monte Carlo samplers, JRSS B 68 (2006).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.samplers.energies.energy import Energy, Target
from helicell.core.samplers.local_search import BEST_ACCEPTANCE, langevin_search
from helicell.core.samplers.networks import log_normal
from helicell.core.samplers.paths import Path, Probabilities, backward_log_probability
from helicell.core.samplers.policies import ForwardPolicy
from helicell.core.samplers.process import Steps, uniform_angles
from helicell.core.samplers.sampler import Samples
from helicell.core.spaces.torus import wrapped

# Resampling when the effective sample size falls below this share.
RESAMPLE_BELOW = 0.5


class _LogReward(torch.autograd.Function):
    """The log reward with the energy's own gradient, so that paths need no graph through the energy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Target, condition: Tensor | None) -> Tensor:
        evaluation = target.evaluate(x, condition, gradient=True)
        ctx.save_for_backward(evaluation.gradient)
        return evaluation.log_reward

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        return upstream[0][:, None] * ctx.saved_tensors[0], None, None


@cited("zhang2022path", "vargas2023denoising", "berner2024optimal")
def differentiable_path(
    policy: ForwardPolicy,
    steps: Steps,
    target: Target,
    count: int,
    *,
    generator: torch.Generator | None = None,
    condition: Tensor | None = None,
) -> tuple[Path, Probabilities]:
    """Sample paths with a graph through all their states; the gradient of a Langevin part counts as constant.

    Parameters
    ----------
    policy, steps, target, count, generator, condition
        As for `paths.roll_out`.

    Returns
    -------
    path, probabilities
        Both with a graph.
    """
    tables = policy.tables(steps)
    context = policy.network.embed(condition)
    states = [steps.start(count, policy.dim, generator)]
    rows, gradients = [], []
    for k in range(steps.count):
        x = states[-1]
        outputs = policy.network(x, tables.rows[k], context)
        gradient = None
        if policy.langevin:
            gradient = target.evaluate(x.detach(), condition, gradient=True).gradient
            gradients.append(gradient)
        mean, variance = policy.transition(tables, k, x, outputs, gradient)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        states.append(mean + variance.sqrt() * noise)
        rows.append(outputs)
    log_reward = _LogReward.apply(states[-1], target, condition)
    path = Path(
        steps,
        torch.stack(states),
        log_reward,
        log_reward.detach().isfinite(),
        torch.stack([g for g in gradients if g is not None]) if gradients else None,
        None,
        condition,
    )
    forward = policy.log_probability(tables, path.states, torch.stack(rows), path.gradients)
    if not steps.starts_at_zero:
        start = steps.log_marginal(path.states[:1], slice(1))
        forward = torch.cat((forward[:1] + start, forward[1:]))
    return path, Probabilities(forward, backward_log_probability(path), None)


class _Bridged(Energy):
    """The geometric path between a reference distribution and a target, at one inverse temperature."""

    def __init__(self, target: Target, share: float) -> None:
        self.target, self.share = target, share
        self.dim, self.periodic = target.energy.dim, target.energy.periodic

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        evaluation = self.target.evaluate(x, condition, gradient=True)
        assert evaluation.gradient is not None
        value = (1 - self.share) * _log_reference(self.target.energy, x) + self.share * evaluation.log_reward
        pull = 0.0 if self.periodic else x / self.target.energy.variance
        return value, self.share * evaluation.gradient - (1 - self.share) * pull


@cited("delmoral2006sequential", "neal2001annealed")
@torch.no_grad()
def annealed_sampling(
    target: Target,
    count: int,
    *,
    stages: int = 100,
    moves: int = 2,
    step: float = 0.1,
    resample: bool = True,
    generator: torch.Generator | None = None,
) -> Samples:
    """Sample by annealing with MALA moves: sequential Monte Carlo, or AIS.

    Parameters
    ----------
    target
        The energy; the starting distribution is normal with its `variance`, or uniform if it is one of angles.
    count
        Particles.
    stages, moves
        Inverse temperatures between 0 and 1, and MALA steps at each.
    step
        First step size; it follows the acceptance of each stage.
    resample
        Whether to resample when the effective sample size falls to half; without it this is AIS.
    generator
        Of the random numbers.

    Returns
    -------
    Samples
        The mean of the exponentials of the weights estimates Z without bias.
    """
    x = _reference_start(target.energy, count, generator)
    weights, gained = torch.zeros(count), 0.0
    value = target.evaluate(x).log_reward
    size = step
    for stage in range(1, stages + 1):
        # Finer steps at the start, where the reference and the target differ most.
        before, after = ((s / stages) ** 2 for s in (stage - 1, stage))
        weights = weights + (after - before) * (value - _log_reference(target.energy, x))
        if resample and float(_effective_share(weights)) < RESAMPLE_BELOW:
            gained += float(weights.logsumexp(dim=0)) - math.log(count)
            x = x[_systematic(weights.softmax(dim=0), generator)]
            weights = torch.zeros(count)
        bridged = Target(_Bridged(target, after))
        search = langevin_search(
            bridged, x, steps=moves, burn_in=moves - 1, step=size, adapt=False, generator=generator
        )
        x = search.points if len(search.points) == count else x
        size *= math.exp(0.5 * (search.acceptance - BEST_ACCEPTANCE))
        value = target.evaluate(x).log_reward
    return Samples(_in_range(target.energy, x), weights + gained, value)


@torch.no_grad()
def chain_sampling(
    target: Target,
    count: int,
    *,
    steps: int = 1000,
    temperatures: tuple[float, ...] = (1.0,),
    step: float = 0.1,
    generator: torch.Generator | None = None,
) -> Samples:
    """Sample by parallel MALA, one chain a sample, from the start of `annealed_sampling`.

    Parameters
    ----------
    target
        The energy.
    count
        Chains.
    steps
        Steps of each; the last state is the sample.
    temperatures
        A ladder for replica exchange.
    step
        First step size, adapted over the first half.
    generator
        Of the random numbers.

    Returns
    -------
    Samples
        All weights are alike, and say nothing of Z: they are NaN.
    """
    start = _reference_start(target.energy, count, generator)
    search = langevin_search(
        target,
        start,
        steps=steps,
        burn_in=steps // 2,
        step=step,
        temperatures=temperatures,
        keep_every=steps - steps // 2,
        generator=generator,
    )
    return Samples(
        _in_range(target.energy, search.points), torch.full_like(search.log_reward, torch.nan), search.log_reward
    )


def _reference_start(energy: Energy, count: int, generator: torch.Generator | None) -> Tensor:
    """Draw from the reference distribution: uniform for angles, else normal with the energy's variance."""
    noise = torch.randn(count, energy.dim, generator=generator)
    return uniform_angles(noise) if energy.periodic else math.sqrt(energy.variance) * noise


def _log_reference(energy: Energy, x: Tensor) -> Tensor:
    if energy.periodic:
        return x.new_full(x.shape[:1], -energy.dim * math.log(2 * math.pi))
    return log_normal(x, 0.0, torch.full((energy.dim,), energy.variance, dtype=x.dtype))


def _in_range(energy: Energy, x: Tensor) -> Tensor:
    return wrapped(x) if energy.periodic else x


def _effective_share(log_weights: Tensor) -> Tensor:
    """Return the effective sample size as a share of the samples."""
    return (2 * log_weights.logsumexp(dim=0) - (2 * log_weights).logsumexp(dim=0)).exp() / len(log_weights)


def _systematic(shares: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return indices drawn in proportion to shares by one random number."""
    places = (torch.arange(len(shares)) + torch.rand(1, generator=generator)) / len(shares)
    return torch.searchsorted(shares.cumsum(dim=0), places).clamp_max(len(shares) - 1)
