"""Metrics and baselines: bounds hold, estimates agree with closed forms, modes are counted, peers find log Z."""

import math

import pytest
import torch

from gaussian_sampler import Gaussian
from helicell.core.samplers.baselines import annealed_sampling, chain_sampling
from helicell.core.samplers.energies import ManyWell, Target, grid_mixture
from helicell.core.samplers.metrics import evaluate, measure, modes_covered
from helicell.core.samplers.sampler import Sampler, Samples
from helicell.core.samplers.settings import SamplerSettings


def test_weights_are_summed_up():
    """Bound, estimate and effective size of given weights, and what is not finite left out."""
    energy = grid_mixture(3)
    weights = torch.tensor([0.0, math.log(3.0), 0.5])
    reward = torch.tensor([0.0, 0.0, -torch.inf])
    found = measure(energy, Samples(torch.zeros(3, 2), weights, reward), calls=7)
    assert found.log_z == pytest.approx(math.log(3) / 2)
    assert found.log_z_rw == pytest.approx(math.log(2))
    assert found.log_z_error == pytest.approx(-math.log(3) / 2)
    assert found.ess == pytest.approx(16 / 10 / 2)
    assert found.rejected == pytest.approx(1 / 3)
    assert (found.energy_calls, found.samples, found.w2, found.eubo) == (7, 3, None, None)


def test_modes_are_counted():
    """All modes of exact samples are covered; none far away; a mode with too few points does not count."""
    energy = grid_mixture(3)
    exact = energy.sample(900, torch.Generator().manual_seed(0))
    assert modes_covered(energy, exact) == 9
    assert modes_covered(energy, exact + 100) == 0
    one = exact[torch.cdist(exact, energy.modes).argmin(dim=1) != 4]
    some = torch.cat((one, energy.modes[4:5].repeat(10, 1)))
    assert modes_covered(energy, some) == 8


def test_bounds_hold_and_distances_stand_beside_their_floor():
    """An untrained sampler of the wrong width: ELBO below and EUBO above log Z, distances above their floor."""
    energy = Gaussian(torch.zeros(3), 0.5, log_z=4.0)
    settings = SamplerSettings.from_mapping({"process": {"variance": 1.0, "steps": 10}, "policy": {"hidden": 4}})
    found = evaluate(Sampler(energy, settings), samples=2000)
    # The divergences between N(0, 1) and N(0, 1/2) in three dimensions, either way.
    forward, backward = 1.5 * (2 - 1 - math.log(2)), 1.5 * (0.5 - 1 + math.log(2))
    assert found.log_z_error == pytest.approx(forward, abs=0.1)
    assert found.eubo - 4.0 == pytest.approx(backward, abs=0.05)
    assert found.eubo_gap == pytest.approx(forward + backward, abs=0.12)
    assert abs(found.log_z_rw_error) < 0.05
    assert found.w2 > 1.2 * found.w2_floor
    assert found.sliced_w2 == pytest.approx(1 - 0.5**0.5, abs=0.05)
    assert found.sliced_w2_floor < 0.06
    # Once for each path, either way.
    assert found.energy_calls == 4000


@pytest.mark.parametrize("resample", [True, False])
def test_annealing_estimates_log_z(resample):
    """SMC and AIS come to the exact log Z of two pairs of wells, and SMC to the share of the right ones."""
    energy = ManyWell(4)
    target = Target(energy)
    drawn = annealed_sampling(
        target, 2000, stages=60, moves=3, resample=resample, generator=torch.Generator().manual_seed(0)
    )
    found = measure(energy, drawn, exact=energy.sample(2000, torch.Generator().manual_seed(1)))
    assert abs(found.log_z_rw_error) < 0.1
    shares = drawn.log_weights.softmax(dim=0)
    assert float((shares * (drawn.points[:, 0] > 0)).sum()) == pytest.approx(energy.right_share, abs=0.06)
    assert target.calls >= 2000 * 60 * 3


def test_chains_sample_but_say_nothing_of_log_z():
    """Replica exchange covers the grid's modes; its weights are NaN, and so are the estimates, not zero."""
    energy = grid_mixture(3)
    drawn = chain_sampling(
        Target(energy), 500, steps=400, temperatures=(1.0, 3.0, 9.0), generator=torch.Generator().manual_seed(0)
    )
    assert drawn.log_weights.isnan().all()
    found = measure(energy, drawn, exact=energy.sample(500, torch.Generator().manual_seed(1)))
    assert math.isnan(found.log_z)
    assert found.modes_covered == 9
    assert found.sliced_w2 < 4 * found.sliced_w2_floor
