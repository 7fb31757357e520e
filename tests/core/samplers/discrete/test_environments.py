"""Graphs of states: what every one of them must obey, and what is particular to each kind."""

import itertools
import math

import pytest
import torch

from discrete_graphs import DOUBLE, GRAPHS, MODES, crossing, grammar, seeded, table
from helicell.core.errors import InputError
from helicell.core.samplers.discrete import (
    AdditiveSets,
    BitSequences,
    FragmentTrees,
    Grammar,
    HyperGrid,
    SetEnvironment,
    TabularEnvironment,
    block_modes,
    set_task,
    tabulate,
)
from helicell.core.samplers.discrete.environment import checked_log_reward
from helicell.core.samplers.discrete.exact import exact_flow


def visited(environment):
    """Return all states of an environment, as rows that it understands."""
    if isinstance(environment, TabularEnvironment):
        return environment.order
    return tabulate(environment)[1]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_can_be_undone_and_done_again(name):
    """Undoing a step leads back, doing it again leads to the same child, and the masks know of both."""
    environment = GRAPHS[name]()
    states = visited(environment)
    row, action = environment.allowed(states).nonzero(as_tuple=True)
    parents = states[row]
    children = environment.step(parents, action)
    backward = environment.backward_of(parents, action)
    assert environment.undoable(children).gather(1, backward[:, None]).all()
    assert torch.equal(environment.undo(children, backward), parents)
    assert torch.equal(environment.forward_of(children, backward), action)


@pytest.mark.parametrize("name", GRAPHS)
def test_edges_are_counted_alike_from_both_ends(name):
    """There are as many allowed actions as backward actions; only the initial state has no parent."""
    environment = GRAPHS[name]()
    states = visited(environment)
    assert environment.allowed(states).sum() == environment.undoable(states).sum()
    orphans = states[~environment.undoable(states).any(dim=1)]
    assert torch.equal(orphans, environment.initial(1))
    assert torch.equal(environment.terminal(states), ~environment.allowed(states).any(dim=1))
    assert torch.equal(environment.forbidden(states), ~environment.allowed(states))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_potential_is_the_reward_in_the_end(name):
    """So the forward-looking flow may be one there."""
    environment = GRAPHS[name]()
    states = visited(environment)
    ends = states[environment.terminal(states)]
    torch.testing.assert_close(environment.log_potential(ends), environment.log_reward(ends))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_longest_walk_and_single_parents_are_as_declared(name):
    """The declared length is that of the table's levels; ends have one parent where that is declared."""
    environment = GRAPHS[name]()
    written = table(name)
    assert environment.longest == written.longest
    assert environment.ends_by_stopping == written.ends_by_stopping
    assert environment.features == written.features
    assert len(environment.describe(environment.initial(2))) == 2


@pytest.mark.parametrize("name", ["full sets", "bits in any order", "appended bits"])
def test_states_look_different_to_a_network(name):
    """Different states have different features, where no end is a copy of an inner state."""
    written = table(name)
    assert len(written.feature_table.unique(dim=0)) == written.states


def test_a_table_knows_its_parents_levels_and_unreachable_states():
    """The graph of seven states: 6 is out of reach, and no parent of 4, to which 1, 2 and 3 lead by one action."""
    environment = crossing()
    assert [level.tolist() for level in environment.levels()] == [[0], [1, 2], [3], [4, 5]]
    assert environment.ends.tolist() == [4, 5]
    parents = environment.parents[4][environment.undoable_table[4]]
    assert sorted(parents.tolist()) == [1, 2, 3]


def test_tables_that_make_no_sense_are_refused():
    """Children that do not exist, cycles, and rows that are missing."""
    reward = torch.zeros(2)
    with pytest.raises(InputError, match="leads to state 5"):
        TabularEnvironment(torch.tensor([[5], [-1]]), reward)
    with pytest.raises(InputError, match="cycle"):
        TabularEnvironment(torch.tensor([[1, -1], [0, -1]]), reward)
    with pytest.raises(InputError, match="cycle"):
        TabularEnvironment(torch.tensor([[1], [2], [1]]), torch.zeros(3))
    with pytest.raises(InputError, match="3 rows for 2 states"):
        TabularEnvironment(torch.tensor([[1], [-1]]), torch.zeros(3))
    with pytest.raises(InputError, match="more than 10 states"):
        tabulate(AdditiveSets(torch.zeros(6), 3), most=10)


def test_without_a_potential_the_error_names_what_else_to_choose():
    """Environments need not have one."""
    environment = SetEnvironment(4, 2, lambda sets: sets.double().sum(dim=1))
    with pytest.raises(InputError, match="choose tb, vargrad, db or subtb"):
        environment.log_potential(environment.initial(1))
    assert tabulate(environment)[0].potential_table is None


@pytest.mark.parametrize(
    ("reward", "scales", "value"),
    [
        ("original", (0.1, 0.5, 2.0), lambda c: 0.1 + 0.5 * (min(c) > 0.25) + 2.0 * all(0.3 < x < 0.4 for x in c)),
        ("deceptive", (1e-5, 0.1, 2.0), lambda c: 1e-5 + 0.1 * (min(c) <= 0.1) + 2.0 * all(0.3 < x < 0.4 for x in c)),
        (
            "cosine",
            (0.1, 0.5, 0.0),
            lambda c: (
                0.1
                + 0.5 * math.prod((1 + math.cos(50 * x)) * math.exp(-12.5 * x * x) / math.sqrt(2 * math.pi) for x in c)
            ),
        ),
    ],
)
def test_rewards_of_the_hypergrid_are_the_formulas(reward, scales, value):
    """Every cell of an 8 x 8 grid, worked out in plain Python."""
    grid = HyperGrid(2, 8, reward=reward)
    for cell, (x, y) in enumerate(itertools.product(range(8), repeat=2)):
        assert grid.coordinates[cell].tolist() == [x, y]
        expected = value([abs(x / 7 - 0.5), abs(y / 7 - 0.5)])
        assert float(grid.reward_table[cell].exp()) == pytest.approx(expected)
    again = HyperGrid(2, 8, reward=reward, scales=scales)
    assert torch.equal(again.reward_table, grid.reward_table)


