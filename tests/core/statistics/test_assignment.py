"""The assignment solver, against SciPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from helicell.core.errors import InputError
from helicell.core.statistics.assignment import assign


def squared_distances(count, dimensions, seed):
    """Return the costs between a normal sample and points around the corners of a cube."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, dimensions))
    y = 0.3 * random.normal(size=(count, dimensions)) + random.choice([-1.0, 1.0], size=(count, dimensions))
    return ((x[:, None] - y) ** 2).sum(-1)


def total(cost, columns):
    """Return the cost of an assignment, after checking that it is a permutation."""
    assert sorted(columns) == list(range(len(cost)))
    return cost[np.arange(len(cost)), columns].sum()


@pytest.mark.parametrize("coarse", [False, True], ids=["plain", "coarse start"])
@pytest.mark.parametrize("dimensions", [1, 2, 50])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200, 400])
def test_the_cost_is_the_least(count, dimensions, coarse):
    """The total agrees with SciPy's exact solver to the rounding of 32-bit numbers, for sizes around the block size."""
    cost = squared_distances(count, dimensions, seed=count)
    best = total(cost, linear_sum_assignment(cost)[1])
    assert total(cost, assign(cost, coarse=coarse).columns) == pytest.approx(best, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(arrays(np.int64, st.integers(1, 12).map(lambda n: (n, n)), elements=st.integers(-3, 3)))
def test_ties_and_negative_costs(cost):
    """Small whole numbers have many equally good assignments; the one that is found costs what SciPy's costs."""
    cost = cost.astype(np.float64)
    assert total(cost, assign(cost).columns) == total(cost, linear_sum_assignment(cost)[1])


@pytest.mark.parametrize("coarse", [False, True])
def test_the_prices_prove_the_optimum(coarse):
    """No row has a column with a smaller cost less price than its own: complementary slackness."""
    cost = squared_distances(300, 2, seed=0).astype(np.float32)
    solution = assign(cost, coarse=coarse)
    reduced = cost - solution.prices
    own = reduced[np.arange(300), solution.columns]
    np.testing.assert_allclose(own, reduced.min(axis=1), atol=1e-5)


def test_one_dimension_is_sorting():
    """Squared distances on a line are assigned in order."""
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 128))
    columns = assign((x[:, None] - y) ** 2).columns
    assert np.array_equal(np.argsort(y), columns[np.argsort(x)])


@pytest.mark.parametrize(
    "cost", [np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0)), np.array([[np.nan]]), np.array([[np.inf]])]
)
def test_bad_costs_are_refused(cost):
    """Costs must be square, not empty and finite."""
    with pytest.raises(InputError):
        assign(cost)
