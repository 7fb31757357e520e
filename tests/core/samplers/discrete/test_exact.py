"""Dynamic programming against enumeration of every walk, set and tree."""

import itertools

import pytest
import torch
from scipy.stats import chisquare

from discrete_graphs import DOUBLE, GRAPHS, crossing, ends_by_enumeration, grammar, random_policy, seeded, table
from helicell.core.errors import InputError
from helicell.core.samplers.discrete import AdditiveSets, FragmentTrees, HyperGrid, set_task, tabulate
from helicell.core.samplers.discrete.exact import (
    divergence,
    exact_flow,
    log_partition,
    marginals,
    target_distribution,
    terminal_distribution,
    total_variation,
    uniform_backward,
)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_ends_of_any_policy_are_those_of_enumeration(name):
    """The forward pass over the levels against the sum over all walks."""
    environment = table(name)
    log_forward = random_policy(environment.allowed_table, seed=1)
    found = terminal_distribution(environment, log_forward)
    torch.testing.assert_close(found, ends_by_enumeration(environment, log_forward))
    assert float(found.sum()) == pytest.approx(1)


@pytest.mark.parametrize("backward", ["uniform", "random"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_exact_policy_ends_as_the_reward_says(name, backward):
    """For any backward policy: its flow at the start is log Z, and its ends are R / Z, summed over all walks."""
    environment = table(name)
    log_backward = None if backward == "uniform" else random_policy(environment.undoable_table, seed=2)
    flow = exact_flow(environment, log_backward=log_backward)
    ends = environment.ends
    rewards = environment.reward_table[ends].double().exp()
    assert float(flow.log_flow[environment.initial_state].exp()) == pytest.approx(float(rewards.sum()))
    assert log_partition(environment) == pytest.approx(float(rewards.sum().log()))
    expected = torch.zeros(environment.states, dtype=DOUBLE)
    expected[ends] = rewards / rewards.sum()
    torch.testing.assert_close(target_distribution(environment), expected)
    torch.testing.assert_close(ends_by_enumeration(environment, flow.log_forward), expected)


def test_flows_where_no_reward_can_be_reached():
    """A reward of zero is never walked to, and states that lead nowhere else still have a policy."""
    environment = crossing()
    environment.reward_table[5] = float("-inf")
    flow = exact_flow(environment)
    assert terminal_distribution(environment, flow.log_forward)[5] == 0
    environment.reward_table[4] = float("-inf")
    environment.reward_table[5] = 0.0
    assert terminal_distribution(environment, exact_flow(environment).log_forward)[5] == pytest.approx(1)


def test_backward_probabilities_must_sum_to_one():
    """The error names the state and the sum."""
    environment = crossing()
    with pytest.raises(InputError, match="sum to"):
        exact_flow(environment, log_backward=uniform_backward(environment) - 0.5)


def test_distances_between_distributions():
    """By hand: total variation, divergence and marginals."""
    first, second = torch.tensor([0.5, 0.5, 0.0], dtype=DOUBLE), torch.tensor([0.25, 0.25, 0.5], dtype=DOUBLE)
    assert total_variation(first, second) == pytest.approx(0.5)
    assert divergence(first, second) == pytest.approx(torch.tensor(2.0).log().item())
    assert divergence(second, first) == float("inf")
    assert divergence(first, first) == 0
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    assert marginals(first, features).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("size", [3, (0, 2), (1, 4)])
def test_additive_sets_against_enumeration(size):
    """Log Z, marginals, the best sets, and exact samples by chi-square, against all subsets."""
    weights = torch.linspace(-1.5, 1.0, 5, dtype=DOUBLE)
    environment = AdditiveSets(weights, size)
    smallest, largest = (size, size) if isinstance(size, int) else size
    subsets = [s for n in range(smallest, largest + 1) for s in itertools.combinations(range(5), n)]
    log_rewards = torch.stack([weights[list(s)].sum() for s in subsets])
    probabilities = log_rewards.softmax(dim=0)
    inside = torch.tensor([[item in s for item in range(5)] for s in subsets], dtype=DOUBLE)
    torch.testing.assert_close(environment.log_partition(), log_rewards.logsumexp(dim=0))
    torch.testing.assert_close(environment.marginals(), probabilities @ inside)
    torch.testing.assert_close(environment.best(4), log_rewards.sort(descending=True).values[:4])
    assert len(environment.best(1000)) == len(subsets)
    written, _ = tabulate(environment)
    assert log_partition(written) == pytest.approx(float(log_rewards.logsumexp(dim=0)))

    drawn = environment.sample(4000, seeded(3))
    assert environment.terminal(drawn).all()
    counts = [int((environment.sets(drawn) == row.bool()).all(dim=1).sum()) for row in inside]
    assert chisquare(counts, probabilities * 4000).pvalue > 1e-3


@pytest.mark.parametrize(
    ("size", "log_z", "ceiling"),
    [("small", 11.89239, 0.26328), ("medium", 45.37895, 999_302), ("large", 48.39195, 900_296)],
)
def test_the_set_tasks_have_the_published_energies(size, log_z, ceiling):
    """Log Z, and the mean reward of the hundred best sets, as computed from the published tables of energies."""
    task = set_task(size)
    assert float(task.log_partition()) == pytest.approx(log_z, abs=1e-5)
    assert float(task.best(100).exp().mean()) == pytest.approx(ceiling, rel=1e-5)
    assert float(task.marginals().sum()) == pytest.approx(task.largest)


@pytest.mark.parametrize(("most", "depth"), [(3, 2), (3, 3), (4, 3), (1, 1)])
def test_trees_of_fragments_against_enumeration(most, depth):
    """Log Z and the mean counts of fragments by the sum-product, against all trees."""
    environment = FragmentTrees(grammar(), most=most, depth=depth)
    written, states = tabulate(environment)
    assert float(environment.log_partition()) == pytest.approx(log_partition(written), rel=1e-6)
    present = torch.stack([(states[:, :-1] == f + 1).sum(dim=1) for f in range(3)], dim=1)
    expected = marginals(target_distribution(written), present)
    torch.testing.assert_close(environment.counts(), expected, rtol=1e-5, atol=1e-6)


def test_the_hypergrid_of_the_benchmark_is_solved_exactly():
    """4 x 8: every one of 4096 cells ends up with its share."""
    grid = HyperGrid(4, 8)
    found = terminal_distribution(grid, exact_flow(grid).log_forward)
    assert total_variation(found, target_distribution(grid)) < 1e-12
