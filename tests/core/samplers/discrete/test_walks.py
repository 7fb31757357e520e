"""Walks: they end where the policy says, both ways, alone or together, and can be cut."""

import math

import pytest
import torch
from scipy.stats import chisquare

from discrete_graphs import GRAPHS, crossing, random_policy, seeded, table
from helicell.core.errors import InputError
from helicell.core.samplers.discrete import AdditiveSets, HyperGrid, NetworkPolicy, TablePolicy
from helicell.core.samplers.discrete.exact import ExactFlow, exact_flow, terminal_distribution, uniform
from helicell.core.samplers.discrete.policies import NEVER, Memory, chooser
from helicell.core.samplers.discrete.walks import FORBIDDEN, walk, walk_back

COUNT = 4000


def random_table_policy(environment):
    """Return a random policy on a table."""
    forward = random_policy(environment.allowed_table, seed=6)
    backward = random_policy(environment.undoable_table, seed=7)
    return TablePolicy(environment, flow=ExactFlow(torch.zeros(environment.states), forward, backward))


def p_value(states, probabilities):
    """Return the p-value of a chi-square test, rare states taken together."""
    counts = torch.bincount(states, minlength=len(probabilities)).double()
    common = probabilities * len(states) > 5
    rest = (counts[~common].sum(), probabilities[~common].sum())
    observed = [*counts[common].tolist(), *([float(rest[0])] if rest[1] > 0 else [])]
    expected = [*probabilities[common].tolist(), *([float(rest[1])] if rest[1] > 0 else [])]
    assert rest[1] > 0 or rest[0] == 0
    return chisquare(observed, [p * len(states) / sum(expected) for p in expected]).pvalue


@pytest.mark.parametrize("name", GRAPHS)
def test_walks_are_legal(name):
    """Each step is allowed and leads to the next state, its undoing back; walks stay in the ends that they reach."""
    environment = GRAPHS[name]()
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    walks = walk(environment, chooser(policy), 50, generator=seeded(2), exploration=0.3)
    for step in range(walks.steps):
        on = walks.taken[step]
        states, actions = walks.states[step][on], walks.actions[step][on]
        assert environment.allowed(states).gather(1, actions[:, None]).all()
        assert torch.equal(environment.step(states, actions), walks.states[step + 1][on])
        assert torch.equal(environment.undo(walks.states[step + 1][on], walks.backward_actions[step][on]), states)
        assert torch.equal(walks.states[step][~on], walks.states[step + 1][~on])
    assert environment.terminal(walks.ends).all()
    assert walks.whole


@pytest.mark.parametrize("name", GRAPHS)
def test_walks_end_where_dynamic_programming_says(name):
    """Chi-square over the ends of a random policy."""
    environment = table(name)
    policy = random_table_policy(environment)
    walks = walk(environment, chooser(policy), COUNT, generator=seeded(3))
    assert p_value(walks.ends, terminal_distribution(environment, policy.forward_table.detach())) > 1e-3


