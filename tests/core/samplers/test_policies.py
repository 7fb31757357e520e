"""Policies and paths: probabilities of what was sampled, gradients against differences, and untrained exactness."""

import pytest
import torch

from helicell.core.samplers.baselines import differentiable_path
from helicell.core.samplers.energies import GaussianMixture, Target
from helicell.core.samplers.networks import log_normal
from helicell.core.samplers.paths import probabilities, roll_back, roll_out
from helicell.core.samplers.policies import BackwardPolicy, ForwardPolicy
from helicell.core.samplers.process import Brownian, OrnsteinUhlenbeck, VariancePreserving, geometric_grid, uniform_grid
from helicell.core.samplers.sampler import Sampler
from helicell.core.samplers.settings import SamplerSettings
from helicell.core.samplers.trainer import compute_loss

DOUBLE = torch.float64
ENERGY = GaussianMixture(torch.tensor([[1.0, 0.5], [-1.0, 1.0]], dtype=DOUBLE), scale=0.6)
PROCESSES = [Brownian(2.0), OrnsteinUhlenbeck(2.0), VariancePreserving(2.0)]
OBJECTIVES = ["tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb", "mle"]


def scrambled(module, size=0.3):
    """Return a module in double precision with random weights everywhere."""
    generator = torch.Generator().manual_seed(5)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator, dtype=DOUBLE))
    return module


def make_policy(process, **options):
    """Return a policy whose every part is at work."""
    torch.manual_seed(0)
    settings = {"hidden": 8, "learned_variance": True, "langevin": True, "coordinate_units": 2, **options}
    return scrambled(ForwardPolicy(2, process, **settings), 0.1)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)
@pytest.mark.parametrize("keep", [True, False])
def test_probabilities_are_those_of_the_kernels(process, keep):
    """The log probability of each step of a rollout is that of the normal kernel it was drawn from, recorded or not."""
    policy, target = make_policy(process), Target(ENERGY)
    steps = process.on(uniform_grid(20).double())
    noise = torch.randn(21, 5, 2, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    path = roll_out(policy, steps, target, 5, noise=noise, keep=keep)
    found = probabilities(policy, path)
    with torch.no_grad():
        tables = policy.tables(steps)
        for k in range(steps.count):
            x = path.states[k]
            gradient = ENERGY.value_and_gradient(x)[1]
            outputs = policy.network(x, tables.rows[k])
            mean, variance = policy.transition(tables, k, x, outputs, gradient)
            torch.testing.assert_close(path.states[k + 1], mean + variance.sqrt() * noise[k + 1])
            expected = log_normal(path.states[k + 1], mean, variance)
            if k == 0 and not steps.starts_at_zero:
                expected = expected + log_normal(x, 0.0, steps.marginal_variance[0])
            torch.testing.assert_close(found.forward[k], expected)
            if steps.backward_variance[k] > 0:
                mean = steps.backward_scale[k] * path.states[k + 1]
                torch.testing.assert_close(found.backward[k], log_normal(x, mean, steps.backward_variance[k]))
    # One call of the energy a state.
    assert target.calls == 5 * (steps.count + 1)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)
def test_bridges_have_the_backward_kernels(process):
    """Paths drawn in one cumulative sum have the increments of the backward kernels, independent and normal."""
    grid = geometric_grid if isinstance(process, Brownian) else uniform_grid
    steps = process.on(grid(12).double())
    ends = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    paths = steps.bridge(ends, torch.Generator().manual_seed(1))
    first = 1 if steps.starts_at_zero else 0
    if first:
        assert not paths[0].any()
    residuals = paths[first:-1] - steps.backward_scale[first:, None, None] * paths[first + 1 :]
    scores = (residuals / steps.backward_variance[first:, None, None].sqrt()).squeeze(2)
    moments = torch.cov(scores)
    torch.testing.assert_close(moments, torch.eye(len(scores), dtype=DOUBLE), atol=0.05, rtol=0)
    assert scores.mean(dim=1).abs().max() < 0.03


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("learned_backward", [False, True])
def test_gradients_against_finite_differences(objective, learned_backward):
    """The gradient of every objective, in every part of the sampler, agrees with differences of the loss."""
    settings = SamplerSettings.from_mapping(
        {
            "objective": objective,
            "search": {"enabled": objective == "mle"},
            "policy": {"hidden": 6, "langevin": True, "coordinate_units": 2, "learned_backward": learned_backward},
            "process": {"steps": 5, "variance": 2.0},
        }
    )
    sampler = scrambled(Sampler(ENERGY, settings), 0.1)
    sampler.grid = sampler.grid.double()
    steps = sampler.steps()
    ends = torch.randn(4, 2, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    path = sampler.roll_back(Target(ENERGY), steps, ends, generator=torch.Generator().manual_seed(3))
    parameters = list(sampler.parameters())
    directions = [torch.randn(p.shape, generator=torch.Generator().manual_seed(4), dtype=DOUBLE) for p in parameters]

    def loss():
        return compute_loss(sampler, path, sampler.probabilities(path))

    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    slope = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True) if g is not None)
    values = []
    with torch.no_grad():
        for size in (1e-6, -2e-6):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(size * direction)
            values.append(loss())
    difference = (values[0] - values[1]) / 2e-6
    torch.testing.assert_close(difference, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["pis", "dds", "dis"])
