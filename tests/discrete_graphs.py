"""Small graphs of states of every kind, and what enumeration says of them."""

from collections import defaultdict

import torch

from helicell.core.samplers.discrete import (
    AdditiveSets,
    BitSequences,
    FragmentTrees,
    Grammar,
    HyperGrid,
    SetEnvironment,
    TabularEnvironment,
    tabulate,
)

DOUBLE = torch.float64


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def crossing():
    """Return a table in which states have parents by the same action, at different depths, and one is out of reach."""
    children = torch.tensor([[1, 2, 3], [3, 4, -1], [3, 4, 5], [5, 4, -1], [-1, -1, -1], [-1, -1, -1], [4, -1, -1]])
    log_reward = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5, -0.3, 0.0], dtype=DOUBLE)
    potential = torch.tensor([0.2, -0.1, 0.4, 0.3, 0.5, -0.3, 0.0], dtype=DOUBLE)
    return TabularEnvironment(children, log_reward, log_potential=potential)


def pairwise(sets):
    """Return a log-reward with interactions of neighbours."""
    sets = sets.double()
    return sets.sum(dim=1) * 0.3 + (sets[:, 1:] * sets[:, :-1]).sum(dim=1)


def grammar():
    """Return a grammar of three fragments, with 2, 1 and 0 sites."""
    return Grammar(
        torch.tensor([2, 1, 0]),
        torch.tensor([0.3, -0.2, 0.1]),
        torch.tensor([[0.5, 0.1, -0.4], [0.0, 0.7, 0.2], [0.0, 0.0, 0.0]]),
        torch.tensor([[True, True, True], [False, True, True], [True, True, True]]),
    )


MODES = torch.tensor([[0, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]])
GRAPHS = {
    "crossing": crossing,
    "grid": lambda: HyperGrid(2, 5),
    "full sets": lambda: AdditiveSets(torch.linspace(-1, 1, 6), 3),
    "sets of two sizes": lambda: SetEnvironment(5, (1, 3), pairwise, log_potential=pairwise),
    "appended bits": lambda: BitSequences(MODES, word=2),
    "bits in any order": lambda: BitSequences(MODES, word=2, order="any"),
    "fragments": lambda: FragmentTrees(grammar(), most=3, depth=3),
}


def table(name):
    """Return one of the graphs written down."""
    environment = GRAPHS[name]()
    return environment if isinstance(environment, TabularEnvironment) else tabulate(environment)[0]


def random_policy(mask, seed):
    """Return log-probabilities of a random policy where a mask allows."""
    logits = torch.randn(mask.shape, generator=seeded(seed), dtype=DOUBLE).masked_fill(~mask, float("-inf"))
    return logits.log_softmax(dim=-1).nan_to_num(nan=float("-inf"))


def all_walks(environment):
    """Return every walk of a table as a list of (states, actions), by following all actions."""
    found, open_walks = [], [([environment.initial_state], [])]
    while open_walks:
        states, actions = open_walks.pop()
        following = environment.children[states[-1]].tolist()
        if max(following) < 0:
            found.append((states, actions))
        open_walks += [([*states, c], [*actions, a]) for a, c in enumerate(following) if c >= 0]
    return found


def ends_by_enumeration(environment, log_forward):
    """Return the probability of each end by summing over all walks."""
    ends = defaultdict(float)
    for states, actions in all_walks(environment):
        steps = [float(log_forward[s, a]) for s, a in zip(states, actions, strict=False)]
        ends[states[-1]] += torch.tensor(sum(steps)).exp().item()
    result = torch.zeros(environment.states, dtype=DOUBLE)
    for state, probability in ends.items():
        result[state] = probability
    return result
