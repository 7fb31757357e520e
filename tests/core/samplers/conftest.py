"""What tests of samplers share: paths to a target whose exact policy is known."""

import pytest
import torch

from gaussian_sampler import DOUBLE, Balanced, Gaussian, exact_forward
from helicell.core.samplers.paths import Path, Probabilities, backward_log_probability
from helicell.core.samplers.process import Brownian, geometric_grid


@pytest.fixture
def balanced() -> Balanced:
    """Paths from arbitrary ends, with everything in balance."""
    generator = torch.Generator().manual_seed(3)
    energy = Gaussian(torch.tensor([1.0, -2.0], dtype=DOUBLE), 0.7, log_z=2.5)
    steps = Brownian(3.0).on(geometric_grid(9).double())
    ends = 3 * torch.randn(6, 2, generator=generator, dtype=DOUBLE)
    states = steps.bridge(ends, generator)
    log_rewards = torch.stack([energy.log_reward(x) for x in states])
    finite = torch.ones(6, dtype=torch.bool)
    path = Path(steps, states, log_rewards[-1], finite, log_rewards=log_rewards)
    forward, marginals = exact_forward(steps, states, energy)
    log_z = torch.full((1, 6), energy.log_z, dtype=DOUBLE)
    flows = torch.cat((log_z, energy.log_z + marginals, log_rewards[-1:]))
    return Balanced(path, Probabilities(forward, backward_log_probability(path), None), flows, energy)
