"""Walks on a table of states by a table of probabilities, in compiled code: lookups and comparisons, nothing else."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor

from helicell.core.samplers.discrete.tabular import TabularEnvironment
from helicell.core.samplers.discrete.walks import Walks


def walk_table(
    environment: TabularEnvironment,
    log_forward: Float[Tensor, "states actions"],
    count: int,
    *,
    generator: torch.Generator,
    exploration: float = 0.0,
) -> Walks:
    """Walk from the initial state until every walk has ended, as `walks.walk` does, on the CPU.

    Parameters
    ----------
    environment
        The graph.
    log_forward
        Log-probabilities of the actions of all states, up to a constant in each.
    count, generator, exploration
        As in `walks.walk`.
    """
    longest = environment.longest
    columns = environment.actions + (exploration > 0)
    noise = torch.empty(longest, count, columns).exponential_(generator=generator).log_()
    explored = math.log(-math.log1p(-exploration)) if 0 < exploration < 1 else math.inf
    states = torch.full((longest + 1, count), environment.initial_state)
    actions = torch.zeros(longest, count, dtype=torch.long)
    undoing = torch.zeros_like(actions)
    lengths = torch.zeros(count, dtype=torch.long)
    _walk(
        environment.children.numpy(),
        environment.backward_table.numpy(),
        log_forward.float().numpy(),
        noise.numpy(),
        states.numpy(),
        actions.numpy(),
        undoing.numpy(),
        lengths.numpy(),
        explored,
    )
    steps = int(lengths.max()) if count else 0
    return Walks(states[: steps + 1], actions[:steps], undoing[:steps], lengths)


@njit(cache=True)
def _walk(
    children: Any,
    backward: Any,
    log_forward: Any,
    noise: Any,
    states: Any,
    actions: Any,
    undoing: Any,
    lengths: Any,
    explored: Any,
) -> None:
    longest, count, columns = noise.shape
    choices = children.shape[1]
    for walk in range(count):
        state = states[0, walk]
        for step in range(longest):
            explores = columns > choices and noise[step, walk, choices] < explored
            best, chosen = -math.inf, -1
            for action in range(choices):
                if children[state, action] < 0:
                    continue
                value = (0.0 if explores else log_forward[state, action]) - noise[step, walk, action]
                if chosen < 0 or value > best:
                    best, chosen = value, action
            if chosen < 0:
                break
            actions[step, walk] = chosen
            undoing[step, walk] = backward[state, chosen]
            state = children[state, chosen]
            lengths[walk] = step + 1
            states[step + 1, walk] = state
        for step in range(lengths[walk] + 1, longest + 1):
            states[step, walk] = state
