"""The network along paths equals itself step by step, with gradients of its own that agree with automatic ones."""

import pytest
import torch

from helicell.core.samplers import networks
from helicell.core.samplers.networks import Record, SamplerNetwork, log_normal

DOUBLE = torch.float64
STEPS, BATCH, DIM, OUTPUTS = 5, 4, 3, 2


def network(condition_dim=0):
    """Return a network in double precision whose head is not zero."""
    torch.manual_seed(0)
    found = SamplerNetwork(DIM, OUTPUTS, hidden=6, layers=2, condition_dim=condition_dim, scale=1.7).double()
    torch.nn.init.normal_(found.head.weight)
    torch.nn.init.normal_(found.head.bias)
    return found


def inputs():
    """Return states, times and weights of the outputs."""
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(STEPS, BATCH, DIM, generator=generator, dtype=DOUBLE)
    return (
        states,
        torch.linspace(0, 0.8, STEPS, dtype=DOUBLE),
        torch.randn(STEPS, BATCH, OUTPUTS, generator=generator, dtype=DOUBLE),
    )


def recorded(one, states, table, context):
    """Return the record of the network at the states."""
    record = Record(one, STEPS, BATCH)
    with torch.no_grad():
        for k in range(STEPS):
            record.step(k, states[k], table[k].detach(), context)
    return record


@pytest.mark.parametrize("condition_dim", [0, 2])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("rows", [1, 8, 10_000])
def test_along_paths_as_step_by_step(monkeypatch, condition_dim, keep, rows):
    """Outputs and gradients of all weights agree with automatic differentiation, for any size of block."""
    monkeypatch.setattr(networks, "BLOCK_ROWS", rows)
    one = network(condition_dim)
    states, times, weights = inputs()
    condition = torch.randn(BATCH, condition_dim, dtype=DOUBLE) if condition_dim else None
    context = one.embed(condition)
    table = one.time(times)
    plain = torch.stack([one(states[k], table[k], context) for k in range(STEPS)])
    parameters = list(one.parameters())
    expected = torch.autograd.grad((plain * weights).sum(), parameters, retain_graph=True)
    record = recorded(one, states, table, None if context is None else context.detach()) if keep else None
    found = one.along_path(states, table, context, record=record)
    torch.testing.assert_close(found, plain)
    for gradient, wanted in zip(torch.autograd.grad((found * weights).sum(), parameters), expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_gradient_against_finite_differences():
    """The hand-written backward pass agrees with differences of the outputs themselves."""
    one = network()
    states, times, weights = inputs()

    def value():
        return (one.along_path(states, one.time(times)) * weights).sum()

    for parameter in one.parameters():
        (gradient,) = torch.autograd.grad(value(), parameter)
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter.add_(1e-6 * direction)
            above = value()
            parameter.sub_(2e-6 * direction)
            below = value()
            parameter.add_(1e-6 * direction)
        torch.testing.assert_close((above - below) / 2e-6, (gradient * direction).sum(), rtol=1e-6, atol=1e-7)


def test_a_new_network_says_nothing():
    """Before training all outputs are zero."""
    states, times, _ = inputs()
    one = SamplerNetwork(DIM, OUTPUTS).double()
    assert not one.along_path(states, one.time(times)).any()


def test_log_normal_is_the_density():
    """For scalar and for separate variances the log density is that of torch's distribution."""
    x, mean = torch.randn(2, 4, 3, dtype=DOUBLE)
    variance = torch.rand(3, dtype=DOUBLE) + 0.5
    known = torch.distributions.Normal(mean, variance.sqrt()).log_prob(x).sum(dim=1)
    torch.testing.assert_close(log_normal(x, mean, variance), known)
    known = torch.distributions.Normal(mean, 0.4**0.5).log_prob(x).sum(dim=1)
    torch.testing.assert_close(log_normal(x, mean, torch.tensor(0.4, dtype=DOUBLE)), known)
