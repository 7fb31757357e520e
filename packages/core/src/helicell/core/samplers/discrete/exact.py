"""What is exactly true of a graph that is written down, by dynamic programming over its levels.

With log flows F, F(end) = R(end) and a backward policy, F(s) = sum over children c of F(c) p_B(s | c); the forward
policy p_F(c | s) = F(c) p_B(s | c) / F(s) then ends in x with probability R(x) / Z. Where other policies end, a forward
pass over the levels says. Everything is in double precision.

Bengio and others, GFlowNet foundations, arXiv 2111.09266.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.tabular import NONE, TabularEnvironment

IMPOSSIBLE = float("-inf")


@dataclass(frozen=True, slots=True)
class ExactFlow:
    """A flow that satisfies every balance.

    Attributes
    ----------
    log_flow
        Of each state, shape [states]; of the initial one it is log Z.
    log_forward
        Shape [states, actions], minus infinity where an action is not allowed.
    log_backward
        Shape [states, backward actions], likewise.
    """

    log_flow: Float[Tensor, " states"]
    log_forward: Float[Tensor, "states actions"]
    log_backward: Float[Tensor, "states backward_actions"]


def log_partition(environment: TabularEnvironment) -> float:
    """Return log Z, the logarithm of the sum of the rewards of all terminal states."""
    return float(environment.reward_table[environment.ends].double().logsumexp(dim=0))


def target_distribution(environment: TabularEnvironment) -> Float[Tensor, " states"]:
    """Return the probability of each state that the reward asks for; zero where it is not terminal."""
    probabilities = torch.zeros(environment.states, dtype=torch.float64)
    ends = environment.ends
    probabilities[ends] = environment.reward_table[ends].double().softmax(dim=0)
    return probabilities


def exact_flow(
    environment: TabularEnvironment, *, log_backward: Float[Tensor, "states backward_actions"] | None = None
) -> ExactFlow:
    """Return the flow of a backward policy.

    Parameters
    ----------
    environment
        The graph.
    log_backward
        Log-probabilities of the backward actions; all parents alike unless given.

    Raises
    ------
    InputError
        If the probabilities of a state's parents do not sum to one.
    """
    if log_backward is None:
        log_backward = uniform_backward(environment)
    _check_backward(environment, log_backward)
    log_backward = log_backward.double().masked_fill(~environment.undoable_table, IMPOSSIBLE)
    log_flow = torch.full((environment.states,), IMPOSSIBLE, dtype=torch.float64)
    log_flow[environment.ends] = environment.reward_table[environment.ends].double()
    log_forward = torch.full(environment.children.shape, IMPOSSIBLE, dtype=torch.float64)
    for level in reversed(environment.levels()):
        inner = level[~environment.terminal_table[level]]
        child = environment.children[inner]
        edges = log_flow[child] + log_backward[child, environment.backward_table[inner]]
        edges = edges.masked_fill(child == NONE, IMPOSSIBLE)
        log_flow[inner] = edges.logsumexp(dim=1)
        # No reward can be reached where the flow is zero: any action will do.
        log_forward[inner] = torch.where(
            log_flow[inner, None] > IMPOSSIBLE,
            edges - log_flow[inner, None],
            uniform(environment.allowed_table[inner]),
        )
    return ExactFlow(log_flow, log_forward, log_backward)


def terminal_distribution(
    environment: TabularEnvironment, log_forward: Float[Tensor, "states actions"]
) -> Float[Tensor, " states"]:
    """Return the probability that a policy ends in each state.

    Parameters
    ----------
    environment
        The graph.
    log_forward
        Log-probabilities of the actions.
    """
    log_forward = log_forward.double().masked_fill(~environment.allowed_table, IMPOSSIBLE)
    reached = torch.zeros(environment.states, dtype=torch.float64)
    reached[environment.initial_state] = 1
    for level in environment.levels():
        child = environment.children[level]
        flow = reached[level, None] * log_forward[level].exp()
        allowed = child != NONE
        reached.index_add_(0, child[allowed], flow[allowed])
    return torch.where(environment.terminal_table, reached, 0)


def total_variation(first: Float[Tensor, " states"], second: Float[Tensor, " states"]) -> float:
    """Return half the summed difference of two distributions."""
    return 0.5 * float((first - second).abs().sum())


def divergence(first: Float[Tensor, " states"], second: Float[Tensor, " states"]) -> float:
    """Return the Kullback-Leibler divergence of the first distribution from the second, in nats."""
    inside = first > 0
    return float((first[inside] * (first[inside] / second[inside]).log()).sum())


def marginals(
    distribution: Float[Tensor, " states"], features: Shaped[Tensor, "states features"]
) -> Float[Tensor, " features"]:
    """Return the mean features under a distribution: with one-hot features, the marginals of their parts."""
    return distribution @ features.to(distribution)


def uniform_backward(environment: TabularEnvironment) -> Float[Tensor, "states backward_actions"]:
    """Return the log-probabilities that take all parents alike."""
    return uniform(environment.undoable_table)


def uniform(mask: Tensor) -> Tensor:
    """Return log-probabilities, in double precision, that are the same wherever a mask [..., choices] is true."""
    count = mask.sum(dim=-1, keepdim=True).clamp_min(1).double()
    return torch.where(mask, -count.log(), IMPOSSIBLE)


def _check_backward(environment: TabularEnvironment, log_backward: Tensor) -> None:
    inner = environment.order[environment.undoable_table[environment.order].any(dim=1)]
    sums = log_backward[inner].double().masked_fill(~environment.undoable_table[inner], IMPOSSIBLE).logsumexp(dim=1)
    worst = sums.abs().max() if len(sums) else torch.zeros(())
    if worst > 1e-4:
        state = int(inner[sums.abs().argmax()])
        message = (
            f"the backward probabilities of state {state} sum to {float(sums.abs().max().exp()):.4g}, expected 1; "
            "give logarithms that are normalised over the parents"
        )
        raise InputError(message)
