"""Low-rank adapters: they start as nothing, train alone, and merge to the bit."""

import copy

import pytest
import torch
from torch import nn

from helicell.core.errors import InputError
from helicell.core.training.adapters import (
    adapter_state,
    adapters_scaled,
    add_adapters,
    load_adapter_state,
    merge_adapters,
    remove_adapters,
)


def make(seed=0):
    """Return a network with three linear layers and a norm."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12), nn.SiLU(), nn.Linear(12, 12), nn.SiLU(), nn.Linear(12, 2))


def disturb(parameters):
    """Give adapters values as after a training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in parameters:
            p.copy_(torch.randn(p.shape, generator=generator))


X = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))


def test_they_start_as_nothing_and_train_alone():
    """The output is as before; gradients reach the adapters and nothing else."""
    network, plain = make(), make()
    parameters = add_adapters(network, rank=3, generator=torch.Generator().manual_seed(3))
    assert torch.equal(network(X), plain(X))
    network(X).square().sum().backward()
    trained = {id(p) for p in network.parameters() if p.requires_grad}
    assert trained == {id(p) for p in parameters}
    assert all(p.grad is not None for p in parameters)
    # The last layer is 2 wide, so its rank is 2: (6 + 12) 3 + (12 + 12) 3 + (12 + 2) 2.
    assert sum(p.numel() for p in parameters) == 154


def test_the_change_has_the_rank_and_the_scale():
    """The weight changes by scale B A, of the rank asked for."""
    network, plain = make(), make()
    parameters = add_adapters(network, rank=2, scale=0.5, choose=lambda name, layer: name == "3")
    disturb(parameters)
    change = network[3].weight - plain[3].weight
    assert torch.linalg.matrix_rank(change) == 2
    torch.testing.assert_close(change, 0.5 * parameters[1] @ parameters[0])
    assert torch.equal(network[0].weight, plain[0].weight)


def test_merging_is_exact_and_leaves_a_plain_network():
    """Merged outputs are equal to the bit, under the names that the network had; everything can be trained again."""
    network = make()
    disturb(add_adapters(network, rank=4))
    expected = network(X)
    merge_adapters(network)
    assert torch.equal(network(X), expected)
    assert network.state_dict().keys() == make().state_dict().keys()
    assert all(p.requires_grad for p in network.parameters())
    plain = make(seed=5)
    plain.load_state_dict(network.state_dict())
    assert torch.equal(plain(X), expected)


def test_removing_brings_the_old_network_back():
    """Without the adapters every weight is what it was."""
    network = make()
    disturb(add_adapters(network, rank=4))
    remove_adapters(network)
    for name, tensor in make().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_scaling_mixes_the_old_network_with_the_new():
    """Factor 0 is the old network, 1 the new one, and the block leaves no trace, not even after an error."""
    network = make()
    disturb(add_adapters(network, rank=4, scale=0.1))
    new = network(X)
    with adapters_scaled(network, 0):
        assert torch.equal(network(X), make()(X))
    with adapters_scaled(network, 0.5):
        half = network[3].weight
    torch.testing.assert_close(half, 0.5 * (make()[3].weight + network[3].weight))
    with pytest.raises(KeyError), adapters_scaled(network, 3):
        raise KeyError
    assert torch.equal(network(X), new)


def test_states_travel_without_the_network():
    """Saved adapters make a second copy of the base network equal; others are refused; copies are independent."""
    network = make()
    disturb(add_adapters(network, rank=3))
    state = adapter_state(network)
    other = make()
    add_adapters(other, rank=3)
    load_adapter_state(other, state)
    assert torch.equal(other(X), network(X))
    twin = copy.deepcopy(network)
    disturb([p for p in network.parameters() if p.requires_grad][:1])
    assert torch.equal(twin(X), other(X))
    wrong = make()
    add_adapters(wrong, rank=2)
    with pytest.raises(InputError, match="other shapes"):
        load_adapter_state(wrong, state)


def test_bad_requests_are_refused():
    """No rank, no layer, adapters twice."""
    with pytest.raises(InputError, match="rank of the adapters is 0"):
        add_adapters(make(), rank=0)
    with pytest.raises(InputError, match="no linear layer"):
        add_adapters(make(), rank=1, choose=lambda name, layer: False)
    network = make()
    add_adapters(network, rank=1)
    with pytest.raises(InputError, match="already"):
        add_adapters(network, rank=1)
