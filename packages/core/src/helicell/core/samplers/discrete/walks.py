"""Walks: states and actions of a batch, forward from the initial state or backward from ends, without a graph.

A policy is asked at each step only to choose; what the objectives differentiate is taken afterwards, in one pass over
all the states that were visited (see `policies`). Choices are exponential races, that is Gumbel-max: the action with
the largest log p - log E, with E from the exponential distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States

Generators = torch.Generator | Sequence[torch.Generator]
"""Of all walks together, or one for each walk."""
Chooser = Callable[[Tensor], Tensor]
"""From states to the log-probabilities of all actions, or backward actions, the forbidden ones below `FORBIDDEN`."""
FORBIDDEN = -1e8
# Random numbers that are drawn at once.
MOST_NUMBERS = 1 << 20


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

    states: Shaped[Tensor, "knots batch ..."]
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

    def turned(self) -> Walks:
        """Return the walks with every one turned around within its own length."""
        device = self.lengths.device
        batch = torch.arange(len(self.lengths), device=device)
        knots = (self.lengths - torch.arange(self.steps + 1, device=device)[:, None]).clamp_min(0)
        steps = (self.lengths - 1 - torch.arange(self.steps, device=device)[:, None]).clamp_min(0)
        taken = self.taken
        return replace(
            self,
            states=self.states[knots, batch],
            actions=self.actions[steps, batch] * taken,
            backward_actions=self.backward_actions[steps, batch] * taken,
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
        The policy's log-probabilities of the actions, up to a constant in each state.
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
    start = environment.initial(count)
    active = torch.arange(count, device=start.device)
    races = _Races(generator, environment.actions, environment.longest, exploration)
    record = _Record(start)
    states, going = start, ~environment.terminal(start)
    while True:
        if not bool(going.all()):
            rows = going.nonzero()[:, 0]
            active, states = active.index_select(0, rows), states.index_select(0, rows)
        if not len(active):
            break
        _check_length(environment, record.steps)
        chosen = races.choose(log_forward(states), record.steps, active)
        states = environment.step(states, chosen)
        record.append(active, states, chosen)
        going = ~environment.terminal(states)
    walks = record.walks()
    taken = walks.taken
    undoing = torch.zeros_like(walks.actions)
    undoing[taken] = environment.backward_of(walks.states[:-1][taken], walks.actions[taken])
    return replace(walks, backward_actions=undoing)


@torch.no_grad()
def walk_back(environment: Environment, log_backward: Chooser, ends: States, *, generator: Generators) -> Walks:
    """Walk back from terminal states to the initial one, and return the walks as they would have been taken.

    Parameters
    ----------
    environment
        The graph.
    log_backward
        The policy's log-probabilities of the backward actions, up to a constant in each state.
    ends
        Terminal states.
    generator
        Of the choices, for all walks or for each.

    Raises
    ------
    InputError
        If a walk is longer than the environment says.
    """
    active = torch.arange(len(ends), device=ends.device)
    races = _Races(generator, environment.backward_actions, environment.longest, 0.0)
    record = _Record(ends)
    states, going = ends, environment.undoable(ends).any(dim=1)
    while True:
        if not bool(going.all()):
            active, states = active[going], states[going]
        if not len(active):
            break
        _check_length(environment, record.steps)
        chosen = races.choose(log_backward(states), record.steps, active)
        states = environment.undo(states, chosen)
        record.append(active, states, chosen)
        going = environment.undoable(states).any(dim=1)
    walks = record.walks().turned()
    taken = walks.taken
    actions = torch.zeros_like(walks.actions)
    actions[taken] = environment.forward_of(walks.states[1:][taken], walks.actions[taken])
    return replace(walks, actions=actions, backward_actions=walks.actions)


def _check_length(environment: Environment, steps: int) -> None:
    if steps == environment.longest:
        message = f"walks are longer than {steps} steps; set the environment's `longest` to the longest there are"
        raise InputError(message)


class _Record:
    """What a batch of walks did, step by step, for those that were still on their way."""

    def __init__(self, start: Tensor) -> None:
        self.start = start
        self.active: list[Tensor] = []
        self.states: list[Tensor] = []
        self.chosen: list[Tensor] = []

    @property
    def steps(self) -> int:
        return len(self.active)

    def append(self, active: Tensor, states: Tensor, chosen: Tensor) -> None:
        self.active.append(active)
        self.states.append(states)
        self.chosen.append(chosen)

    def walks(self) -> Walks:
        """Return the walks, each staying in its last state, with what was chosen as actions and backward actions."""
        count, device = len(self.start), self.start.device
        if not self.steps:
            none = torch.zeros(0, count, dtype=torch.long, device=device)
            return Walks(self.start[None], none, none, torch.zeros(count, dtype=torch.long, device=device))
        sizes = torch.tensor([len(active) for active in self.active], device=device)
        walk = torch.cat(self.active)
        step = torch.arange(self.steps, device=device).repeat_interleave(sizes)
        lengths = torch.bincount(walk, minlength=count)
        states = self.start.new_zeros(self.steps + 1, *self.start.shape)
        states[0] = self.start
        states[step + 1, walk] = torch.cat(self.states)
        if int(sizes[-1]) < count:
            knots = torch.arange(self.steps + 1, device=device)[:, None].minimum(lengths)
            states = states[knots, torch.arange(count, device=device)]
        actions = torch.zeros(self.steps, count, dtype=torch.long, device=device)
        actions[step, walk] = torch.cat(self.chosen)
        return Walks(states, actions, actions, lengths)


class _Races:
    """Choices by exponential races; numbers of one generator are drawn for many steps at once.

    Parameters
    ----------
    generator
        Of all walks, or one for each.
    choices
        How many there are in each state.
    longest
        Steps of the longest walk.
    exploration
        The probability of a blind choice.
    """

    def __init__(self, generator: Generators, choices: int, longest: int, exploration: float) -> None:
        self.generator, self.choices, self.longest = generator, choices, longest
        # The logarithm of an exponential number is below this with the probability of exploring.
        self.explored = math.log(-math.log1p(-exploration)) if 0 < exploration < 1 else math.inf
        self.columns = choices + (exploration > 0)
        self.noise = torch.empty(0)
        self.first = 0

    def choose(self, logits: Tensor, step: int, active: Tensor) -> Int[Tensor, " batch"]:
        """Choose a column of each row."""
        noise = self._draw(step, active).to(logits)
        if self.columns > self.choices:
            explore = noise[:, -1:] < self.explored
            noise = noise[:, :-1]
            logits = logits.masked_fill(explore & (logits > FORBIDDEN), 0.0)
        return (logits - noise).argmax(dim=1)

    def _draw(self, step: int, active: Tensor) -> Tensor:
        """Return logarithms of exponential numbers, shape [active, columns]."""
        rows = len(active)
        if not isinstance(self.generator, torch.Generator):
            noise = torch.empty(rows, self.columns)
            for row, number in enumerate(active.tolist()):
                noise[row].exponential_(generator=self.generator[number])
            return noise.log_()
        if step >= self.first + len(self.noise):
            steps = min(max(MOST_NUMBERS // (rows * self.columns), 1), self.longest - step)
            self.noise = torch.empty(steps, rows, self.columns).exponential_(generator=self.generator).log_()
            self.first = step
        return self.noise[step - self.first, :rows]
