"""Graphs of states that are written down: a table of children by state and action.

    environment = TabularEnvironment(children, log_reward)
    environment = tabulate(other_environment)

Masks, parents and a topological order are worked out once, so that a step is one lookup, and every distribution over
the graph can be computed exactly (see `exact`).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States

# Where the table of children has no child.
NONE = -1


class TabularEnvironment(Environment):
    """A graph of states 0 to `states - 1`, in which a batch of states is a tensor [batch] of their numbers.

    Parameters
    ----------
    children
        The child by state and action, shape [states, actions], -1 where the action is not allowed. A state without
        children is terminal.
    log_reward
        Shape [states]; only that of terminal states counts.
    features
        What a network sees of each state, shape [states, features]; unless given, one number a state that is 1 there.
    log_potential
        Shape [states], for the forward-looking objectives.
    initial_state
        Where walks start.

    Raises
    ------
    InputError
        If a child does not exist, there is a cycle, or the shapes do not fit.

    Examples
    --------
    A walk left or right, then to an end of its own:

    >>> environment = TabularEnvironment(torch.tensor([[1, 2], [-1, -1], [-1, -1]]), torch.tensor([0.0, 0.0, 1.0]))
    >>> environment.terminal(torch.tensor([0, 1])), environment.longest
    (tensor([False,  True]), 1)
    """

    def __init__(
        self,
        children: Int[Tensor, "states actions"],
        log_reward: Float[Tensor, " rows"],  # its own axis: that it fits is checked below, in words
        *,
        features: Float[Tensor, "states features"] | None = None,
        log_potential: Float[Tensor, " states"] | None = None,
        initial_state: int = 0,
    ) -> None:
        count, self.actions = children.shape
        _check_children(children)
        for name, values in (("log_reward", log_reward), ("features", features), ("log_potential", log_potential)):
            if values is not None and len(values) != count:
                message = f"{name} has {len(values)} rows for {count} states; give one for each state"
                raise InputError(message)
        self.children = children.long()
        self.initial_state = initial_state
        self.reward_table = log_reward
        self.potential_table = log_potential
        self.feature_table = torch.eye(count) if features is None else features
        self.features = self.feature_table.shape[1]
        self.allowed_table = self.children != NONE
        self.forbidden_table = ~self.allowed_table
        self.terminal_table = ~self.allowed_table.any(dim=1)
        self.order, sizes = _levels(self.children, initial_state)
        self._number_parents()
        self.level_sizes = tuple(sizes)
        self.longest = len(sizes) - 1
        ends = self.order[self.terminal_table[self.order]]
        self.ends_by_stopping = bool((self.undoable_table[ends].sum(dim=1) <= 1).all())

    def _number_parents(self) -> None:
        """Number the parents of each state: by the action that comes from them, or in turn where that is not unique."""
        reached = torch.zeros_like(self.allowed_table)
        reached[self.order] = True
        # A parent that no walk comes to is none: flow that was led back to it would be lost.
        parent, action = (self.allowed_table & reached).nonzero(as_tuple=True)
        child = self.children[parent, action]
        slot = action
        if len(torch.unique(child * self.actions + action)) < len(child):
            order = child.argsort(stable=True)
            counts = torch.bincount(child, minlength=len(self.children))
            starts = counts.cumsum(0) - counts
            slot = torch.empty_like(child)
            slot[order] = torch.arange(len(child)) - starts[child[order]]
        self.backward_actions = int(slot.max()) + 1 if len(slot) else 1
        shape = (len(self.children), self.backward_actions)
        self.parents = torch.full(shape, NONE)
        self.forward_table = torch.full(shape, NONE)
        self.parents[child, slot] = parent
        self.forward_table[child, slot] = action
        self.backward_table = torch.full_like(self.children, NONE)
        self.backward_table[parent, action] = slot
        self.undoable_table = self.parents != NONE

    @property
    def states(self) -> int:
        """How many states the table has."""
        return len(self.children)

    @property
    def ends(self) -> Int[Tensor, " ends"]:
        """The terminal states that can be reached, in ascending order."""
        return self.order[self.terminal_table[self.order]].sort().values

    def levels(self) -> list[Int[Tensor, " level"]]:
        """Return the reachable states, parents always in an earlier level than their children."""
        return list(self.order.split(self.level_sizes))

    def initial(self, count: int) -> States:
        return torch.full((count,), self.initial_state, device=self.device)

    def allowed(self, states: States) -> Bool[Tensor, "batch actions"]:
        return self.allowed_table.index_select(0, states)

    def forbidden(self, states: States) -> Bool[Tensor, "batch actions"]:
        return self.forbidden_table.index_select(0, states)

    def undoable(self, states: States) -> Bool[Tensor, "batch backward_actions"]:
        return self.undoable_table.index_select(0, states)

    def terminal(self, states: States) -> Bool[Tensor, " batch"]:
        return self.terminal_table.index_select(0, states)

    def step(self, states: States, actions: Int[Tensor, " batch"]) -> States:
        return self.children.take(states * self.actions + actions)

    def undo(self, states: States, backward_actions: Int[Tensor, " batch"]) -> States:
        return self.parents[states, backward_actions]

    def backward_of(self, states: States, actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return self.backward_table.take(states * self.actions + actions)

    def forward_of(self, states: States, backward_actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return self.forward_table[states, backward_actions]

    def encode(self, states: States) -> Float[Tensor, "batch features"]:
        return self.feature_table.index_select(0, states)

    def log_reward(self, states: States) -> Float[Tensor, " batch"]:
        return self.reward_table[states]

    def log_potential(self, states: States) -> Float[Tensor, " batch"]:
        if self.potential_table is None:
            return super().log_potential(states)
        return self.potential_table[states]


def tabulate(environment: Environment, *, most: int = 200_000) -> tuple[TabularEnvironment, Tensor]:
    """Write down the graph of any environment, by visiting every state that can be reached.

    Parameters
    ----------
    environment
        The environment.
    most
        How many states there may be.

    Returns
    -------
    environment, states
        The table, and its states as the environment knows them, shape [states, ...].

    Raises
    ------
    InputError
        If there are more than `most` states.
    """
    numbers: dict[bytes, int] = {}
    visited: list[Tensor] = []
    rows: list[Tensor] = []
    frontier = environment.initial(1)
    _number(frontier, numbers)
    while len(frontier):
        visited.append(frontier)
        allowed = environment.allowed(frontier)
        state, action = allowed.nonzero(as_tuple=True)
        children = environment.step(frontier[state], action)
        known = len(numbers)
        table = torch.full(allowed.shape, NONE)
        table[state, action] = _number(children, numbers)
        rows.append(table)
        if len(numbers) > most:
            message = f"the environment has more than {most} states; give a greater `most`, or take a smaller one"
            raise InputError(message)
        flat = table[state, action]
        new = torch.full((len(numbers) - known,), NONE)
        later = flat >= known
        new[flat[later] - known] = torch.arange(len(flat))[later]
        frontier = children[new]
    states = torch.cat(visited)
    ends = environment.terminal(states)
    reward = torch.full((len(states),), torch.nan, dtype=torch.float64)
    reward[ends] = environment.log_reward(states[ends]).double()
    try:
        potential = environment.log_potential(states).double()
    except InputError:
        potential = None
    table = torch.cat(rows)
    return TabularEnvironment(table, reward, features=environment.encode(states), log_potential=potential), states


def _number(states: Tensor, numbers: dict[bytes, int]) -> Tensor:
    """Return the number of each state, giving the next ones to those that have none."""
    if not len(states):
        return torch.empty(0, dtype=torch.long)
    flat = np.ascontiguousarray(states.reshape(len(states), -1).cpu().numpy())
    keys = flat.view(f"V{flat.dtype.itemsize * flat.shape[1]}")[:, 0].tolist()
    return torch.tensor([numbers.setdefault(bytes(key), len(numbers)) for key in keys])


def _check_children(children: Tensor) -> None:
    wrong = (children < NONE) | (children >= len(children))
    if wrong.any():
        state, action = (int(number) for number in wrong.nonzero()[0])
        message = (
            f"action {action} of state {state} leads to state {int(children[state, action])}, expected 0 to "
            f"{len(children) - 1}, or -1 where the action is not allowed"
        )
        raise InputError(message)


def _levels(children: Tensor, initial: int) -> tuple[Tensor, list[int]]:
    """Return the reachable states by the length of the longest walk to them, and how many there are of each length."""
    reached = torch.zeros(len(children), dtype=torch.bool)
    reached[initial] = True
    frontier = torch.tensor([initial])
    waiting = torch.zeros(len(children), dtype=torch.long)
    while len(frontier):
        following = children[frontier]
        following = following[following != NONE]
        waiting += torch.bincount(following, minlength=len(children))
        frontier = following[~reached[following]].unique()
        reached[frontier] = True
    levels = [torch.tensor([initial])] if waiting[initial] == 0 else []
    while levels and len(levels[-1]):
        following = children[levels[-1]]
        following = following[following != NONE]
        waiting -= torch.bincount(following, minlength=len(children))
        levels.append(following[waiting[following] == 0].unique())
    levels = levels[:-1]
    order = torch.cat(levels) if levels else torch.empty(0, dtype=torch.long)
    if len(order) < int(reached.sum()):
        message = "the table of children has a cycle; expected a graph in which no walk comes back to a state"
        raise InputError(message)
    return order, [len(level) for level in levels]
