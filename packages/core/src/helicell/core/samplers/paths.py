"""Paths of a sampler, forwards by rolling out its policy and backwards from given ends, and their probabilities.

Paths are made without a graph. A forward path keeps the network's activations, so that its log probabilities need no
second evaluation; those of a backward path are computed in one pass over all its states. The log reward and, where the
policy or the objective needs them, gradients and values along the path come from the same calls of the energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.samplers.energies.energy import Target
from helicell.core.samplers.networks import Record, log_normal
from helicell.core.samplers.policies import BackwardPolicy, ForwardPolicy, Tables, clipped
from helicell.core.samplers.process import Steps


@dataclass(frozen=True, slots=True)
class Path:
    """A batch of paths, from the start to the target.

    Attributes
    ----------
    steps
        The reference process on the grid of the paths.
    states
        All states.
    log_reward
        Log reward of the last states.
    finite
        Paths with a finite log reward; the others are not to be learned from.
    gradients
        Gradients of the log reward at all states but the last, for a policy with the Langevin part.
    log_rewards
        Log rewards at all states, for forward-looking objectives.
    condition
        One a path, for a conditional energy.
    record
        The network's activations at these states, valid until the weights change.
    """

    steps: Steps
    states: Float[Tensor, "knots batch dim"]
    log_reward: Float[Tensor, " batch"]
    finite: Bool[Tensor, " batch"]
    gradients: Float[Tensor, "steps batch dim"] | None = None
    log_rewards: Float[Tensor, "knots batch"] | None = None
    condition: Tensor | None = None
    record: Record | None = None

    @property
    def ends(self) -> Float[Tensor, "batch dim"]:
        """The last states."""
        return self.states[-1]

    def without_record(self) -> Path:
        """Return the same paths without activations, to be learned from again after the weights have changed."""
        return Path(
            self.steps, self.states, self.log_reward, self.finite, self.gradients, self.log_rewards, self.condition
        )


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Log probabilities of paths.

    Attributes
    ----------
    forward, backward
        Of every step by either policy; the start's probability belongs to the first forward step.
    log_flow
        The network's log flow at all states but the last, if it gives one.
    """

    forward: Float[Tensor, "steps batch"]
    backward: Float[Tensor, "steps batch"]
    log_flow: Float[Tensor, "steps batch"] | None

    @property
    def log_ratio(self) -> Float[Tensor, " batch"]:
        """Backward less forward log probability of whole paths."""
        return (self.backward - self.forward).sum(dim=0)


@torch.no_grad()
def roll_out(
    policy: ForwardPolicy,
    steps: Steps,
    target: Target,
    count: int,
    *,
    generator: torch.Generator | None = None,
    exploration: float = 0.0,
    condition: Tensor | None = None,
    values: bool = False,
    keep: bool = True,
    noise: Float[Tensor, "knots count dim"] | None = None,
) -> Path:
    """Sample paths by the forward policy, without a graph.

    Parameters
    ----------
    policy, steps, target
        What is followed, on which grid, towards what.
    count
        Paths.
    generator
        Of the random numbers.
    exploration
        The variance of every step is larger by this share.
    condition
        One a path, for a conditional energy.
    values
        Whether to keep the log rewards at all states.
    keep
        Whether to keep the network's activations.
    noise
        Standard normal numbers to use instead of the generator's; the first is that of the start.
    """
    tables = policy.tables(steps)
    context = policy.network.embed(condition)
    like = tables.rows
    if noise is None:
        noise = torch.randn(steps.count + 1, count, policy.dim, generator=generator, dtype=like.dtype).to(like.device)
    states = torch.empty_like(noise)
    states[0] = 0 if steps.starts_at_zero else steps.start_from(noise[0])
    gradients = torch.empty_like(noise[1:]) if policy.langevin else None
    log_rewards = noise.new_empty(noise.shape[:2]) if values else None
    record = Record(policy.network, steps.count if keep else 1, count)
    deviations = (steps.forward_variance * (1 + exploration)).sqrt().tolist()
    gains = steps.gain.tolist()
    finite: Tensor | None = None
    for k in range(steps.count):
        x = states[k]
        outputs = record.step(k if keep else 0, x, tables.rows[k], context)
        drift, raw = policy.parts(x, outputs, None if tables.units is None else tables.units[k])
        following = torch.mul(tables.scale[k], x, out=states[k + 1]).add_(drift, alpha=gains[k])
        if policy.langevin or values:
            evaluation = target.evaluate(x, condition, gradient=policy.langevin)
            finite = evaluation.finite if finite is None else finite & evaluation.finite
            if log_rewards is not None:
                log_rewards[k] = evaluation.log_reward
            if gradients is not None and evaluation.gradient is not None and tables.slope is not None:
                gradients[k] = evaluation.gradient
                following.addcmul_(tables.slope[k], clipped(gradients[k]))
        if raw is None:
            following.add_(noise[k + 1], alpha=deviations[k])
        else:
            spread = (0.5 * policy.log_variance_change(raw)).exp_()
            following.addcmul_(spread, noise[k + 1], value=deviations[k])
    return _finished(steps, states, target, finite, gradients, log_rewards, condition, record if keep else None)


