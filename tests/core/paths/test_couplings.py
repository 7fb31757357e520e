"""Couplings, against POT and SciPy, and what they must keep."""

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from helicell.core.errors import HelicellError, InputError
from helicell.core.paths import (
    ExactTransport,
    GivenPairs,
    IndependentCoupling,
    PartialTransport,
    SinkhornTransport,
    UnbalancedTransport,
    WithinLabels,
)
from helicell.core.paths.transport import entropic_plan, sample_plan, squared_distances
from helicell.core.spaces import Euclidean, Product, Torus, UnitQuaternions, quaternions


def generator(seed=0):
    """Return a seeded stream."""
    return torch.Generator().manual_seed(seed)


def points(count, seed, dimensions=2):
    """Return normal points around the number of their seed."""
    return torch.randn(count, dimensions, generator=generator(seed)) + seed


def uniform(count):
    """Return equal masses."""
    return np.full(count, 1 / count)


ALL = [
    ExactTransport(),
    SinkhornTransport(),
    UnbalancedTransport(),
    PartialTransport(mass=0.5),
    IndependentCoupling(),
]
every = pytest.mark.parametrize("coupling", ALL, ids=lambda coupling: type(coupling).__name__)


@every
@pytest.mark.parametrize("sizes", [(40, 40), (30, 47)], ids=["equal", "unequal"])
def test_pairs_are_seeded_and_fit_the_batches(coupling, sizes):
    """Equal generators give equal pairs, as many as the larger batch has points, all inside the batches."""
    x_0, x_1 = points(sizes[0], 1), points(sizes[1], 2)
    first, second = (coupling.pair(x_0, x_1, generator=generator()) for _ in range(2))
    assert torch.equal(first.source, second.source)
    assert torch.equal(first.target, second.target)
    assert len(first.source) == len(first.target) == max(sizes)
    assert first.source.max() < sizes[0]
    assert first.target.max() < sizes[1]
    taken = first.take(x_0, x_1)
    assert torch.equal(taken[1], x_1[first.target])


def test_the_exact_plan_is_the_best_permutation():
    """Between equal sizes every point comes up once, and the cost is that of POT and of SciPy."""
    x_0, x_1 = points(150, 1), points(150, 2)
    pairs = ExactTransport().pair(x_0, x_1)
    assert sorted(pairs.target.tolist()) == list(range(150))
    cost = torch.cdist(x_0.double(), x_1.double()).square().numpy()
    found = cost[pairs.source, pairs.target].mean()
    assert found == pytest.approx(ot.emd2(uniform(150), uniform(150), cost), rel=1e-6)
    assert found == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-6)


def test_the_exact_plan_of_unequal_sizes_is_pots():
    """Pairs come up as often as POT's plan says, on the average over many draws."""
    x_0, x_1 = points(6, 1), points(9, 2)
    cost = squared_distances(x_0, x_1)
    plan = ot.emd(uniform(6), uniform(9), cost.double().numpy())
    counts = np.zeros_like(plan)
    for seed in range(400):
        pairs = ExactTransport().pair(x_0, x_1, generator=generator(seed))
        np.add.at(counts, (pairs.source.numpy(), pairs.target.numpy()), 1 / (400 * 9))
    np.testing.assert_allclose(counts, plan, atol=0.01)


def test_sinkhorns_plan_is_pots():
    """The plan agrees with POT's plain iterations where those are stable, and its marginals are uniform."""
    cost = squared_distances(points(20, 1), points(30, 2))
    weight = 0.1 * float(cost.mean())
    plan = SinkhornTransport(regularisation=0.1).plan(cost)
    np.testing.assert_allclose(plan, ot.sinkhorn(uniform(20), uniform(30), cost.double().numpy(), weight), atol=1e-6)
    np.testing.assert_allclose(plan.sum(0), uniform(30), atol=1e-6)
    absolute = SinkhornTransport(regularisation=weight, relative=False).plan(cost)
    torch.testing.assert_close(plan, absolute)


def test_strong_regularisation_makes_pairs_independent():
    """The plan tends to the product of its marginals."""
    plan = SinkhornTransport(regularisation=1000.0).plan(squared_distances(points(5, 1), points(7, 2)))
    np.testing.assert_allclose(plan, np.full((5, 7), 1 / 35), atol=1e-4)


