"""Trees of fragments, as molecules are put together from building blocks, by a small graph grammar.

A fragment has sites at which others may be attached, each by a site of its own; which may follow which is a table. A
walk places a first fragment, attaches others to free sites, and stops. Sites are distinct, so a tree is known by which
fragment sits at which address, an address being the sites from the root to it; taking off any leaf undoes a step.

    log R = sum of the fragments' scores + sum over attached pairs of their bond

Being additive over a tree, its partition function is a sum-product from the leaves to the root.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.discrete.environment import Environment, States

ROOT = 0
# More addresses than this make rows too wide to be of use.
MOST_ADDRESSES = 4096


@dataclass(frozen=True, slots=True)
class Grammar:
    """The fragments, how they fit, and what they are worth.

    Attributes
    ----------
    sites
        How many others can be attached to each fragment, shape [fragments].
    scores
        What a fragment adds to the log-reward, shape [fragments].
    bonds
        What a pair adds, row the inner fragment and column the one attached to it, shape [fragments, fragments].
    fits
        Whether the column may be attached to the row, shape [fragments, fragments].

    Raises
    ------
    InputError
        If the shapes do not fit.
    """

    sites: Int[Tensor, " fragments"]
    scores: Float[Tensor, " scores"]
    bonds: Float[Tensor, "fragments fragments"]
    fits: Bool[Tensor, "fragments fragments"]

    def __post_init__(self) -> None:
        count = len(self.sites)
        shapes = [list(part.shape) for part in (self.scores, self.bonds, self.fits)]
        if shapes != [[count], [count, count], [count, count]]:
            message = (
                f"scores, bonds and fits have the shapes {shapes}, expected [{count}] and twice [{count}, {count}] "
                f"for {count} fragments"
            )
            raise InputError(message)

    @classmethod
    def random(cls, fragments: int, generator: torch.Generator, *, most_sites: int = 3) -> Grammar:
        """Draw a grammar: scores and bonds from normal distributions, and about three pairs of four that fit."""
        sites = torch.randint(most_sites + 1, (fragments,), generator=generator)
        sites[0] = most_sites
        fits = torch.rand(fragments, fragments, generator=generator) < 0.75
        scores = 0.5 * torch.randn(fragments, generator=generator)
        return cls(sites, scores, torch.randn(fragments, fragments, generator=generator), fits)


class FragmentTrees(Environment):
    """Trees of fragments.

    A state holds for each address the number of its fragment plus one, 0 where it is free, and at the end whether the
    walk has stopped. Action p F + f puts fragment f of F at address p, the last one stops; backward action p takes the
    leaf at p away.

    Parameters
    ----------
    grammar
        The fragments.
    most
        Fragments of the largest tree.
    depth
        Fragments on the longest way from the root to a leaf.

    Raises
    ------
    InputError
        If the addresses are too many, or a tree of `most` fragments does not fit the depth.
    """

    def __init__(self, grammar: Grammar, *, most: int, depth: int) -> None:
        branches = max(int(grammar.sites.max()), 1)
        addresses = sum(branches**level for level in range(depth))
        if depth < 1 or not 1 <= most <= addresses <= MOST_ADDRESSES:
            message = (
                f"trees of {most} fragments with depth {depth} and {branches} sites have {addresses} addresses; "
                f"expected 1 fragment to as many as addresses, and at most {MOST_ADDRESSES} of these"
            )
            raise InputError(message)
        self.grammar, self.most, self.depth = grammar, most, depth
        self.fragments, self.addresses = len(grammar.sites), addresses
        address = torch.arange(1, addresses)
        # Address c has the parent (c - 1) // branches, and sits at its site (c - 1) % branches.
        self.parent = torch.cat((torch.tensor([ROOT]), (address - 1) // branches))
        self.site = torch.cat((torch.tensor([0]), (address - 1) % branches))
        # By the inner fragment plus one: which fragments may come to each of its sites; nothing without one.
        open_sites = torch.arange(branches) < grammar.sites[:, None]
        able = open_sites[:, :, None] & grammar.fits[:, None, :]
        self.able = torch.cat((torch.zeros_like(able[:1]), able))
        self.scores = torch.cat((torch.zeros(1), grammar.scores))
        self.bonds = torch.nn.functional.pad(grammar.bonds, (1, 0, 1, 0))
        self.actions = addresses * self.fragments + 1
        self.backward_actions = addresses + 1
        self.features = addresses * self.fragments
        self.longest = most + 1
        self.ends_by_stopping = True

    def initial(self, count: int) -> States:
        return torch.zeros(count, self.addresses + 1, dtype=torch.int16, device=self.device)

    def allowed(self, states: States) -> Bool[Tensor, "batch actions"]:
        tree, stopped = states[:, :-1].long(), states[:, -1:] > 0
        size = (tree > 0).sum(dim=1, keepdim=True)
        able = self.able[tree[:, self.parent], self.site]
        able[:, ROOT] = True
        able = able & (tree == 0)[:, :, None] & ((size < self.most) & ~stopped)[:, :, None]
        return torch.cat((able.flatten(1), (size > 0) & ~stopped), dim=1)

    def undoable(self, states: States) -> Bool[Tensor, "batch backward_actions"]:
        filled, stopped = states[:, :-1] > 0, states[:, -1:] > 0
        attached = torch.zeros(filled.shape, dtype=torch.long, device=states.device)
        attached.index_add_(1, self.parent[1:], filled[:, 1:].long())
        return torch.cat((filled & (attached == 0) & ~stopped, stopped), dim=1)

    def terminal(self, states: States) -> Bool[Tensor, " batch"]:
        return states[:, -1] > 0

    def step(self, states: States, actions: Int[Tensor, " batch"]) -> States:
        fragment = actions % self.fragments + 1
        value = torch.where(actions == self.actions - 1, 1, fragment)
        return states.scatter(1, (actions // self.fragments)[:, None], value[:, None].to(states.dtype))

    def undo(self, states: States, backward_actions: Int[Tensor, " batch"]) -> States:
        return states.scatter(1, backward_actions[:, None], 0)

    def backward_of(self, states: States, actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return actions // self.fragments

    def forward_of(self, states: States, backward_actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        fragment = states.gather(1, backward_actions[:, None])[:, 0].long() - 1
        return backward_actions * self.fragments + fragment

    def encode(self, states: States) -> Float[Tensor, "batch features"]:
        fragments = torch.arange(1, self.fragments + 1, device=states.device)
        return (states[:, :-1, None] == fragments).flatten(1).float()

    def log_reward(self, states: States) -> Float[Tensor, " batch"]:
        return self.log_potential(states)

    def log_potential(self, states: States) -> Float[Tensor, " batch"]:
        """Return the sum of scores and bonds; partial trees are trees."""
        tree = states[:, :-1].long()
        bonds = self.bonds[tree[:, self.parent[1:]], tree[:, 1:]]
        return self.scores[tree].sum(dim=1) + bonds.sum(dim=1)

    def log_partition(self) -> Float[Tensor, ""]:
        """Return log Z exactly, in double precision."""
        return self._log_partition(self.grammar.scores.double())

    def counts(self) -> Float[Tensor, " fragments"]:
        """Return how often each fragment is in a tree on average, exactly: the gradient of log Z."""
        scores = self.grammar.scores.double().clone().requires_grad_()
        return torch.autograd.grad(self._log_partition(scores), scores)[0]

    def _log_partition(self, scores: Tensor) -> Tensor:
        grammar = self.grammar
        weights = torch.where(grammar.fits, grammar.bonds.double().exp(), 0.0)
        # Sums over the trees with each root fragment, by their size, for trees of growing depth.
        trees = torch.zeros(self.fragments, self.most + 1, dtype=torch.float64)
        for _ in range(self.depth):
            branch = weights @ trees
            branch = torch.cat((branch[:, :1] + 1, branch[:, 1:]), dim=1)
            rows = []
            for fragment, sites in enumerate(grammar.sites.tolist()):
                row = torch.nn.functional.one_hot(torch.tensor(1), self.most + 1) * scores[fragment].exp()
                for _ in range(sites):
                    row = _product(row, branch[fragment])
                rows.append(row)
            trees = torch.stack(rows)
        return trees[:, 1:].sum().log()

    def describe(self, states: States) -> list[str]:
        return [_text(row, address=ROOT, parent=self.parent.tolist()) for row in states[:, :-1].tolist()]


def _product(first: Tensor, second: Tensor) -> Tensor:
    """Multiply two polynomials up to the degree of the first."""
    rows = torch.stack([torch.cat((second.new_zeros(n), second[: len(second) - n])) for n in range(len(second))])
    return first @ rows


def _text(row: list[int], *, address: int, parent: list[int]) -> str:
    """Write a tree as fragment(branch, branch, ...)."""
    if not row[address]:
        return "-"
    attached = [child for child in range(address + 1, len(row)) if parent[child] == address and row[child]]
    inside = ", ".join(_text(row, address=child, parent=parent) for child in attached)
    return f"{row[address] - 1}({inside})" if inside else str(row[address] - 1)