@pytest.mark.parametrize("exploration", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", ["crossing", "grid", "sets of two sizes"])
def test_compiled_walks_are_the_same_in_distribution(name, exploration):
    """Legal steps, the ends of the mixture of policy and blind choices, and walks that stay in their ends."""
    environment = table(name)
    policy = random_table_policy(environment)
    blind = uniform(environment.allowed_table).exp()
    mixed = (1 - exploration) * policy.forward_table.detach().exp() + exploration * blind
    walks = Memory(policy).walk(COUNT, generator=seeded(11), exploration=exploration)
    assert p_value(walks.ends, terminal_distribution(environment, mixed.log())) > 1e-3
    taken = walks.taken
    assert torch.equal(environment.step(walks.states[:-1][taken], walks.actions[taken]), walks.states[1:][taken])
    undone = environment.undo(walks.states[1:][taken], walks.backward_actions[taken])
    assert torch.equal(undone, walks.states[:-1][taken])
    assert torch.equal(walks.states[1:][~taken], walks.states[:-1][~taken])
    assert environment.terminal(walks.ends).all()


@pytest.mark.parametrize("exploration", [0.25, 1.0])
def test_exploring_walks_mix_with_blind_ones(exploration):
    """The ends are those of the mixture of the policy and a blind one, at every step."""
    environment = crossing()
    policy = random_table_policy(environment)
    blind = uniform(environment.allowed_table).exp()
    mixed = (1 - exploration) * policy.forward_table.detach().exp() + exploration * blind
    walks = walk(environment, chooser(policy), COUNT, generator=seeded(4), exploration=exploration)
    assert p_value(walks.ends, terminal_distribution(environment, mixed.log())) > 1e-3


@pytest.mark.parametrize("name", GRAPHS)
def test_walks_back_are_legal_walks_forward(name):
    """From ends back to the start; read forward, every step leads to the next state."""
    environment = GRAPHS[name]()
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    ends = walk(environment, chooser(policy), 30, generator=seeded(2)).ends
    walks = walk_back(environment, chooser(policy, backward=True), ends, generator=seeded(5))
    assert torch.equal(walks.ends, ends)
    assert torch.equal(walks.states[0], environment.initial(30))
    for step in range(walks.steps):
        on = walks.taken[step]
        states = walks.states[step][on]
        assert torch.equal(environment.step(states, walks.actions[step][on]), walks.states[step + 1][on])
        undone = environment.undo(walks.states[step + 1][on], walks.backward_actions[step][on])
        assert torch.equal(undone, states)


def test_walks_back_from_exact_ends_are_the_exact_walks():
    """Ends drawn as the reward says, walked back, pass through each state as often as the exact policy does."""
    environment = crossing()
    flow = exact_flow(environment, log_backward=random_policy(environment.undoable_table, seed=7))
    policy = TablePolicy(environment, flow=flow)
    forward = walk(environment, chooser(policy), COUNT, generator=seeded(8))
    ends = torch.multinomial(environment.reward_table[[4, 5]].exp(), COUNT, replacement=True, generator=seeded(9)) + 4
    backward = walk_back(environment, chooser(policy, backward=True), ends, generator=seeded(10))
    visits = [torch.bincount(w.states[w.visited], minlength=7).double() / COUNT for w in (forward, backward)]
    assert (visits[0] - visits[1]).abs().max() < 4 * math.sqrt(0.5 / COUNT)


def test_a_walk_with_its_own_stream_does_not_depend_on_the_others():
    """Number 3 of five walks is the same alone."""
    environment = HyperGrid(2, 6)
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    five = walk(environment, chooser(policy), 5, generator=[seeded(n) for n in range(5)])
    one = walk(environment, chooser(policy), 1, generator=[seeded(3)])
    assert torch.equal(one.states[:, 0], five.states[: one.steps + 1, 3])
    assert one.lengths[0] == five.lengths[3]


def test_stretches_lie_anywhere_in_their_walks():
    """Every place alike; short walks stay whole; what is cut fits together."""
    environment = HyperGrid(1, 12, reward=lambda x: x[:, 0].double() * 0)
    walks = walk(environment, chooser(random_table_policy(environment)), COUNT, generator=seeded(1), exploration=0.9)
    stretches = walks.window(3, seeded(2))
    assert torch.equal(stretches.lengths, walks.lengths.clamp_max(3))
    assert not stretches.whole
    assert stretches.steps == 3
    taken = stretches.taken
    assert torch.equal(
        environment.step(stretches.states[:-1][taken], stretches.actions[taken]), stretches.states[1:][taken]
    )
    long = walks.lengths == 6
    starts = stretches.states[0][long]
    assert chisquare(torch.bincount(starts, minlength=4).tolist()).pvalue > 1e-3
    with pytest.raises(InputError, match="stretches of 0 steps"):
        walks.window(0, seeded())


def test_batches_of_different_lengths_are_joined():
    """Walks keep their steps, and those of the shorter batch stay at their ends."""
    environment = HyperGrid(2, 4)
    policy = chooser(random_table_policy(environment))
    batches = [walk(environment, policy, 3, generator=seeded(n)) for n in range(8)]
    first, second = max(batches, key=lambda walks: walks.steps), min(batches, key=lambda walks: walks.steps)
    assert first.steps > second.steps
    joined = first.joined(second)
    assert torch.equal(joined.lengths, torch.cat((first.lengths, second.lengths)))
    assert torch.equal(joined.ends, torch.cat((first.ends, second.ends)))
    assert torch.equal(joined.states[: second.steps + 1, 3:], second.states)


def test_a_wrong_length_is_an_error():
    """Walks that go on for longer than the environment says are stopped, both ways."""
    environment = AdditiveSets(torch.zeros(5), 3)
    policy = NetworkPolicy(environment, hidden=4, generator=seeded())
    ends = walk(environment, chooser(policy), 2, generator=seeded()).ends
    environment.longest = 2
    with pytest.raises(InputError, match="longer than 2 steps"):
        walk(environment, chooser(policy), 2, generator=seeded())
    with pytest.raises(InputError, match="longer than 2 steps"):
        walk_back(environment, chooser(policy, backward=True), ends, generator=seeded())


def test_forbidden_actions_are_far_below():
    """What policies put in place of the logarithm of zero is what walks take for forbidden."""
    assert NEVER < FORBIDDEN
