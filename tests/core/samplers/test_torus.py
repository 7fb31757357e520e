"""Samplers of angles: exact policies have no loss, everything has a period, log Z and shares come out right."""

import math

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.samplers.baselines import annealed_sampling, chain_sampling
from helicell.core.samplers.energies import Energy, Target, VonMisesMixture, spread_mixture
from helicell.core.samplers.metrics import modes_covered
from helicell.core.samplers.networks import log_normal
from helicell.core.samplers.paths import probabilities, roll_back, roll_out
from helicell.core.samplers.policies import ForwardPolicy
from helicell.core.samplers.process import TorusBrownian, geometric_grid, make_process, uniform_angles
from helicell.core.samplers.sampler import Sampler
from helicell.core.samplers.settings import SamplerSettings
from helicell.core.samplers.trainer import Trainer, compute_loss
from helicell.core.spaces.torus import wrapped

DOUBLE = torch.float64


class Uniform(Energy):
    """The uniform density of angles, which the process without a policy has."""

    dim = 2
    periodic = True
    log_z = 0.0

    def log_reward(self, x, condition=None):
        return x.new_full(x.shape[:1], -2 * math.log(2 * math.pi))


def settings(**options):
    """Return settings of a small sampler."""
    return SamplerSettings.from_mapping({"energy": "von-mises", **options}, source="test")


def test_forward_and_backward_kernels_are_one_process():
    """The uniform density times the forward kernel is that times the backward kernel: detailed balance."""
    steps = TorusBrownian(3.0).on(geometric_grid(6).double())
    x, y = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    for k in range(steps.count):
        forward = log_normal(y, steps.forward_scale[k] * x, steps.forward_variance[k])
        backward = log_normal(x, steps.backward_scale[k] * y, steps.backward_variance[k])
        torch.testing.assert_close(forward, backward)
    assert float(steps.log_marginal(x[None], slice(1))[0, 0]) == pytest.approx(-3 * math.log(2 * math.pi))
    assert not steps.starts_at_zero


def test_starts_are_uniform():
    """Standard normal numbers become angles whose shares of ten equal parts are equal, by a chi-square."""
    angles = uniform_angles(torch.randn(20_000, generator=torch.Generator().manual_seed(0)))
    counts = torch.histc(angles, 10, -math.pi, math.pi)
    assert counts.sum() == 20_000
    # The 0.999 quantile with nine degrees of freedom.
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 27.9


@pytest.mark.parametrize("objective", ["tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb"])
def test_the_exact_policy_has_no_loss(objective):
    """An untrained policy samples the uniform density exactly, so that every objective is zero, both ways."""
    energy = Uniform()
    sampler = Sampler(energy, settings(objective=objective, policy={"learned_variance": False}, process={"steps": 5}))
    target, steps = Target(energy), sampler.steps()
    generator = torch.Generator().manual_seed(0)
    there = sampler.roll_out(target, steps, 20, generator=generator)
    back = sampler.roll_back(target, steps, there.ends, generator=generator)
    for path in (there, back):
        assert compute_loss(sampler, path, sampler.probabilities(path)).item() == pytest.approx(0, abs=1e-8)


def trained_policy(*, change=0.3, **options):
    """Return a policy whose weights are no longer zero."""
    policy = ForwardPolicy(2, TorusBrownian(3.0), learned_variance=True, **options).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(change * torch.randn(parameter.shape, generator=generator, dtype=DOUBLE))
    return policy


@pytest.mark.parametrize("langevin", [False, True])
def test_policies_have_a_period(langevin):
    """A path that is moved by full turns has the same probabilities, forwards and backwards."""
    policy, energy = trained_policy(langevin=langevin), spread_mixture(2)
    steps = policy.process.on(geometric_grid(5).double())
    ends = torch.randn(4, 2, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    turns = 2 * math.pi * torch.tensor([[3.0, -2.0]], dtype=DOUBLE)
    found = []
    for moved in (ends, ends + turns):
        path = roll_back(policy, steps, Target(energy), moved, generator=torch.Generator().manual_seed(3))
        found.append(probabilities(policy, path))
    torch.testing.assert_close(found[0].forward, found[1].forward, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0].backward, found[1].backward, rtol=1e-4, atol=1e-4)


def test_records_of_rollouts_are_the_network():
    """Probabilities from the activations that a rollout kept are those of a new evaluation."""
    policy = trained_policy()
    steps = policy.process.on(geometric_grid(5).double())
    generator = torch.Generator().manual_seed(2)
    path = roll_out(policy, steps, Target(spread_mixture(2)), 6, generator=generator)
    kept = probabilities(policy, path).forward
    torch.testing.assert_close(kept, probabilities(policy, path.without_record()).forward)


def test_weights_estimate_the_integral():
    """The mean weight of paths is the integral of the density, whatever the policy: here one of a uniform density."""
    policy = trained_policy(change=0.05)
    steps = policy.process.on(geometric_grid(5).double())
    path = roll_out(policy, steps, Target(Uniform()), 20_000, generator=torch.Generator().manual_seed(2))
    weights = probabilities(policy, path).log_ratio.detach() + path.log_reward
    assert float(weights.std()) > 0.05
    assert float(weights.exp().mean()) == pytest.approx(1.0, abs=0.05)


def test_training_finds_all_components():
    """A short training with gradients covers five components of unequal weights, and estimates log Z."""
    energy = spread_mixture(2)
    options = {
        "policy": {"langevin": True},
        "process": {"steps": 15},
        "training": {"iterations": 150, "batch": 150, "learning_rate": 3e-3},
    }
    trainer = Trainer(energy, settings(**options))
    for _ in range(150):
        trainer.step()
    drawn = trainer.average.sample(2000, seed=1)
    assert float(drawn.points.abs().max()) <= math.pi
    assert modes_covered(energy, drawn.points) == 5
    estimate = float(drawn.log_weights.double().logsumexp(dim=0)) - math.log(2000)
    assert estimate == pytest.approx(0.0, abs=0.1)


def test_peers_know_angles():
    """Annealing from the uniform start estimates log Z; chains stay in range and keep a von Mises distribution."""
    energy = VonMisesMixture(torch.tensor([[3.0, 0.5]]), concentration=4.0)
    generator = torch.Generator().manual_seed(0)
    drawn = annealed_sampling(Target(energy), 500, stages=40, generator=generator)
    assert float(drawn.log_weights.double().logsumexp(dim=0)) - math.log(500) == pytest.approx(0.0, abs=0.1)
    chains = chain_sampling(Target(energy), 1000, steps=200, generator=generator)
    assert float(chains.points.abs().max()) <= math.pi
    # The mean resultant length of the distribution is I_1(kappa) / I_0(kappa).
    expected = float(torch.special.i1e(torch.tensor(4.0)) / torch.special.i0e(torch.tensor(4.0)))
    assert float(wrapped(chains.points - energy.means).cos().mean()) == pytest.approx(expected, abs=0.03)


def test_processes_that_angles_do_not_have():
    """DDS and DIS stand on processes of the line; the message says what to take."""
    with pytest.raises(InputError, match="brownian"):
        make_process("ornstein-uhlenbeck", 1.0, periodic=True)
    with pytest.raises(InputError, match="not defined for angles"):
        Sampler(Uniform(), settings(objective="dds"))
