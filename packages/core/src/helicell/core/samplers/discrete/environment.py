"""What a discrete sampler walks on: a directed acyclic graph of states, given by a small batched interface.

A walk starts at the one initial state, takes allowed actions, and ends in a state that allows none. The objects to be
sampled are these terminal states, each as often as its reward says. Every step can be undone: backward actions number
the parents of a state, as actions number its children.

States are rows of one tensor, [batch, ...], and every method works on all rows at once. Where the graph is small, it
can be written down as a table of children, see `tabular`; then everything about it is known exactly, see `exact`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from helicell.core.errors import InputError

States = Shaped[Tensor, "batch *state"]


class Environment(ABC):
    """A graph of states with a reward.

    Attributes
    ----------
    actions, backward_actions
        How many actions there are in all, and how many backward actions.
    features
        How many numbers describe a state to a network.
    longest
        Steps of the longest walk.
    ends_by_stopping
        Whether every terminal state has one parent, as when the last action says that the object is complete. Its
        backward probability is then 1, and no network needs to see it.
    device
        Where states live.
    """

    actions: int
    backward_actions: int
    features: int
    longest: int
    ends_by_stopping: bool = False
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def initial(self, count: int) -> States:
        """Return the initial state, `count` times."""

    @abstractmethod
    def allowed(self, states: States) -> Bool[Tensor, "batch actions"]:
        """Return which actions each state allows; a terminal state allows none."""

    @abstractmethod
    def undoable(self, states: States) -> Bool[Tensor, "batch backward_actions"]:
        """Return which backward actions each state allows; the initial state allows none."""

    @abstractmethod
    def step(self, states: States, actions: Int[Tensor, " batch"]) -> States:
        """Return the children to which allowed actions lead."""

    @abstractmethod
    def undo(self, states: States, backward_actions: Int[Tensor, " batch"]) -> States:
        """Return the parents to which allowed backward actions lead."""

    @abstractmethod
    def encode(self, states: States) -> Float[Tensor, "batch features"]:
        """Return what a network sees of each state."""

    @abstractmethod
    def log_reward(self, states: States) -> Float[Tensor, " batch"]:
        """Return the logarithm of the reward of terminal states."""

    def log_potential(self, states: States) -> Float[Tensor, " batch"]:
        """Return a part of the log-reward that states have gathered on their way, for the forward-looking objectives.

        Any function of the state will do that equals the log-reward in terminal states: minus the energy of a partial
        object, in the words of the paper.

        Raises
        ------
        InputError
            If the environment has none.
        """
        message = (
            f"{type(self).__name__} gives no log_potential for partial objects, which the objectives fl-db and "
            "fl-subtb need; choose tb, vargrad, db or subtb, or define the method"
        )
        raise InputError(message)

    def log_completions(self, states: States) -> Float[Tensor, " batch"]:
        """Return the part of the log flows that is known of the graph alone, zero in terminal states.

        Good is the log flow that states would have if all rewards were one and backward actions uniform: how many ways
        there are to complete an object. The networks of the objectives with flows learn what is beyond it. Zero unless
        redefined.
        """
        return torch.zeros(len(states), device=self.device)

    def forbidden(self, states: States) -> Bool[Tensor, "batch actions"]:
        """Return which actions are not allowed."""
        return ~self.allowed(states)

    def terminal(self, states: States) -> Bool[Tensor, " batch"]:
        """Return which states are terminal."""
        return ~self.allowed(states).any(dim=1)

    def backward_of(self, states: States, actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Return the backward actions that undo actions taken in `states`: the same numbers, unless redefined."""
        return actions

    def forward_of(self, states: States, backward_actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Return the actions that lead back to `states` after backward actions: the same numbers, unless redefined."""
        return backward_actions

    def describe(self, states: States) -> list[str]:
        """Return a short text for each state."""
        return [str(row) for row in states.tolist()]

    def to(self, device: torch.device | str) -> Self:
        """Move the tensors of the environment, in place, and return it."""
        self.device = torch.device(device)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(self.device))
        return self


def checked_log_reward(
    environment: Environment, states: States, *, floor: float | None = None
) -> Float[Tensor, " batch"]:
    """Return the log-reward of terminal states, all of it finite.

    Parameters
    ----------
    environment, states
        Whose reward, and of what.
    floor
        What to put in place of a lower log-reward, as of a reward of zero, whose logarithm no flow can match.

    Raises
    ------
    InputError
        If a value is not a number or infinite; the line names the state.
    """
    return _checked(environment, states, environment.log_reward(states), what="log-reward", floor=floor)


def checked_log_potential(environment: Environment, states: States) -> Float[Tensor, " batch"]:
    """Return the log-potential of states, all of it finite.

    Raises
    ------
    InputError
        If there is none, or a value is not finite; the line names the state.
    """
    return _checked(environment, states, environment.log_potential(states), what="log-potential")


def _checked(
    environment: Environment, states: States, values: Tensor, *, what: str, floor: float | None = None
) -> Tensor:
    values = values.detach()
    if values.shape != (len(states),):
        message = f"the {what} of {len(states)} states has the shape {list(values.shape)}, expected one number a state"
        raise InputError(message)
    if floor is not None:
        values = values.clamp_min(floor)
    if not values.isfinite().all():
        row = int((~values.isfinite()).nonzero()[0])
        value, state = float(values[row]), environment.describe(states[row : row + 1])[0]
        mend = "give a floor for rewards of zero" if value == -torch.inf and what == "log-reward" else "mend it there"
        message = f"the {what} of the state {state} is {value}, expected a finite number; {mend}"
        raise InputError(message)
    return values
