"""Local search: chains keep their target, steps adapt, replicas cross barriers, broken energies are avoided."""

import pytest
import torch

from gaussian_sampler import DOUBLE, Gaussian
from helicell.core.errors import InputError
from helicell.core.samplers.energies import Energy, Funnel, ManyWell, Target
from helicell.core.samplers.local_search import BEST_ACCEPTANCE, langevin_search


def test_a_gaussian_is_kept():
    """Chains that start in a Gaussian stay there, with any fixed step: means, covariance and fourth moments agree."""
    energy = Gaussian(torch.tensor([1.0, -2.0], dtype=DOUBLE), 0.7)
    generator = torch.Generator().manual_seed(0)
    start = energy.mean + 0.7**0.5 * torch.randn(4000, 2, generator=generator, dtype=DOUBLE)
    search = langevin_search(Target(energy), start, steps=40, burn_in=39, step=0.5, adapt=False, generator=generator)
    assert 0.5 < search.acceptance < 0.95
    scaled = (search.points - energy.mean) / 0.7**0.5
    assert scaled.mean(dim=0).abs().max() < 4 / 4000**0.5
    torch.testing.assert_close(torch.cov(scaled.T), torch.eye(2, dtype=DOUBLE), atol=0.09, rtol=0)
    torch.testing.assert_close((scaled**4).mean(dim=0), torch.full((2,), 3.0, dtype=DOUBLE), atol=0.7, rtol=0)


def test_a_gaussian_is_reached():
    """From a point far away the chains arrive, repeated states counted."""
    energy = Gaussian(torch.tensor([1.0, -2.0], dtype=DOUBLE), 0.7)
    start = torch.full((500, 2), 4.0, dtype=DOUBLE)
    search = langevin_search(
        Target(energy), start, steps=300, burn_in=100, step=0.01, generator=torch.Generator().manual_seed(1)
    )
    assert len(search.points) == 500 * 200
    torch.testing.assert_close(search.points.mean(dim=0), energy.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(search.points.var(dim=0), torch.full((2,), 0.7, dtype=DOUBLE), atol=0.03, rtol=0)


@pytest.mark.parametrize("first", [1e-4, 1.0])
def test_the_step_adapts(first):
    """From steps far too short or too long the acceptance comes to 0.574, at one call a step and chain."""
    target = Target(ManyWell(8))
    start = target.energy.sample(200, torch.Generator().manual_seed(0))
    search = langevin_search(
        target, start, steps=300, burn_in=200, step=first, generator=torch.Generator().manual_seed(1)
    )
    assert search.acceptance == pytest.approx(BEST_ACCEPTANCE, abs=0.04)
    assert target.calls == 200 * 301


def test_replicas_cross_barriers():
    """Chains that start in the left wells stay there alone; with hotter replicas they find the wells' true shares."""
    energy = ManyWell(2)
    start = torch.tensor([[-1.7, 0.0]]).repeat(300, 1)
    shares = []
    for ladder in ((1.0,), (1.0, 2.0, 4.0, 8.0)):
        search = langevin_search(
            Target(energy),
            start,
            steps=1500,
            burn_in=500,
            step=0.02,
            temperatures=ladder,
            generator=torch.Generator().manual_seed(2),
        )
        shares.append(float((search.points[:, 0] > 0).double().mean()))
    assert shares[0] < 0.3
    assert shares[1] == pytest.approx(energy.right_share, abs=0.05)
    assert search.swaps > 0.2
    assert search.last.shape == (4, 300, 2)


def test_a_search_goes_on_from_all_its_replicas():
    """Given the last states of all temperatures, the next search starts there."""
    target = Target(ManyWell(2))
    options = {"steps": 2, "burn_in": 0, "temperatures": (1.0, 4.0), "adapt": False}
    first = langevin_search(target, torch.zeros(5, 2), **options, generator=torch.Generator().manual_seed(0))
    still = langevin_search(target, first.last, **options, step=1e-12, generator=torch.Generator().manual_seed(1))
    both = torch.cat((first.last[0], first.last[1])).sort(dim=0).values
    torch.testing.assert_close(still.last.flatten(0, 1).sort(dim=0).values, both, atol=1e-4, rtol=0)


def test_chains_leave_what_is_not_finite_and_never_enter_it():
    """A target that is NaN on one side: chains that start there leave when they can, and nothing found lies there."""

    class Half(Energy):
        dim = 1

        def log_reward(self, x, condition=None):
            return torch.where(x[:, 0] > 0, torch.nan, -0.5 * (x[:, 0] + 1).square())

    start = torch.linspace(-2, 0.2, 50)[:, None]
    target = Target(Half())
    search = langevin_search(target, start, steps=200, burn_in=100, generator=torch.Generator().manual_seed(0))
    assert search.log_reward.isfinite().all()
    assert (search.points <= 0).all()
    assert len(search.points) == 50 * 100
    assert target.rejected > 0


def test_bad_searches_are_refused():
    """A ladder that does not start at one, and a search that keeps nothing."""
    for options, told in (
        ({"steps": 5, "burn_in": 5}, "keeps nothing"),
        ({"steps": 5, "burn_in": 1, "temperatures": (2.0, 1.0)}, "starts at 1"),
    ):
        with pytest.raises(InputError, match=told):
            langevin_search(Target(Funnel(2)), torch.zeros(1, 2), **options)