@torch.no_grad()
def roll_back(
    policy: ForwardPolicy,
    steps: Steps,
    target: Target,
    ends: Float[Tensor, "batch dim"],
    *,
    log_reward: Float[Tensor, " batch"] | None = None,
    backward: BackwardPolicy | None = None,
    generator: torch.Generator | None = None,
    condition: Tensor | None = None,
    values: bool = False,
) -> Path:
    """Sample paths backwards from their ends, without a graph.

    Parameters
    ----------
    policy, steps, target
        As for `roll_out`.
    ends
        Where the paths end.
    log_reward
        Their log rewards, if they are known.
    backward
        Learned backward kernels; the reference process's own, in closed form, unless given.
    generator, condition, values
        As for `roll_out`.
    """
    if backward is None:
        states = steps.bridge(ends, generator)
    else:
        states = _backwards(backward, steps, ends, condition, generator)
    gradients = log_rewards = finite = None
    if policy.langevin or values:
        inner = states[:-1].flatten(0, 1)
        repeated = None if condition is None else condition.repeat(steps.count, 1)
        evaluation = target.evaluate(inner, repeated, gradient=policy.langevin)
        finite = evaluation.finite.view(steps.count, -1).all(dim=0)
        if evaluation.gradient is not None:
            gradients = evaluation.gradient.view_as(states[:-1])
        if values:
            log_rewards = torch.cat((evaluation.log_reward.view(steps.count, -1), states.new_empty(1, len(ends))))
    return _finished(steps, states, target, finite, gradients, log_rewards, condition, None, log_reward)


def probabilities(
    policy: ForwardPolicy, path: Path, *, backward: BackwardPolicy | None = None, tables: Tables | None = None
) -> Probabilities:
    """Return the log probabilities of paths, differentiable in the weights of the policies.

    Parameters
    ----------
    policy
        The forward policy.
    path
        The paths.
    backward
        Learned backward kernels; the reference process's own unless given.
    tables
        Those of the forward policy on the paths' grid, if they are at hand.
    """
    tables = tables if tables is not None else policy.tables(path.steps)
    context = policy.network.embed(path.condition)
    outputs = policy.network.along_path(path.states[:-1], tables.rows, context, record=path.record)
    forward = policy.log_probability(tables, path.states, outputs, path.gradients)
    if not path.steps.starts_at_zero:
        start = path.steps.log_marginal(path.states[:1], slice(1))
        forward = torch.cat((forward[:1] + start, forward[1:]))
    _, _, log_flow = policy.split(outputs)
    return Probabilities(forward, backward_log_probability(path, backward), log_flow)


def backward_log_probability(path: Path, backward: BackwardPolicy | None = None) -> Float[Tensor, "steps batch"]:
    """Return the log probability of every step by the backward kernels; zero where a kernel is a point mass."""
    steps, states = path.steps, path.states
    first = 1 if steps.starts_at_zero else 0
    part = slice(first, None)
    if backward is None:
        mean = steps.backward_scale[part, None, None] * states[first + 1 :]
        variance = steps.backward_variance[part]
        squares = (states[first:-1] - mean).square_().sum(dim=2)
        logs = states.shape[2] * (2 * torch.pi * variance).log()
        found = -0.5 * (squares / variance[:, None] + logs[:, None])
    else:
        rows = backward.network.time(steps.times[1:])
        context = backward.network.embed(path.condition)
        outputs = backward.network.along_path(states[1:], rows, context)
        mean, variance = backward.kernel(steps, states[first + 1 :], outputs[part], part)
        found = log_normal(states[first:-1], mean, variance)
    return torch.cat((found.new_zeros(first, found.shape[1]), found))


def _backwards(
    backward: BackwardPolicy,
    steps: Steps,
    ends: Tensor,
    condition: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Follow learned backward kernels step by step."""
    rows = backward.network.time(steps.times[1:])
    context = backward.network.embed(condition)
    noise = torch.randn(steps.count, *ends.shape, generator=generator, dtype=ends.dtype).to(ends.device)
    states = [ends]
    for k in reversed(range(steps.count)):
        outputs = backward.network(states[-1], rows[k], context)
        mean, variance = backward.kernel(steps, states[-1], outputs, k)
        states.append(mean + variance.sqrt() * noise[k])
    if steps.starts_at_zero:
        states[-1] = torch.zeros_like(ends)
    return torch.stack(states[::-1])


def _finished(
    steps: Steps,
    states: Tensor,
    target: Target,
    finite: Tensor | None,
    gradients: Tensor | None,
    log_rewards: Tensor | None,
    condition: Tensor | None,
    record: Record | None,
    log_reward: Tensor | None = None,
) -> Path:
    """Evaluate the ends, where that has not been done, and put everything together."""
    if log_reward is None:
        log_reward = target.evaluate(states[-1], condition).log_reward
    ended = log_reward.isfinite()
    finite = ended if finite is None else finite & ended
    if log_rewards is not None:
        log_rewards[-1] = log_reward
    return Path(steps, states, log_reward, finite, gradients, log_rewards, condition, record)
