"""Policies: normalised, masked, and scored along walks as step by step."""

import copy

import pytest
import torch

from discrete_graphs import GRAPHS, random_policy, seeded, table
from helicell.core.errors import InputError
from helicell.core.samplers.discrete import AdditiveSets, HyperGrid, NetworkPolicy, TablePolicy, tabulate
from helicell.core.samplers.discrete.flow_start import fit_flow_head
from helicell.core.samplers.discrete.objectives import loss
from helicell.core.samplers.discrete.policies import NEVER, Memory, chooser, score, tabulated
from helicell.core.samplers.discrete.walks import walk


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("backward", ["learned", "uniform"])
@pytest.mark.parametrize("name", GRAPHS)
def test_probabilities_are_normalised_over_what_is_allowed(name, backward, experts):
    """Both policies sum to one over the allowed actions and give nothing to the others."""
    environment = GRAPHS[name]()
    policy = NetworkPolicy(environment, hidden=8, backward=backward, experts=experts, generator=seeded(1))
    walks = walk(environment, chooser(policy), 20, generator=seeded(2))
    states = walks.states[walks.visited]
    scores = policy(states)
    for log_p, mask in (
        (scores.log_forward, environment.allowed(states)),
        (scores.log_backward, environment.undoable(states)),
    ):
        some = mask.any(dim=1)
        torch.testing.assert_close(log_p[some].masked_fill(~mask[some], NEVER).exp().sum(dim=1), torch.ones(some.sum()))
        assert (log_p[some][~mask[some]] < -1e6).all()
    if backward == "uniform":
        parents = environment.undoable(states).sum(dim=1)
        largest = scores.log_backward.max(dim=1).values
        torch.testing.assert_close(largest[parents > 0], -parents[parents > 0].float().log())
    for logits, full in (
        (policy.forward_logits(states), scores.log_forward),
        (policy.backward_logits(states), scores.log_backward),
    ):
        torch.testing.assert_close(logits.log_softmax(dim=1), full)


@pytest.mark.parametrize("name", GRAPHS)
def test_scores_of_walks_are_those_of_their_steps(name):
    """One pass over all states against asking at each step."""
    environment = GRAPHS[name]()
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    walks = walk(environment, chooser(policy), 20, generator=seeded(2), exploration=0.5)
    scores = score(policy, walks)
    for step in range(walks.steps):
        on = walks.taken[step]
        before, after = policy(walks.states[step][on]), policy(walks.states[step + 1][on])
        forward = before.log_forward.gather(1, walks.actions[step][on][:, None])[:, 0]
        backward = after.log_backward.gather(1, walks.backward_actions[step][on][:, None])[:, 0]
        torch.testing.assert_close(scores.log_forward[step][on], forward)
        torch.testing.assert_close(scores.log_backward[step][on], backward)
        torch.testing.assert_close(scores.log_flow[step][on], before.log_flow)
        assert (scores.log_forward[step][~on] == 0).all()
        assert (scores.log_backward[step][~on] == 0).all()


def test_a_mixture_can_say_what_one_expert_cannot():
    """With gates that are even, its probabilities are the mean of the experts'."""
    environment = table("grid")
    policy = NetworkPolicy(environment, hidden=8, experts=2, generator=seeded(1))
    actions = environment.actions
    policy.weights[-1].data[2 * actions : 2 * actions + 2] = 0
    policy.biases[-1].data[2 * actions : 2 * actions + 2] = 0
    states = environment.levels()[2]
    outputs = policy._outputs(states)
    forbidden = environment.forbidden(states)
    each = [outputs[:, n * actions : (n + 1) * actions].masked_fill(forbidden, NEVER).softmax(dim=1) for n in (0, 1)]
    torch.testing.assert_close(policy(states).log_forward.exp(), (each[0] + each[1]) / 2)


def test_a_copy_of_a_policy_is_its_own():
    """Deep copies share no weights with the original, and loaded weights count."""
    policy = NetworkPolicy(table("grid"), hidden=8, generator=seeded(1))
    other = copy.deepcopy(policy)
    states = torch.arange(4)
    before = policy(states).log_flow
    for parameter in other.parameters():
        parameter.data.zero_()
    assert torch.equal(policy(states).log_flow, before)
    assert (other(states).log_flow == 0).all()
    other.load_state_dict(policy.state_dict())
    assert torch.equal(other(states).log_flow, before)
    torch.testing.assert_close(other.double()(states).log_flow.float(), before)


def test_the_memory_holds_what_was_last_seen():
    """All states at first; after a change of the weights only those that were visited."""
    environment = HyperGrid(2, 5)
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    memory = Memory(policy)
    inner = torch.arange(25)
    torch.testing.assert_close(memory(inner), policy.forward_logits(inner))
    policy.biases[-1].data += torch.randn(policy.biases[-1].shape, generator=seeded(2))
    old = memory(inner)
    walks = walk(environment, memory, 3, generator=seeded(3))
    score(policy, walks, memory=memory)
    seen = torch.isin(inner, walks.states)
    torch.testing.assert_close(memory(inner)[seen], policy(inner).log_forward[seen])
    assert torch.equal(memory(inner)[~seen], old[~seen])
    with pytest.raises(InputError, match="tabulate it"):
        Memory(NetworkPolicy(AdditiveSets(torch.zeros(4), 2)))


@pytest.mark.parametrize("objective", ["db", "subtb", "fl-db", "fl-subtb"])
def test_the_first_guess_minimises_the_loss_over_the_flow_head(objective):
    """No small change of the head lowers detailed balance, but for the ridge; other heads are untouched."""
    environment = AdditiveSets(torch.linspace(-1, 1, 8), 4)
    policy = NetworkPolicy(environment, hidden=6, generator=seeded(1)).double()
    walks = walk(environment, chooser(policy), 60, generator=seeded(2))
    other = "db" if objective in ("db", "subtb") else "fl-db"
    start = loss(other, environment, walks, score(policy, walks)).item()
    outputs = policy._outputs(walks.ends)
    fit_flow_head(policy, walks, score(policy, walks), objective=objective)
    best = loss(other, environment, walks, score(policy, walks)).item()
    assert best < start
    assert torch.equal(policy._outputs(walks.ends)[:, :-1], outputs[:, :-1])
    for seed in range(10):
        moved = copy.deepcopy(policy)
        moved.weights[-1].data[-1] += 0.3 * torch.randn(6, generator=seeded(seed))
        moved.biases[-1].data[-1] += 0.3 * float(torch.randn((), generator=seeded(seed)))
        assert loss(other, environment, walks, score(moved, walks)).item() > best


def test_tabulated_scores_are_those_of_the_states():
    """A policy on a table, state by state."""
    environment = table("crossing")
    policy = TablePolicy(environment, backward="uniform")
    assert not policy.backward_table.requires_grad
    scores = tabulated(policy, environment)
    torch.testing.assert_close(scores.log_forward[0].exp(), torch.ones(3) / 3)
    policy.forward_table.data = random_policy(environment.allowed_table, seed=1).float()
    torch.testing.assert_close(tabulated(policy, environment).log_forward[1], policy(torch.tensor([1])).log_forward[0])


def test_policies_that_cannot_be_are_refused():
    """Unknown backward policies and empty networks."""
    environment = tabulate(AdditiveSets(torch.zeros(4), 2))[0]
    with pytest.raises(InputError, match="learned, uniform"):
        NetworkPolicy(environment, backward="fixed")
    with pytest.raises(InputError, match="learned, uniform"):
        TablePolicy(environment, backward="fixed")
    with pytest.raises(InputError, match="with 0 experts"):
        NetworkPolicy(environment, experts=0)
