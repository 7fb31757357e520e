"""Walks: states and actions of a batch, forward from the initial state or backward from ends, without a graph.

A policy is asked for log-probabilities at each step only to choose; what the objectives differentiate is taken
afterwards, in one pass over all the states that were visited (see `policies`). Choices are exponential races, that is
Gumbel-max: the action with the largest log p - log E, with E from the exponential distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States

Generators = torch.Generator | Sequence[torch.Generator]
"""Of all walks together, or one for each walk."""
Chooser = Callable[[Tensor], Tensor]
"""From states to the log-probabilities of all actions, or backward actions, the forbidden ones far below."""


@dataclass(frozen=True, slots=True)
class Walks:
    """A batch of walks, whole or cut out of whole ones.

    Attributes
    ----------
    states
        Shape [steps + 1, batch, ...]; a walk that is shorter than the longest stays in its last state.
    actions, backward_actions
        What was done, and what would undo it, shape [steps, batch]; 0 past the end of a walk.
    lengths
        Steps of each walk, shape [batch].
    whole
        Whether the walks start at the initial state and end in terminal ones, all of them.
    """

    states: Shaped[Tensor, "knots batch *state"]
    actions: Int[Tensor, "steps batch"]
    backward_actions: Int[Tensor, "steps batch"]
    lengths: Int[Tensor, " batch"]
    whole: bool = True

    @property
    def steps(self) -> int:
        """Steps of the longest walk."""
        return len(self.actions)

    @property
    def taken(self) -> Bool[Tensor, "steps batch"]:
        """Which steps are part of a walk."""
        return torch.arange(self.steps, device=self.lengths.device)[:, None] < self.lengths

    @property
    def visited(self) -> Bool[Tensor, "knots batch"]:
        """Which states are part of a walk."""
        return torch.arange(self.steps + 1, device=self.lengths.device)[:, None] <= self.lengths

    @property
    def ends(self) -> States:
        """The last state of each walk, shape [batch, ...]."""
        return self.states[-1]

    def joined(self, other: Walks) -> Walks:
        """Return these walks and others as one batch."""
        steps = max(self.steps, other.steps)
        parts = [walks.padded(steps) for walks in (self, other)]
        names = ("states", "actions", "backward_actions")
        merged = {name: torch.cat([getattr(walks, name) for walks in parts], dim=1) for name in names}
        return Walks(**merged, lengths=torch.cat((self.lengths, other.lengths)), whole=self.whole and other.whole)

    def padded(self, steps: int) -> Walks:
        """Return the walks with room for more steps."""
        more = steps - self.steps
        if not more:
            return self
        zeros = self.actions.new_zeros(more, len(self.lengths))
        return replace(
            self,
            states=torch.cat((self.states, self.states[-1:].expand(more, *self.states.shape[1:]))),
            actions=torch.cat((self.actions, zeros)),
            backward_actions=torch.cat((self.backward_actions, zeros)),
        )

    def window(self, steps: int, generator: torch.Generator) -> Walks:
        """Cut a stretch of at most `steps` steps out of each walk, anywhere, every place alike.

        Raises
        ------
        InputError
            If `steps` is less than one.
        """
        if steps < 1:
            message = f"stretches of {steps} steps were asked for, expected 1 or more"
            raise InputError(message)
        room = (self.lengths - steps).clamp_min(0)
        draw = torch.rand(len(room), generator=generator).to(room.device)
        first = (draw * (room + 1)).long().minimum(room)
        knots = (first + torch.arange(steps + 1, device=room.device)[:, None]).clamp_max(self.steps)
        batch = torch.arange(len(room), device=room.device)
        lengths = self.lengths.clamp_max(steps)
        taken = torch.arange(steps, device=room.device)[:, None] < lengths
        places = knots[:-1].clamp_max(self.steps - 1)
        return Walks(
            self.states[knots, batch],
            self.actions[places, batch] * taken,
            self.backward_actions[places, batch] * taken,
            lengths,
            whole=False,
        )


@torch.no_grad()
def walk(
    environment: Environment,
    log_forward: Chooser,
    count: int,
    *,
    generator: Generators,
    exploration: float = 0.0,
) -> Walks:
    """Walk from the initial state until every walk has ended.

    Parameters
    ----------
    environment
        The graph.
    log_forward
        The policy's log-probabilities of the actions.
    count
        How many walks.
    generator
        Of the choices; with one for each walk, a walk does not depend on the others.
    exploration
        The probability of taking any allowed action, all alike, instead of the policy's.

    Raises
    ------
    InputError
        If a walk is longer than the environment says.
    """
    states = environment.initial(count)
    history, taken, undoing = [states], [], []
    lengths = torch.zeros(count, dtype=torch.long, device=states.device)
    active = torch.arange(count, device=states.device)
    active = active[~environment.terminal(states)]
    while len(active):
        if len(taken) == environment.longest:
            message = f"walks are longer than {environment.longest} steps; set the environment's `longest` to the longest"
            raise InputError(message)
        current = states[active]
        chosen = _choose(log_forward(current), generator, active, exploration, environment.allowed(current))
        reached = environment.step(current, chosen)
        taken.append(_placed(chosen, active, count))
        undoing.append(_placed(environment.backward_of(current, chosen), active, count))
        states = reached if len(active) == count else states.index_copy(0, active, reached)
        history.append(states)
        lengths[active] += 1
        active = active[~environment.terminal(reached)]
    return _assembled(history, taken, undoing, lengths)


@torch.no_grad()
def walk_back(
    environment: Environment, log_backward: Chooser, ends: States, *, generator: Generators
) -> Walks:
    """Walk back from terminal states to the initial one, and return the walks as they would have been taken.

    Parameters
    ----------
    environment
        The graph.
    log_backward
        The policy's log-probabilities of the backward actions.
    ends
        Terminal states.
    generator
        Of the choices, for all walks or for each.
    """
    count = len(ends)
    states = ends
    history, taken, undoing = [ends], [], []
    lengths = torch.zeros(count, dtype=torch.long, device=ends.device)
    active = torch.arange(count, device=ends.device)
    active = active[environment.undoable(ends).any(dim=1)]
    while len(active):
        if len(taken) == environment.longest:
            message = f"walks are longer than {environment.longest} steps; set the environment's `longest` to the longest"
            raise InputError(message)
        current = states[active]
        chosen = _choose(log_backward(current), generator, active, 0.0, None)
        parents = environment.undo(current, chosen)
        undoing.append(_placed(chosen, active, count))
        taken.append(_placed(environment.forward_of(current, chosen), active, count))
        states = states.index_copy(0, active, parents)
        history.append(states)
        lengths[active] += 1
        active = active[environment.undoable(parents).any(dim=1)]
    backward = _assembled(history, taken, undoing, lengths)
    return _reversed(backward)


def _assembled(history: list[Tensor], taken: list[Tensor], undoing: list[Tensor], lengths: Tensor) -> Walks:
    none = lengths.new_zeros(0, len(lengths))
    return Walks(
        torch.stack(history),
        torch.stack(taken) if taken else none,
        torch.stack(undoing) if undoing else none,
        lengths,
    )


def _reversed(walks: Walks) -> Walks:
    """Turn every walk around within its own length."""
    batch = torch.arange(len(walks.lengths), device=walks.lengths.device)
    knots = (walks.lengths - torch.arange(walks.steps + 1, device=batch.device)[:, None]).clamp_min(0)
    steps = (walks.lengths - 1 - torch.arange(walks.steps, device=batch.device)[:, None]).clamp_min(0)
    states = walks.states[knots, batch]
    taken = walks.taken
    return Walks(states, walks.actions[steps, batch] * taken, walks.backward_actions[steps, batch] * taken, walks.lengths)


def _placed(values: Tensor, active: Tensor, count: int) -> Tensor:
    if len(active) == count:
        return values
    return values.new_zeros(count).index_copy_(0, active, values)


def _choose(
    log_probabilities: Tensor, generator: Generators, active: Tensor, exploration: float, allowed: Tensor | None
) -> Int[Tensor, " batch"]:
    """Choose one column of each row."""
    rows, columns = log_probabilities.shape
    explores = exploration > 0 and allowed is not None
    noise = _exponential(rows, columns + explores, generator, active).to(log_probabilities)
    if explores and allowed is not None:
        # The extra number decides whether to explore: the exponential distribution function of it is uniform.
        explore = noise[:, -1:] < -torch.log1p(torch.tensor(-min(exploration, 1.0))).to(noise)
        noise = noise[:, :-1]
        anything = torch.zeros_like(log_probabilities).masked_fill_(~allowed, torch.finfo(noise.dtype).min)
        log_probabilities = torch.where(explore, anything, log_probabilities)
    return (log_probabilities - noise.log()).argmax(dim=1)


def _exponential(rows: int, columns: int, generator: Generators, active: Tensor) -> Float[Tensor, "rows columns"]:
    """Draw from the exponential distribution, on the CPU, for each walk from its own generator where there are several."""
    if isinstance(generator, torch.Generator):
        return torch.empty(rows, columns).exponential_(generator=generator)
    noise = torch.empty(rows, columns)
    for row, number in enumerate(active.tolist()):
        noise[row].exponential_(generator=generator[number])
    return noise