def test_sinkhorn_that_does_not_converge_says_so(caplog):
    """A warning in the log names the mend."""
    SinkhornTransport(regularisation=1e-3, iterations=2).plan(squared_distances(points(20, 1), points(20, 2)))
    assert "raise the regularisation" in caplog.text


def test_unbalanced_transport_leaves_outliers_out():
    """A far point keeps its mass in a balanced plan, and loses most of it in an unbalanced one, which is POT's."""
    x_1 = torch.cat((points(19, 0), torch.full((1, 2), 8.0)))
    cost = squared_distances(points(20, 0), x_1)
    coupling = UnbalancedTransport(regularisation=0.5, marginal_weight=5.0, relative=False)
    plan = coupling.plan(cost)
    assert plan[:, -1].sum() < 0.1 * SinkhornTransport(regularisation=0.5, relative=False).plan(cost)[:, -1].sum()
    wanted = ot.unbalanced.sinkhorn_unbalanced(
        uniform(20), uniform(20), cost.double().numpy(), 0.5, 5.0, reg_type="kl", method="sinkhorn", stopThr=1e-12
    )
    np.testing.assert_allclose(plan, wanted, atol=1e-6)


def test_partial_transport_moves_the_cheapest_share():
    """The mass is what was asked for, and the far point is not coupled."""
    x_1 = torch.cat((points(19, 0), torch.full((1, 2), 30.0)))
    coupling = PartialTransport(mass=0.8)
    plan = coupling.plan(squared_distances(points(20, 0), x_1))
    assert float(plan.sum()) == pytest.approx(0.8)
    pairs = coupling.pair(points(20, 0), x_1, generator=generator())
    assert 19 not in pairs.target.tolist()


def test_labels_are_kept_apart():
    """Pairs share their label, each label keeps its number, and within a label the pairs are the best."""
    x_0, x_1 = points(60, 1), points(60, 2)
    labels = torch.randint(3, (60,), generator=generator(3))
    pairs = WithinLabels(ExactTransport()).pair(x_0, x_1, condition=labels)
    assert torch.equal(labels[pairs.source], labels[pairs.target])
    assert sorted(pairs.target.tolist()) == list(range(60))
    for label in range(3):
        rows = labels == label
        cost = torch.cdist(x_0[rows].double(), x_1[rows].double()).square().numpy()
        of_label = labels[pairs.target] == label
        found = (x_0[pairs.source[of_label]] - x_1[pairs.target[of_label]]).square().sum(1).mean()
        assert float(found) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-5)


def test_a_condition_cost_brings_conditions_together():
    """With its weight the pairs' conditions come closer; weight 0 is the plain plan."""
    x_0, x_1 = points(80, 1), points(80, 2)
    condition = torch.randn(80, generator=generator(5))
    plain = ExactTransport().pair(x_0, x_1)
    gaps = []
    for weight in (0.0, 1.0, 100.0):
        pairs = ExactTransport(condition_weight=weight).pair(x_0, x_1, condition=condition)
        gaps.append(float((condition[pairs.source] - condition[pairs.target]).square().mean()))
        if not weight:
            assert torch.equal(pairs.target, plain.target)
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]


def test_distances_are_those_of_the_space():
    """On tori, rotations and products of many residues, the cost is the sum of squared geodesic distances."""
    torus = torch.rand(2, 5, 3, generator=generator()) * 6 - 3
    expected = Torus().distance(torus[0][:, None], torus[1][None]) ** 2
    torch.testing.assert_close(squared_distances(*torus, space=Torus()), expected)
    space = Product(Euclidean(), UnitQuaternions())
    x, y = (
        (torch.randn(4, 7, 3, generator=generator(k)), quaternions.random_quaternions((4, 7), generator=generator(k)))
        for k in (1, 2)
    )
    cost = squared_distances(x, y, space=space)
    one = space.distance(tuple(part[1] for part in x), tuple(part[3] for part in y)).square().sum()
    torch.testing.assert_close(cost[1, 3], one)
    assert sorted(ExactTransport(space=space).pair(x, y).target.tolist()) == [0, 1, 2, 3]


def test_distances_are_exact_far_from_the_origin():
    """The matrix product does not lose the digits of points that lie together far away."""
    x, y = points(10, 0) + 1000, points(12, 0) + 1000
    exact = torch.cdist(x.double(), y.double()).square()
    torch.testing.assert_close(squared_distances(x, y).double(), exact, atol=2e-3, rtol=2e-3)


