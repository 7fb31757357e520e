"""Small models for the tests of the protein package."""

import pytest
import torch

from backbones import SMALL
from helicell.protein.model import BackboneModel
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.settings import SamplingDefaults


@pytest.fixture
def small_network() -> CompactNetwork:
    """Return a small network with random weights everywhere; a new one starts with moves of zero."""
    torch.manual_seed(0)
    network = CompactNetwork(SMALL)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def small_model(small_network: CompactNetwork) -> BackboneModel:
    """Return the small network as a model that samples in eight steps."""
    sampling = SamplingDefaults(steps=8, rotation_exponent=1.5, finer_at_data=1.5)
    return BackboneModel(small_network, sampling, card={}, name="small", checksum="0")
