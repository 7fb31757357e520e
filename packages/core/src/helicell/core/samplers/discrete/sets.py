"""Sets: a walk adds one item at a time, and ends when the set is full or, where sizes may differ, when it says so.

`SetEnvironment` takes any reward of a set. `AdditiveSets` is the one whose log-reward is a sum over items; its
partition function is an elementary symmetric polynomial of the items' weights, so that it, the share of sets that hold
an item, exact samples and the best sets are all known for hundreds of items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States

SetFunction = Callable[[Tensor], Tensor]
"""From sets [batch, items], true where an item is in, to a number for each."""
# Stands for the logarithm of zero where minus infinity would turn gradients into NaN.
LOG_ZERO = -1e30


class SetEnvironment(Environment):
    """Subsets of a number of items.

    A state is a row of booleans, one an item; where sizes may differ, a last one says that the walk has stopped. Action
    i adds item i, backward action i removes it; the last action stops.

    Parameters
    ----------
    items
        How many items there are.
    size
        The size of the sets, or the smallest and the largest.
    log_reward
        From sets [batch, items] to log-rewards [batch].
    log_potential
        The same for partial sets, equal to the log-reward where a set may end; the forward-looking objectives need it.
    names
        Of the items.

    Raises
    ------
    InputError
        If the sizes or names do not fit the items.

    Examples
    --------
    >>> pairs = SetEnvironment(3, 2, lambda sets: sets.float().sum(dim=1))
    >>> pairs.allowed(torch.tensor([[True, False, False], [True, True, False]])).int()
    tensor([[0, 1, 1],
            [0, 0, 0]], dtype=torch.int32)
    """

    def __init__(
        self,
        items: int,
        size: int | tuple[int, int],
        log_reward: SetFunction,
        *,
        log_potential: SetFunction | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        smallest, largest = (size, size) if isinstance(size, int) else size
        if not 0 <= smallest <= largest <= items or largest < 1:
            message = f"sets of {smallest} to {largest} of {items} items do not exist; give 1 to {items}, or a range"
            raise InputError(message)
        if names is not None and len(set(names)) != items:
            message = f"there are {len(set(names))} different names for {items} items; give each item its own"
            raise InputError(message)
        self.items, self.smallest, self.largest = items, smallest, largest
        self.names = tuple(names) if names is not None else tuple(str(number) for number in range(items))
        self._log_reward, self._log_potential = log_reward, log_potential
        self.ends_by_stopping = smallest < largest
        self.actions = self.backward_actions = items + self.ends_by_stopping
        self.features = items
        self.longest = largest + self.ends_by_stopping
        self._completions = _log_completions(items, smallest, largest)

    def sets(self, states: States) -> Bool[Tensor, "batch items"]:
        """Return which items are in."""
        return states[:, : self.items]

    def initial(self, count: int) -> States:
        return torch.zeros(count, self.actions, dtype=torch.bool, device=self.device)

    def allowed(self, states: States) -> Bool[Tensor, "batch actions"]:
        sets = self.sets(states)
        sizes = sets.sum(dim=1, keepdim=True)
        if not self.ends_by_stopping:
            return ~sets & (sizes < self.largest)
        going = ~states[:, -1:]
        return torch.cat((~sets & (sizes < self.largest) & going, going & (sizes >= self.smallest)), dim=1)

    def undoable(self, states: States) -> Bool[Tensor, "batch backward_actions"]:
        if not self.ends_by_stopping:
            return states
        return torch.cat((self.sets(states) & ~states[:, -1:], states[:, -1:]), dim=1)

    def terminal(self, states: States) -> Bool[Tensor, " batch"]:
        return states[:, -1] if self.ends_by_stopping else states.sum(dim=1) == self.largest

    def step(self, states: States, actions: Int[Tensor, " batch"]) -> States:
        return states.scatter(1, actions[:, None], True)  # noqa: FBT003

    def undo(self, states: States, backward_actions: Int[Tensor, " batch"]) -> States:
        return states.scatter(1, backward_actions[:, None], False)  # noqa: FBT003

    def encode(self, states: States) -> Float[Tensor, "batch features"]:
        return self.sets(states).float()

    def log_reward(self, states: States) -> Tensor:
        return self._log_reward(self.sets(states))

    def log_potential(self, states: States) -> Float[Tensor, " batch"]:
        if self._log_potential is None:
            return super().log_potential(states)
        return self._log_potential(self.sets(states))

    def log_completions(self, states: States) -> Float[Tensor, " batch"]:
        known = self._completions[self.sets(states).sum(dim=1)]
        return known.masked_fill(states[:, -1], 0.0) if self.ends_by_stopping else known

    def describe(self, states: States) -> list[str]:
        return ["{" + ", ".join(self.members(row)) + "}" for row in self.sets(states)]

    def members(self, row: Bool[Tensor, " items"]) -> tuple[str, ...]:
        """Return the names of the items of one set."""
        return tuple(self.names[item] for item in row.nonzero()[:, 0].tolist())


class AdditiveSets(SetEnvironment):
    """Sets whose log-reward is the sum of their items' weights; minus an energy that is additive along the walk.

    Parameters
    ----------
    weights
        The weight of each item, shape [items].
    size, names
        As in `SetEnvironment`.

    Examples
    --------
    >>> pairs = AdditiveSets(torch.zeros(4), 2)
    >>> round(float(pairs.log_partition().exp())), pairs.marginals()
    (6, tensor([0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64))
    """

    def __init__(
        self, weights: Float[Tensor, " items"], size: int | tuple[int, int], *, names: Sequence[str] | None = None
    ) -> None:
        self.weights = weights.double()
        super().__init__(len(weights), size, self._total, log_potential=self._total, names=names)

    def _total(self, sets: Tensor) -> Tensor:
        return sets.to(self.weights.dtype) @ self.weights

    def log_partition(self) -> Float[Tensor, ""]:
        """Return log Z exactly."""
        return self._log_partition(self.weights)

    def marginals(self) -> Float[Tensor, " items"]:
        """Return the exact share of sets that hold each item: the gradient of log Z."""
        weights = self.weights.clone().requires_grad_()
        return torch.autograd.grad(self._log_partition(weights), weights)[0]

    def _log_partition(self, weights: Tensor) -> Tensor:
        return _symmetric(weights, self.largest)[-1][self.smallest :].logsumexp(dim=0)

    def sample(self, count: int, generator: torch.Generator) -> States:
        """Draw exact samples, as terminal states."""
        table = torch.stack(_symmetric(self.weights, self.largest))
        sizes = (table[-1, self.smallest :]).softmax(dim=0)
        left = torch.multinomial(sizes, count, replacement=True, generator=generator) + self.smallest
        states = self.initial(count)
        for item in range(self.items - 1, -1, -1):
            # Of the sets of `left` of the items up to this one, the share that holds it.
            log_share = self.weights[item] + table[item, (left - 1).clamp_min(0)] - table[item + 1, left]
            share = torch.where(left > 0, log_share.exp(), 0)
            taken = torch.rand(count, generator=generator, dtype=share.dtype) < share
            states[:, item] = taken
            left = left - taken.long()
        states[:, self.items :] = True
        return states

    def best(self, count: int) -> Float[Tensor, " best"]:
        """Return the log-rewards of the best sets, in descending order."""
        none = float("-inf")
        tops = torch.full((self.largest + 1, count), none, dtype=self.weights.dtype)
        tops[0, 0] = 0
        for weight in self.weights:
            with_item = torch.cat((torch.full_like(tops[:1], none), tops[:-1] + weight))
            tops = torch.cat((tops, with_item), dim=1).topk(count, dim=1).values
        found = tops[self.smallest :].flatten().sort(descending=True).values[:count]
        return found[found > none]


def _log_completions(items: int, smallest: int, largest: int) -> Float[Tensor, " sizes"]:
    """Return the log flow of a set of each size if all rewards were one: log sum_s C(n - m, s - m) / C(s, m)."""

    def log_choose(n: Tensor, k: Tensor) -> Tensor:
        return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)

    count = torch.tensor(float(items), dtype=torch.float64)
    found = []
    for size in torch.arange(largest + 1, dtype=torch.float64):
        ends = torch.arange(max(float(size), smallest), largest + 1, dtype=torch.float64)
        found.append((log_choose(count - size, ends - size) - log_choose(ends, size)).logsumexp(dim=0))
    return torch.stack(found).float()


def _symmetric(weights: Tensor, largest: int) -> list[Tensor]:
    """Return log e_0 to log e_largest, the elementary symmetric polynomials, of the first 0, 1, 2, ... items."""
    current = torch.full((largest + 1,), LOG_ZERO, dtype=weights.dtype)
    current[0] = 0
    tables = [current]
    for weight in weights:
        current = torch.cat((current[:1], torch.logaddexp(current[1:], current[:-1] + weight)))
        tables.append(current)
    return tables