def test_a_plan_is_drawn_evenly():
    """One pair comes from each equal part of the mass, so no row is off its share by more than one draw."""
    plan = torch.rand(8, 5, generator=generator())
    pairs = sample_plan(plan, 1000, generator=generator(1))
    counts = torch.bincount(pairs.source, minlength=8).double()
    assert (counts - 1000 * plan.double().sum(1) / plan.double().sum()).abs().max() <= 1.001


def test_independent_pairs_ignore_the_order():
    """Every point comes up once, and pairs do not follow the rows."""
    x = torch.arange(500.0)[:, None]
    pairs = IndependentCoupling().pair(x, x, generator=generator())
    assert sorted(pairs.target.tolist()) == sorted(pairs.source.tolist()) == list(range(500))
    assert abs(np.corrcoef(pairs.source, pairs.target)[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: GivenPairs().pair(points(3, 0), points(4, 0)), "as many x_0 as x_1, got 3 and 4"),
        (lambda: ExactTransport().pair(torch.zeros(0, 2), points(4, 0)), "0 x_0 and 4 x_1"),
        (lambda: ExactTransport().pair(points(3, 0), points(3, 0, dimensions=3)), "expected one shape"),
        (lambda: ExactTransport().pair(points(3, 0), points(3, 0) * torch.nan), "not finite"),
        (lambda: PartialTransport(mass=1.5), "at most 1"),
        (lambda: SinkhornTransport(regularisation=0.0).pair(points(3, 0), points(3, 1)), "positive"),
        (lambda: WithinLabels(GivenPairs()).pair(points(3, 0), points(3, 0)), "one label a point, got none"),
        (
            lambda: WithinLabels(ExactTransport()).pair(points(3, 0), points(4, 0), condition=torch.zeros(4)),
            "give source_condition",
        ),
        (
            lambda: WithinLabels(ExactTransport()).pair(
                points(2, 0), points(2, 0), condition=torch.tensor([0, 7]), source_condition=torch.tensor([0, 0])
            ),
            "no x_0 has the label 7",
        ),
        (lambda: ExactTransport(condition_weight=1.0).pair(points(3, 0), points(3, 0)), "needs conditions"),
        (lambda: ExactTransport(condition_weight=-1.0), "expected 0 or more"),
        (lambda: PartialTransport(condition_weight=-1.0), "expected 0 or more"),
        (lambda: ExactTransport().pair((points(3, 0), points(3, 0)), (points(3, 0),)), "2 tensors and of x_1 of 1"),
        (lambda: ExactTransport().pair(points(3, 0).long(), points(3, 0).long()), "floating-point"),
        (lambda: ExactTransport(space=UnitQuaternions()).pair(points(3, 0), points(3, 0)), "four coordinates"),
        (lambda: ExactTransport().pair(points(3, 0), points(3, 1)).take(points(2, 0), points(3, 1)), "of 2; give"),
        (lambda: entropic_plan(torch.ones(3, 3), 0.0), "regularisation is 0"),
        (lambda: entropic_plan(torch.zeros(0, 3), 1.0), "at least one point"),
        (lambda: entropic_plan(torch.full((3, 3), torch.nan), 1.0), "not finite"),
        (lambda: entropic_plan(torch.ones(3, 3), 1.0, iterations=0), "0 iterations"),
        (lambda: sample_plan(torch.zeros(3, 3), 4), "not all zero"),
        (lambda: sample_plan(torch.tensor([[1.0, -0.5]]), 4), "none negative"),
        (lambda: sample_plan(torch.full((3, 3), torch.nan), 4), "mass nan"),
        (lambda: sample_plan(torch.ones(3, 3), 0), "gives no 0 pairs"),
    ],
)
def test_couplings_that_do_not_fit_are_refused(call, told):
    """Sizes, labels, conditions and shares are checked, with a message that says what was expected."""
    with pytest.raises(InputError, match=told):
        call()


def test_an_empty_plan_is_an_error():
    """Marginals that cost nothing leave no mass: that is said, not sampled."""
    with pytest.raises(HelicellError, match="raise the regularisation"):
        UnbalancedTransport(regularisation=1e-6, marginal_weight=1e-6, relative=False).pair(points(3, 0), points(3, 9))
