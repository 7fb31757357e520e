"""Policies: log-probabilities of actions and backward actions, and the log flow, of a batch of states.

`NetworkPolicy` is a multilayer perceptron on the encoded states with a head for each, `TablePolicy` one number for
each. `score` takes a policy along walks that were made without a graph: all the states in one pass, where states are
numbers of a table each of them once, however many walks went through it.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States
from helicell.core.samplers.discrete.exact import ExactFlow
from helicell.core.samplers.discrete.table_walks import walk_table
from helicell.core.samplers.discrete.tabular import TabularEnvironment
from helicell.core.samplers.discrete.walks import Chooser, Walks, walk

# Stands for the logarithm of zero of a forbidden action; minus infinity would turn rows without an action into NaN.
NEVER = -1e9
# States that are looked at together where all of them are.
BLOCK = 8192
BACKWARD = ("learned", "uniform")


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of states.

    Attributes
    ----------
    log_forward
        Log-probabilities of the actions, shape [batch, actions]; far below zero where one is not allowed, and of no
        meaning where none is.
    log_backward
        Likewise of the backward actions, shape [batch, backward actions].
    log_flow
        Shape [batch].
    """

    log_forward: Float[Tensor, "batch actions"]
    log_backward: Float[Tensor, "batch backward_actions"]
    log_flow: Float[Tensor, " batch"]


@dataclass(frozen=True, slots=True)
class WalkScores:
    """What a policy says of walks; zero past their ends.

    Attributes
    ----------
    log_forward, log_backward
        Log-probabilities of the steps, and of undoing them, shape [steps, batch].
    log_flow
        Of the states, shape [steps + 1, batch]; of no meaning in terminal ones.
    """

    log_forward: Float[Tensor, "steps batch"]
    log_backward: Float[Tensor, "steps batch"]
    log_flow: Float[Tensor, "knots batch"]

    @property
    def log_ratio(self) -> Float[Tensor, " batch"]:
        """Backward less forward log-probability of each walk."""
        return (self.log_backward - self.log_forward).sum(dim=0)


class Policy(nn.Module, ABC):
    """A policy on an environment, with its parameters."""

    environment: Environment

    @abstractmethod
    def forward(self, states: States) -> Scores:
        """Return everything about states."""

    def forward_logits(self, states: States) -> Float[Tensor, "batch actions"]:
        """Return the log-probabilities of the actions only, up to a constant in each state."""
        return self(states).log_forward

    def backward_logits(self, states: States) -> Float[Tensor, "batch backward_actions"]:
        """Return the log-probabilities of the backward actions only, up to a constant in each state."""
        return self(states).log_backward


