"""Fine-tuning by a reward: gradients are those of plain backpropagation, and rewards rise."""

import pytest
import torch
from torch import nn

from helicell.core.dynamics.ode import integrate
from helicell.core.errors import HelicellError, InputError
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions
from helicell.core.training.adapters import adapters_scaled, merge_adapters
from helicell.core.training.finetune import FinetuneSettings, finetune, sample_with_gradient

DOUBLE = torch.float64


class Network(nn.Module):
    """A velocity network."""

    def __init__(self, dimension=2, width=16, outputs=None):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dimension + 1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
            nn.Linear(width, outputs or dimension),
        )  # fmt: skip
        self.calls = 0

    def forward(self, x, t):
        self.calls += 1
        return self.layers(torch.cat((x, t[:, None]), dim=1))


class Turning(Network):
    """A velocity network on rotations."""

    def __init__(self):
        super().__init__(dimension=9, outputs=3)

    def forward(self, x, t):
        features = quaternions.to_matrix(x).flatten(1)
        return UnitQuaternions().tangent(x, super().forward(features, t))


def gradients(network, loss):
    """Return the gradients of all parameters in one tensor."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])


def noise(count, generator):
    """Draw Gaussian noise in the plane."""
    return torch.randn(count, 2, generator=generator)


@pytest.mark.parametrize("method", ["euler", "heun"])
@pytest.mark.parametrize("last_steps", [1, 3, 8, 99])
def test_gradients_are_those_of_plain_backpropagation(method, last_steps):
    """Detaching before the last K steps and backpropagating through them gives the same numbers."""
    torch.manual_seed(0)
    network = Network().double()
    x_0 = torch.randn(4, 2, dtype=DOUBLE)
    grid = torch.linspace(0, 1, 9, dtype=DOUBLE)
    cut = max(8 - last_steps, 0)
    middle = integrate(network, x_0, grid[: cut + 1], method=method).x.detach() if cut else x_0
    expected = integrate(network, middle, grid[cut:], method=method).x
    x = sample_with_gradient(network, x_0, 8, last_steps=last_steps, method=method)
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(gradients(network, x.square().sum()), gradients(network, expected.square().sum()))


def test_steps_are_run_again_on_the_way_back():
    """Going forwards keeps no activations: the last K steps are computed twice, the others once."""
    network = Network()
    x = sample_with_gradient(network, torch.zeros(3, 2), 10, last_steps=4)
    assert network.calls == 10
    x.sum().backward()
    assert network.calls == 14


def test_products_of_spaces():
    """Samples on R^3 x S^3 stay there, and gradients through all steps match plain backpropagation."""
    torch.manual_seed(1)
    flat, turning = Network(3).double(), Turning().double()
    both = nn.ModuleList((flat, turning))
    space = Product(Euclidean(), UnitQuaternions())
    x_0 = (torch.randn(4, 3, dtype=DOUBLE), UnitQuaternions().project(torch.randn(4, 4, dtype=DOUBLE)))

    def field(x, t):
        return flat(x[0], t), turning(x[1], t)

    results = [
        sample_with_gradient(field, x_0, 5, last_steps=5, space=space),
        integrate(field, x_0, 5, space=space).x,
    ]
    torch.testing.assert_close(results[0][1].norm(dim=1), torch.ones(4, dtype=DOUBLE))
    ours, expected = (gradients(both, x[0].sum() + x[1][:, 0].square().sum()) for x in results)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("rank", [2, None])
def test_rewards_rise(rank):
    """Adapters or all weights move the samples to where the reward is, and the network that was given stays."""
    torch.manual_seed(2)
    network = Network()
    before = [p.clone() for p in network.parameters()]
    aim = torch.tensor([1.0, -1.0])

    def reward(x):
        return -(x - aim).square().sum(dim=1)

    settings = FinetuneSettings(steps=60, learning_rate=0.02, sampling_steps=5, last_steps=5, rank=rank)
    result = finetune(network, reward, noise, settings=settings, seed=3)
    assert len(result.rewards) == 60
    assert result.rewards[-1] > result.rewards[0] + 1
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
    if rank is not None:
        x_0 = noise(200, torch.Generator().manual_seed(4))
        tuned = integrate(result.network, x_0, 5).x
        with adapters_scaled(result.network, 0.0):
            assert torch.equal(integrate(result.network, x_0, 5).x, integrate(network, x_0, 5).x)
        merge_adapters(result.network)
        assert torch.equal(integrate(result.network, x_0, 5).x, tuned)


def test_rewards_rise_on_rotations():
    """A reward of rotations, with the gradient through two steps only."""
    torch.manual_seed(5)
    settings = FinetuneSettings(
        steps=30, learning_rate=0.03, sampling_steps=4, last_steps=2, random_truncation=False, method="heun"
    )  # fmt: skip
    result = finetune(
        Turning(), lambda q: q[:, 0].square(),
        lambda count, generator: quaternions.random_quaternions((count,), generator=generator),
        settings=settings, seed=6, space=UnitQuaternions(),
    )  # fmt: skip
    assert result.rewards[-1] > result.rewards[0] + 0.1


def test_equal_seeds_give_equal_networks():
    """Noise, truncation and adapters come from the seed."""
    torch.manual_seed(7)
    network = Network()
    settings = FinetuneSettings(steps=4, sampling_steps=4, last_steps=4)
    runs = [finetune(network, lambda x: x[:, 0], noise, settings=settings, seed=8) for _ in range(2)]
    assert runs[0].rewards == runs[1].rewards
    states = [run.network.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("reward", "error", "message"),
    [
        (lambda x: x.sum(), InputError, r"expected \[64\]"),
        (lambda x: x[:, 0].detach(), InputError, "carries no gradient"),
        (lambda x: x[:, 0] / 0, HelicellError, "step 0 is not finite"),
    ],
)
def test_bad_rewards_are_refused(reward, error, message):
    """A reward is one finite number a sample, with a gradient."""
    with pytest.raises(error, match=message):
        finetune(Network(), reward, noise, settings=FinetuneSettings(steps=1), seed=0)


def test_bad_options_are_refused():
    """Unknown methods, and gradients through no step."""
    with pytest.raises(InputError, match="unknown method 'dopri5'"):
        sample_with_gradient(Network(), torch.zeros(1, 2), 3, last_steps=1, method="dopri5")
    with pytest.raises(InputError, match="through 0 steps"):
        sample_with_gradient(Network(), torch.zeros(1, 2), 3, last_steps=0)