def test_pathwise_gradients_against_finite_differences(name):
    """PIS, DDS and DIS: gradients through all states, without the Langevin part, agree with differences of the loss."""
    settings = SamplerSettings.from_mapping(
        {"objective": name, "policy": {"hidden": 6}, "process": {"steps": 8, "variance": 2.0, "grid": "uniform"}}
    )
    sampler = scrambled(Sampler(ENERGY, settings), 0.1)
    sampler.grid = sampler.grid.double()
    parameters = list(sampler.forward_policy.parameters())
    directions = [torch.randn(p.shape, generator=torch.Generator().manual_seed(4), dtype=DOUBLE) for p in parameters]

    def loss():
        generator = torch.Generator().manual_seed(9)
        path, found = differentiable_path(
            sampler.forward_policy, sampler.steps(), Target(ENERGY), 4, generator=generator
        )
        return compute_loss(sampler, path, found)

    gradients = torch.autograd.grad(loss(), parameters)
    slope = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    values = []
    with torch.no_grad():
        for size in (1e-6, -2e-6):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(size * direction)
            values.append(loss())
    torch.testing.assert_close((values[0] - values[1]) / 2e-6, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", ["tb", "vargrad", "db", "subtb", "dds"])
def test_an_untrained_sampler_is_exact_for_its_own_reference(objective):
    """For the target N(0, variance) the policy before training is exact: the log weight is log Z on any path."""
    energy = GaussianMixture(torch.zeros(1, 2), scale=1.5**0.5)
    settings = SamplerSettings.from_mapping({"objective": objective, "process": {"steps": 10, "variance": 1.5}})
    sampler = Sampler(energy, settings)
    drawn = sampler.sample(50)
    torch.testing.assert_close(drawn.log_weights, torch.zeros(50), atol=1e-4, rtol=0)
    if objective == "dds":
        return
    path = sampler.roll_out(Target(energy), sampler.steps(), 20, generator=torch.Generator().manual_seed(0))
    found = sampler.probabilities(path)
    # In single precision a loss of differences of log densities of size 10 is not below 1e-9.
    assert compute_loss(sampler, path, found) < 1e-8


def test_learned_backward_kernels_start_as_the_reference():
    """Before training the learned backward kernels are those of the process; then they stay within their share."""
    process = Brownian(2.0)
    steps = process.on(uniform_grid(6).double())
    torch.manual_seed(0)
    forward = make_policy(process, langevin=False)
    fresh = BackwardPolicy(2, process, hidden=8).double()
    ends = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    path = roll_back(forward, steps, Target(ENERGY), ends, generator=torch.Generator().manual_seed(2))
    plain, learned = probabilities(forward, path), probabilities(forward, path, backward=fresh)
    torch.testing.assert_close(learned.backward, plain.backward)
    changed = scrambled(fresh, 3.0)
    outputs = 10 * torch.randn(5, 4, dtype=DOUBLE)
    mean, variance = changed.kernel(steps, ends, outputs, 3)
    assert (variance / steps.backward_variance[3] - 1).abs().max() <= 0.1 + 1e-9
    shift = (ends - mean) / ((1 - steps.backward_scale[3]) * ends)
    assert (shift - 1).abs().max() <= 0.1 + 1e-9


def test_exploration_widens_the_steps_only():
    """With exploration the same noise goes further by the root of the share, and probabilities stay the policy's."""
    process = Brownian(1.0)
    policy = ForwardPolicy(2, process, hidden=4).double()
    steps = process.on(uniform_grid(4).double())
    noise = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    plain = roll_out(policy, steps, Target(ENERGY), 3, noise=noise)
    wide = roll_out(policy, steps, Target(ENERGY), 3, noise=noise, exploration=3.0)
    torch.testing.assert_close(wide.states, 2 * plain.states)
    density = log_normal(wide.states[1:], wide.states[:-1], torch.tensor(0.25, dtype=DOUBLE))
    torch.testing.assert_close(probabilities(policy, wide).forward, density)


def test_samples_depend_on_their_number_only():
    """A sample is the same in any batch and any share of the work."""
    settings = SamplerSettings.from_mapping({"policy": {"hidden": 8}, "process": {"steps": 5}})
    sampler = Sampler(ENERGY, settings)
    together = sampler.sample(7, seed=3)
    apart = sampler.sample(3, seed=3, first=4, batch=2)
    torch.testing.assert_close(together.points[4:], apart.points)
    torch.testing.assert_close(together.log_weights[4:], apart.log_weights)