class NetworkPolicy(Policy):
    """A multilayer perceptron with heads for the actions, the backward actions and the flow.

    Parameters
    ----------
    environment
        What it walks on.
    hidden, layers
        Width and number of the hidden layers.
    backward
        "learned", or "uniform" for all parents alike.
    experts
        With more than one, the forward policy is a mixture: each expert has a head of its own, and a further head says
        how much each counts in a state.
    generator
        Of the first weights.

    Raises
    ------
    InputError
        If there is no such backward policy, or a number is less than one.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        hidden: int = 256,
        layers: int = 2,
        backward: str = "learned",
        experts: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if backward not in BACKWARD:
            message = f"unknown backward policy {backward!r}; choose one of: {', '.join(BACKWARD)}"
            raise InputError(message)
        if min(hidden, layers, experts) < 1:
            message = f"a network of {layers} layers of {hidden} with {experts} experts; expected 1 or more of each"
            raise InputError(message)
        self.environment, self.experts = environment, experts
        self.learns_backward = backward == "learned"
        gates = experts if experts > 1 else 0
        self._ends = (experts * environment.actions, experts * environment.actions + gates)
        outputs = self._ends[1] + self.learns_backward * environment.backward_actions + 1
        widths = [environment.features, *[hidden] * layers, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in itertools.pairwise(widths):
            bound = before**-0.5
            for parameters, shape in ((self.weights, (after, before)), (self.biases, (after,))):
                parameters.append(nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator)))
        # The same parameters in a plain tuple: going through modules at every layer costs as much as a small layer.
        self._layers = tuple(zip(self.weights, self.biases, strict=True))
        self.to(environment.device)

    def forward(self, states: States) -> Scores:
        outputs = self._outputs(states)
        return Scores(
            self._forward_head(outputs, states).log_softmax(dim=1),
            self._backward_head(outputs, states).log_softmax(dim=1),
            outputs[:, -1],
        )

    def forward_logits(self, states: States) -> Float[Tensor, "batch actions"]:
        return self._forward_head(self._outputs(states), states)

    def backward_logits(self, states: States) -> Float[Tensor, "batch backward_actions"]:
        if self.learns_backward:
            return self._backward_head(self._outputs(states), states)
        return self._backward_head(torch.empty(len(states), 0, device=states.device), states)

    def last_hidden(self, states: States) -> Float[Tensor, "batch hidden"]:
        """Return what the heads see of states."""
        x = self.environment.encode(states).to(self._layers[0][0].dtype)
        for weight, bias in self._layers[:-1]:
            x = nn.functional.linear(x, weight, bias).relu_()
        return x

    @torch.no_grad()
    def set_flow_head(self, weight: Float[Tensor, " hidden"], bias: Float[Tensor, ""]) -> None:
        """Set the head of the log flow, which is a linear function of what the heads see."""
        self.weights[-1][-1], self.biases[-1][-1] = weight, bias

    def _outputs(self, states: Tensor) -> Tensor:
        """Return the numbers of all heads side by side."""
        return nn.functional.linear(self.last_hidden(states), *self._layers[-1])

    def _forward_head(self, outputs: Tensor, states: Tensor) -> Tensor:
        forbidden = self.environment.forbidden(states)
        if self.experts == 1:
            return outputs[:, : self._ends[0]].masked_fill(forbidden, NEVER)
        each = outputs[:, : self._ends[0]].unflatten(1, (self.experts, -1))
        each = each.masked_fill(forbidden[:, None], NEVER).log_softmax(dim=2)
        return (each + outputs[:, self._ends[0] : self._ends[1], None].log_softmax(dim=1)).logsumexp(dim=1)

    def _backward_head(self, outputs: Tensor, states: Tensor) -> Tensor:
        undoable = self.environment.undoable(states)
        logits = outputs[:, self._ends[1] : -1] if self.learns_backward else outputs.new_zeros(undoable.shape)
        return logits.masked_fill(~undoable, NEVER)


class TablePolicy(Policy):
    """A number for every action, backward action and flow of a graph that is written down.

    Parameters
    ----------
    environment
        The graph.
    flow
        The flow to start from, as in `exact.exact_flow`; all actions alike unless given.
    backward
        "learned" or "uniform".
    """

    def __init__(
        self, environment: TabularEnvironment, *, flow: ExactFlow | None = None, backward: str = "learned"
    ) -> None:
        super().__init__()
        if backward not in BACKWARD:
            message = f"unknown backward policy {backward!r}; choose one of: {', '.join(BACKWARD)}"
            raise InputError(message)
        self.environment: TabularEnvironment = environment
        if flow is None:
            logits = torch.zeros(environment.children.shape), torch.zeros(environment.parents.shape)
            log_flow = torch.zeros(environment.states)
        else:
            logits = flow.log_forward.clamp_min(NEVER), flow.log_backward.clamp_min(NEVER)
            log_flow = flow.log_flow.clone()
        self.forward_table = nn.Parameter(logits[0])
        self.backward_table = nn.Parameter(logits[1], requires_grad=backward == "learned")
        self.log_flow = nn.Parameter(log_flow)

    def forward(self, states: States) -> Scores:
        allowed, undoable = self.environment.allowed(states), self.environment.undoable(states)
        return Scores(
            self.forward_table[states].masked_fill(~allowed, NEVER).log_softmax(dim=1),
            self.backward_table[states].masked_fill(~undoable, NEVER).log_softmax(dim=1),
            self.log_flow[states],
        )


def chooser(policy: Policy, *, backward: bool = False) -> Chooser:
    """Return the function by which `walks.walk`, or `walks.walk_back`, asks a policy."""
    asked = policy.backward_logits if backward else policy.forward_logits

    def ask_once(states: Tensor) -> Tensor:
        distinct, places = states.unique(return_inverse=True)
        return asked(distinct).index_select(0, places)

    return ask_once if isinstance(policy.environment, TabularEnvironment) else asked


class Memory:
    """The log-probabilities of all states of a graph that is written down, as they were when last looked at.

    Walks that are chosen by it cost lookups only. They are those of a policy of some iterations ago, which every
    objective can learn from; states that are visited are looked at anew in every iteration, see `score`.

    Parameters
    ----------
    policy
        The policy.

    Raises
    ------
    InputError
        If its environment is not written down.
    """

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy.environment, TabularEnvironment):
            message = (
                f"{type(policy.environment).__name__} is not written down, so that its states cannot be remembered; "
                "tabulate it, or walk without a lag"
            )
            raise InputError(message)
        self.policy, self.environment = policy, policy.environment
        self.inner = self.environment.order[~self.environment.terminal_table[self.environment.order]]
        self.log_forward = torch.zeros(self.environment.children.shape, device=self.environment.device)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Look at all states."""
        for states in self.inner.split(BLOCK):
            self.log_forward[states] = self.policy.forward_logits(states).to(self.log_forward)

    def __call__(self, states: Tensor) -> Tensor:
        return self.log_forward.index_select(0, states)

    def walk(self, count: int, *, generator: torch.Generator, exploration: float = 0.0) -> Walks:
        """Walk by what is remembered; the parameters are those of `walks.walk`."""
        if self.environment.device.type == "cpu":
            return walk_table(self.environment, self.log_forward, count, generator=generator, exploration=exploration)
        return walk(self.environment, self, count, generator=generator, exploration=exploration)