def test_a_hypergrid_may_have_any_reward_and_no_size():
    """A function of the coordinates; unknown names and impossible sizes are refused."""
    grid = HyperGrid(2, 3, reward=lambda x: x.double().sum(dim=1))
    assert grid.log_reward(torch.tensor([8, 17])).tolist() == [4, 4]
    assert grid.describe(torch.tensor([5, 14])) == ["(1, 2)", "(1, 2)"]
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        HyperGrid(2, 3, reward="cosin")
    with pytest.raises(InputError, match="cannot be written down"):
        HyperGrid(9, 16)


def test_bits_measure_the_distance_to_the_nearest_mode():
    """Against Hamming distances of whole sequences, and of what is written of partial ones."""
    for order in ("append", "any"):
        bits = BitSequences(MODES, word=3, sharpness=6.0, order=order)
        for values in itertools.product(range(-1, 8), repeat=2):
            state = torch.tensor([values], dtype=torch.int16)
            text = bits.describe(state)[0]
            distances = [
                sum(a not in (".", str(b)) for a, b in zip(text, mode, strict=True)) for mode in MODES.tolist()
            ]
            assert float(bits.log_potential(state)) == pytest.approx(-min(distances))
    modes = block_modes(16, 4, seeded())
    assert modes.shape == (4, 16)
    with pytest.raises(InputError, match="multiple of 8"):
        block_modes(12, 4, seeded())
    with pytest.raises(InputError, match="words of 4"):
        BitSequences(MODES, word=4)


def test_fragments_follow_the_grammar():
    """Free sites of fitting fragments only; leaves come off; a tree's worth is the sum of its parts."""
    trees = FragmentTrees(grammar(), most=3, depth=3)
    state = trees.step(trees.initial(1), torch.tensor([0]))
    state = trees.step(state, torch.tensor([1 * 3 + 1]))
    assert trees.describe(state) == ["0(1)"]
    assert float(trees.log_potential(state)) == pytest.approx(0.3 - 0.2 + 0.1)
    allowed = trees.allowed(state)[0].nonzero()[:, 0].tolist()
    # At address 2, the root's second site, anything fits; at address 3 not fragment 0; then there is stopping.
    assert allowed == [6, 7, 8, 10, 11, 21]
    assert trees.undoable(state)[0].nonzero()[:, 0].tolist() == [1]
    with pytest.raises(InputError, match="have 7 addresses"):
        FragmentTrees(grammar(), most=8, depth=3)
    with pytest.raises(InputError, match="for 2 fragments"):
        Grammar(torch.tensor([1, 0]), torch.zeros(3), torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool))


def test_rewards_that_are_not_finite_name_the_state():
    """NaN and infinity are errors; a reward of zero is one too, unless there is a floor for it."""

    def reward(sets):
        values = sets.double().sum(dim=1)
        values[sets[:, 0]] = float("nan")
        values[sets[:, 1]] = float("-inf")
        return values

    environment = SetEnvironment(4, 1, reward, names=["a", "b", "c", "d"])
    states = torch.eye(4, dtype=torch.bool)
    with pytest.raises(InputError, match=r"state \{a\} is nan"):
        checked_log_reward(environment, states)
    with pytest.raises(InputError, match=r"\{b\} is -inf.*floor for rewards of zero"):
        checked_log_reward(environment, states[1:])
    assert checked_log_reward(environment, states[1:], floor=-9.0).tolist() == [-9, 1, 1]
    wrong = SetEnvironment(4, 1, lambda sets: sets.double())
    with pytest.raises(InputError, match="one number a state"):
        checked_log_reward(wrong, states)


def test_sets_and_tasks_that_do_not_exist_are_refused():
    """Sizes, names and tasks."""
    with pytest.raises(InputError, match="sets of 5 to 5 of 4 items"):
        AdditiveSets(torch.zeros(4), 5)
    with pytest.raises(InputError, match="3 different names for 4 items"):
        AdditiveSets(torch.zeros(4), 2, names=["a", "b", "c", "c"])
    with pytest.raises(InputError, match="did you mean 'small'"):
        set_task("smal")


def test_an_environment_moves_its_tensors():
    """All of them, and it stays usable."""
    environment = HyperGrid(2, 3).to("cpu")
    assert environment.device == torch.device("cpu")
    assert environment.reward_table.dtype == DOUBLE


@pytest.mark.parametrize("size", [3, (1, 3)], ids=["full", "of two sizes"])
def test_completions_are_flows_without_rewards(size):
    """What sets know of their flows from the graph alone is the exact flow if all rewards are one."""
    environment = SetEnvironment(5, size, lambda sets: torch.zeros(len(sets), dtype=torch.float64))
    table, states = tabulate(environment)
    expected = exact_flow(table).log_flow.float()
    torch.testing.assert_close(environment.log_completions(states), expected, rtol=1e-5, atol=1e-5)
    assert not environment.log_completions(states)[environment.terminal(states)].any()
