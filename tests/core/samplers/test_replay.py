"""The replay buffer: its order against sorting, its distribution by chi-square, its ring, its state."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from helicell.core.errors import InputError
from helicell.core.samplers.ranking import Ranking
from helicell.core.samplers.replay import UNIFORM, ReplayBuffer, draw_ranks


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(-3, 3)), max_size=60))
def test_the_order_is_that_of_sorting(changes):
    """After any fillings and refillings the slots come out by value, ties by slot, as sorting gives them."""
    ranking, values = Ranking(15), {}
    for slot, value in changes:
        ranking.put(np.array([slot]), np.array([value], dtype=np.float32))
        values[slot] = value
        expected = sorted(values, key=lambda one: (-values[one], one))
        assert len(ranking) == len(values)
        assert ranking.slots(np.arange(len(values))).tolist() == expected


def test_a_large_order_stays_shallow():
    """Rising values, the worst case of a plain tree, give every rank at once, through many replacements."""
    ranking = Ranking(20_000)
    ranking.put(np.arange(20_000), np.arange(20_000, dtype=np.float32))
    ranking.put(np.arange(5_000), np.arange(30_000, 35_000, dtype=np.float32))
    assert ranking.slots(np.array([0, 4_999, 5_000, 19_999])).tolist() == [4_999, 0, 19_999, 5_000]


@pytest.mark.parametrize(("size", "weight"), [(5, 0.01), (40, 0.01), (40, 0.3), (1000, 0.001)])
def test_ranks_have_their_distribution(size, weight):
    """Drawn ranks pass a chi-square test against 1 / (k N + r), for small and large offsets."""
    ranks = draw_ranks(200_000, size, weight, np.random.default_rng(0))
    counts = np.bincount(ranks, minlength=size)
    weights = 1 / (weight * size + np.arange(size))
    expected = weights / weights.sum() * len(ranks)
    assert chisquare(counts, expected).pvalue > 1e-3


def test_points_are_drawn_by_their_rank():
    """The whole buffer: points drawn after replacements pass a chi-square test, the greatest log reward first."""
    buffer = ReplayBuffer(50, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        points = torch.rand(20, 1, generator=generator)
        buffer.add(points, points[:, 0])
    assert (len(buffer), buffer.added) == (50, 80)
    drawn, rewards = buffer.draw(100_000, generator)
    torch.testing.assert_close(drawn[:, 0], rewards)
    order = buffer.log_reward.sort(descending=True).values
    counts = np.bincount(np.searchsorted(-order.numpy(), -rewards.numpy()), minlength=50)
    weights = 1 / (0.5 + np.arange(50))
    statistic = chisquare(counts, weights / weights.sum() * 100_000).statistic
    assert statistic < chi2.ppf(0.999, 49)


def test_uniform_draws():
    """An infinite weight draws all points alike."""
    buffer = ReplayBuffer(10, 1, rank_weight=UNIFORM)
    buffer.add(torch.arange(10.0)[:, None], torch.arange(10.0))
    drawn, _ = buffer.draw(50_000, torch.Generator().manual_seed(1))
    counts = np.bincount(drawn[:, 0].int().numpy(), minlength=10)
    assert chisquare(counts).pvalue > 1e-3


def test_the_oldest_give_way():
    """A ring: after it is full the newest points are there, also when more come than it holds; infinities never."""
    buffer = ReplayBuffer(4, 1)
    buffer.add(torch.arange(6.0)[:, None], torch.arange(6.0))
    assert sorted(buffer.points[:, 0].tolist()) == [2, 3, 4, 5]
    buffer.add(torch.tensor([[7.0], [8.0], [9.0]]), torch.tensor([7.0, torch.inf, torch.nan]))
    assert sorted(buffer.points[:, 0].tolist()) == [3, 4, 5, 7]
    assert sorted(buffer.log_reward.tolist()) == [3, 4, 5, 7]


def test_a_loaded_buffer_goes_on_alike():
    """A buffer from a saved state gives the same draws, before and after further points."""
    first, second = ReplayBuffer(30, 2), ReplayBuffer(30, 2)
    generator = torch.Generator().manual_seed(2)
    first.add(torch.randn(40, 2, generator=generator), torch.randn(40, generator=generator))
    second.load(first.state())
    more = torch.randn(10, 2, generator=generator)
    for _ in range(2):
        one, other = (b.draw(20, torch.Generator().manual_seed(3)) for b in (first, second))
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        first.add(more, more[:, 0])
        second.add(more, more[:, 0])


def test_bad_buffers_are_refused():
    """No weight, no capacity, nothing in it."""
    with pytest.raises(InputError, match="expected a positive number"):
        ReplayBuffer(3, 1, rank_weight=0.0)
    with pytest.raises(InputError, match="slots"):
        Ranking(0)
    with pytest.raises(InputError, match="empty"):
        ReplayBuffer(3, 1).draw(1)