def score(policy: Policy, walks: Walks, *, memory: Memory | None = None) -> WalkScores:
    """Return the log-probabilities and flows along walks, with their graph, in one pass of the policy.

    Parameters
    ----------
    policy
        The policy.
    walks
        Made by it, or by any other.
    memory
        Where the log-probabilities of the visited states are put down.
    """
    states, rows, seen = seen_states(policy.environment, walks)
    scores = policy(states)
    if memory is not None:
        memory.log_forward[states] = scores.log_forward.detach()
    log_forward = _picked(scores.log_forward, rows[:-1], walks.actions)
    log_backward = _picked(scores.log_backward, rows[1:], walks.backward_actions)
    return WalkScores(log_forward * walks.taken, log_backward * (walks.taken & seen[1:]), scores.log_flow[rows] * seen)


def seen_states(environment: Environment, walks: Walks) -> tuple[States, Tensor, Tensor]:
    """Return the states of walks that a policy needs to see.

    Returns
    -------
    states
        Each of them once where states are numbers.
    rows
        Where the states of the walks are among them, shape [steps + 1, batch]; 0 where they are not.
    seen
        Whether they are.
    """
    seen = walks.visited
    if environment.ends_by_stopping:
        # Ends with one parent need not be seen: the backward probability is 1, and the flow is the reward.
        batch = torch.arange(len(walks.lengths), device=seen.device)
        seen[walks.lengths, batch] &= ~environment.terminal(walks.ends)
    rows = torch.zeros(seen.shape, dtype=torch.long, device=seen.device)
    states = walks.states[seen]
    if states.ndim > 1:
        rows[seen] = torch.arange(len(states), device=seen.device)
    else:
        states, rows[seen] = states.unique(return_inverse=True)
    return states, rows, seen


def _picked(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return one entry of the table for each pair of row and column."""
    return table.flatten().index_select(0, (rows * table.shape[1] + columns).flatten()).view(rows.shape)


@torch.no_grad()
def tabulated(policy: Policy, environment: TabularEnvironment) -> Scores:
    """Return what a policy says of every state of a graph that is written down."""
    parts = [policy(states) for states in torch.arange(environment.states).split(BLOCK)]
    names = ("log_forward", "log_backward", "log_flow")
    return Scores(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
