"""Low-rank adapters: a trained network is changed by few numbers, which can be taken out again or merged into it.

The weight of a linear layer becomes W + scale B A, with A of shape [rank, inputs] and B [outputs, rank], of which only
A and B are trained. B starts at zero, so the network starts as it was. Adapters are parametrizations of torch: the
layer computes its weight anew whenever it is used, and merging keeps the very numbers that were used before.

Hu and others, LoRA: low-rank adaptation of large language models, arXiv 2106.09685.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from helicell.core.citations import cited
from helicell.core.errors import InputError

Choice = Callable[[str, nn.Linear], bool]
"""(name, layer) -> whether the layer gets an adapter."""


class LowRank(nn.Module):
    """The change of one weight.

    Parameters
    ----------
    weight
        The weight that is adapted, shape [outputs, inputs].
    rank
        Of the change.
    scale
        Its factor.
    generator
        Of the start of A.
    """

    def __init__(self, weight: Tensor, *, rank: int, scale: float, generator: torch.Generator | None) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        start = torch.randn(rank, inputs, generator=generator) / inputs**0.5
        self.a = nn.Parameter(start.to(weight))
        self.b = nn.Parameter(weight.new_zeros(outputs, rank))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return torch.addmm(weight, self.b, self.a, alpha=self.scale) if self.scale else weight


@cited("hu2022lora")
def add_adapters(
    network: nn.Module,
    *,
    rank: int,
    scale: float = 1.0,
    choose: Choice | None = None,
    generator: torch.Generator | None = None,
) -> list[nn.Parameter]:
    """Give linear layers adapters, and freeze everything else.

    Parameters
    ----------
    network
        Changed in place.
    rank
        At most the smaller side of a layer; a layer with a smaller side gets as much as it can have.
    scale
        Factor of the change; between 0 and 1 it can later mix the old network with the new (`adapters_scaled`).
    choose
        Which linear layers get one; all unless given.
    generator
        Of the adapters' random start.

    Returns
    -------
    list of torch.nn.Parameter
        The parameters to train.

    Raises
    ------
    InputError
        If the rank is not positive, there is no layer to adapt, or the network has adapters already.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> sum(p.numel() for p in add_adapters(network, rank=2))
    84
    """
    if rank < 1:
        message = f"the rank of the adapters is {rank}, expected 1 or more"
        raise InputError(message)
    if any(True for _ in _adapters(network)):
        message = "the network has adapters already; merge or remove them first"
        raise InputError(message)
    layers = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and (choose is None or choose(name, layer))
    ]
    if not layers:
        message = "the network has no linear layer to adapt; choose other layers, or train all weights"
        raise InputError(message)
    network.requires_grad_(requires_grad=False)
    added: list[nn.Parameter] = []
    for layer in layers:
        adapter = LowRank(layer.weight, rank=min(rank, *layer.weight.shape), scale=scale, generator=generator)
        parametrize.register_parametrization(layer, "weight", adapter)
        added += [adapter.a, adapter.b]
    return added


def merge_adapters(network: nn.Module) -> None:
    """Make the changed weights the weights, bit for bit, take the adapters out, and let all parameters be trained."""
    _take_out(network, merged=True)


def remove_adapters(network: nn.Module) -> None:
    """Take the adapters out; the network is as it was before, and all parameters can be trained."""
    _take_out(network, merged=False)


@contextmanager
def adapters_scaled(network: nn.Module, factor: float) -> Iterator[None]:
    """Within the block, multiply all adapters' scales: 0 is the network as it was before."""
    adapters = [adapter for _, adapter in _adapters(network)]
    scales = [adapter.scale for adapter in adapters]
    try:
        for adapter, scale in zip(adapters, scales, strict=True):
            adapter.scale = factor * scale
        yield
    finally:
        for adapter, scale in zip(adapters, scales, strict=True):
            adapter.scale = scale


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the adapters' tensors by name, a small state to save beside the network that it belongs to."""
    return {
        f"{name}.{part}": getattr(adapter, part).detach().clone()
        for name, adapter in _adapters(network)
        for part in ("a", "b")
    }


def load_adapter_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set the adapters of a network, which has the same layers and ranks, to a saved state.

    Raises
    ------
    InputError
        If the state is that of other adapters.
    """
    own = adapter_state(network)
    if {name: t.shape for name, t in own.items()} != {name: t.shape for name, t in state.items()}:
        message = f"the state has {len(state)} tensors and the network's adapters {len(own)}, or of other shapes"
        raise InputError(message)
    with torch.no_grad():
        for name, adapter in _adapters(network):
            adapter.a.copy_(state[f"{name}.a"])
            adapter.b.copy_(state[f"{name}.b"])


def _adapters(network: nn.Module) -> Iterator[tuple[str, LowRank]]:
    """Yield the name of each adapted layer with its adapter."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear) and parametrize.is_parametrized(layer, "weight"):
            for change in layer.parametrizations.weight:  # type: ignore[union-attr]
                if isinstance(change, LowRank):
                    yield name, change


def _take_out(network: nn.Module, *, merged: bool) -> None:
    layers = dict(network.named_modules())
    for name, _ in list(_adapters(network)):
        parametrize.remove_parametrizations(layers[name], "weight", leave_parametrized=merged)
    network.requires_grad_(requires_grad=True)
