"""The part of a policy that treats every coordinate by itself: some sigmoids of each, whose weights change in time.

A joint network of modest width has too few units to give each of many coordinates a nonlinearity of its own, which
targets like many independent wells ask for. Here coordinate i gets the outputs

    sum_m c_{m,i}(t) sigmoid(w_{m,i}(t) x_i + b_{m,i}(t)),

all zero before training, for a cost that is linear in the dimensions. Along paths without a graph the backward pass is
written by hand, in blocks that fit into the cache: the sigmoids are computed again, which is cheaper than to keep them.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.core.samplers.networks import TimeFeatures

# The sigmoids of a coordinate start at this many times its scale apart.
FIRST_SPREAD = 1.5
# Numbers that a pass along paths takes at once.
BLOCK_NUMBERS = 60_000


class CoordinateUnits(nn.Module):
    """A few sigmoids for each coordinate.

    Parameters
    ----------
    dim
        Coordinates.
    units
        Sigmoids of each.
    outputs
        Numbers for each coordinate.
    hidden
        Width of the network of time that gives the weights.
    scale
        The size of the coordinates, by which they are divided.
    """

    def __init__(self, dim: int, units: int, outputs: int, *, hidden: int = 64, scale: float = 1.0) -> None:
        super().__init__()
        self.shape = (2 + outputs, units, dim)
        self.scale = scale
        last = nn.Linear(hidden, (2 + outputs) * units * dim)
        self.time = nn.Sequential(TimeFeatures(hidden), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            first = torch.zeros(self.shape)
            first[0] = 2.0
            first[1] = 2.0 * FIRST_SPREAD * (torch.arange(units) - (units - 1) / 2)[:, None]
            last.bias.copy_(first.flatten())

    def tables(self, times: Float[Tensor, " times"]) -> Float[Tensor, "times parts units dim"]:
        """Return the weights at times: factors, offsets, and the coefficients of each output."""
        tables = self.time(times).view(-1, *self.shape)
        return torch.cat((tables[:, :1] / self.scale, tables[:, 1:]), dim=1)

    def forward(
        self, x: Float[Tensor, "*batch dim"], tables: Float[Tensor, "*times parts units dim"]
    ) -> list[Float[Tensor, "*batch dim"]]:
        """Return the outputs: at one time with its table, or along paths [steps, batch, dim] with all of them."""
        along = tables.ndim > 3
        if along and not x.requires_grad:
            return list(_AlongPath.apply(x, tables))
        found: list[Tensor] = []
        for unit in range(self.shape[1]):
            factor, offset, *coefficients = (
                tables[..., part, unit, :].unsqueeze(-2) if along else tables[part, unit]
                for part in range(self.shape[0])
            )
            inner = torch.sigmoid(torch.addcmul(offset, factor, x))
            if found:
                found = [torch.addcmul(sum_, one, inner) for sum_, one in zip(found, coefficients, strict=True)]
            else:
                found = [one * inner for one in coefficients]
        return found


class _AlongPath(torch.autograd.Function):
    """The outputs at all states of paths, differentiable in the tables only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tables: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, tables)
        outputs = tuple(torch.zeros_like(x) for _ in range(tables.shape[1] - 2))
        for block in _blocks(x):
            for unit in range(tables.shape[2]):
                factor, offset, *coefficients = tables[block, :, unit, None].unbind(1)
                inner = torch.addcmul(offset, factor, x[block]).sigmoid_()
                for output, coefficient in zip(outputs, coefficients, strict=True):
                    output[block].addcmul_(coefficient, inner)
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, Tensor]:
        x, tables = ctx.saved_tensors
        gradient = torch.empty_like(tables)
        for block in _blocks(x):
            states, flows = x[block], [one[block] for one in upstream]
            for unit in range(tables.shape[2]):
                factor, offset, *coefficients = tables[block, :, unit, None].unbind(1)
                inner = torch.addcmul(offset, factor, states).sigmoid_()
                into = flows[0] * coefficients[0]
                for part, (flow, coefficient) in enumerate(zip(flows, coefficients, strict=True)):
                    gradient[block, 2 + part, unit] = (flow * inner).sum(dim=1)
                    if part:
                        into.addcmul_(flow, coefficient)
                into = torch.ops.aten.sigmoid_backward(into, inner)
                gradient[block, 1, unit] = into.sum(dim=1)
                gradient[block, 0, unit] = (into * states).sum(dim=1)
        return None, gradient


def _blocks(x: Tensor) -> list[slice]:
    size = max(BLOCK_NUMBERS // x[0].numel(), 1)
    return [slice(start, min(start + size, len(x))) for start in range(0, len(x), size)]
