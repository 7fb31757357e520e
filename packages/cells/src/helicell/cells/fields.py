"""The velocity of cells, conditioned on their population and treatment.

What is known of a population enters once for the population, not once for every cell: as a velocity that all its cells
share, as biases of all layers, and as scales of the first and the last layer, which are folded into their weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from helicell.cells.neighbourhoods import Neighbourhood
from helicell.cells.settings import FieldSettings

# Time enters as t and its first few waves; the paths are smooth in it.
WAVES = 3
# The logarithms of densities are brought near the size of the other inputs.
FARTHEST = 10.0


@dataclass(frozen=True, slots=True)
class Context:
    """What the field knows of each population of a batch.

    Attributes
    ----------
    drift
        The velocity that all cells share.
    scales
        Of the channels of the first and of the last layer.
    biases
        Of the channels of every layer.
    cells, mask
        Control cells that a cell looks at, and which are no padding.
    """

    drift: Float[Tensor, "populations outputs"]
    scales: Float[Tensor, "populations ends width"]
    biases: Float[Tensor, "populations layers width"]
    cells: Float[Tensor, "populations cells features"]
    mask: Bool[Tensor, "populations cells"]


class ConditionedField(nn.Module):
    """A residual network of cell and time, steered by the context of the population.

    At the start of training its velocity is that of the mean shift. The activation is the hard swish, a swish in pieces
    that takes less than half of its time.

    Parameters
    ----------
    features
        Of a cell.
    outputs
        Numbers per cell: `features` for a velocity.
    channels
        Of the vectors of population and condition together.
    settings
        Sizes.
    spread
        The standard deviation within populations, over all features; the unit of lengths inside.
    generator
        Of the random frequencies.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        channels: int,
        settings: FieldSettings,
        spread: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.features, self.width, self.layers = features, settings.width, settings.layers
        self.spread: Tensor
        self.frequencies: Tensor
        self.register_buffer("spread", torch.tensor(spread))
        self.register_buffer("frequencies", torch.randn(features, settings.frequencies, generator=generator))
        self.neighbourhood = None
        if settings.bandwidths:
            # The root mean square of the distance of two cells of a population is spread * sqrt(2 features).
            widest = settings.widest * spread * (2 * features) ** 0.5
            self.neighbourhood = Neighbourhood(features, bandwidths=settings.bandwidths, widest=widest)
        around = self.neighbourhood.channels if self.neighbourhood is not None else 0
        inputs = features + 1 + 2 * WAVES + 2 * settings.frequencies + around
        self.enter = nn.Linear(inputs, settings.width)
        self.hidden = nn.ModuleList(nn.Linear(settings.width, settings.width) for _ in range(settings.layers - 1))
        self.leave = nn.Linear(settings.width, outputs)
        self.steer = nn.Linear(channels, (2 + settings.layers) * settings.width)
        self.drift = nn.Linear(channels, outputs)
        self.dropout = nn.Dropout(settings.dropout)
        for module in (self.leave, self.drift, self.steer):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        self.register_buffer("time_waves", torch.pi * torch.arange(1, WAVES + 1))
        self.time_waves: Tensor

    def context(
        self,
        vector: Float[Tensor, "populations channels"],
        cells: Float[Tensor, "populations cells features"],
        mask: Bool[Tensor, "populations cells"],
    ) -> Context:
        """Return what the field is told of each population."""
        steered = self.steer(vector).view(len(vector), 2 + self.layers, self.width)
        return Context(self.drift(vector), 1 + steered[:, :2], steered[:, 2:], cells, mask)

    def forward(
        self,
        x: Float[Tensor, "populations points features"],
        t: Float[Tensor, "populations points"],
        context: Context,
    ) -> Float[Tensor, "populations points outputs"]:
        """Return the outputs at points and times."""
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        h = nn.functional.hardswish(self._enter(self._inputs(x, t, context), context, dtype))
        for number, layer in enumerate(self.hidden, start=1):
            h = _Residual.apply(h, layer.weight.to(dtype), (context.biases[:, number] + layer.bias).to(dtype))  # type: ignore[operator]
        last = (self.leave.weight * context.scales[:, 1, None]).mT
        return (torch.bmm(self.dropout(h), last.to(dtype)) + (self.leave.bias + context.drift)[:, None]) * self.spread

    def _inputs(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        near = x / self.spread
        angles = t[..., None] * self.time_waves
        parts = [near, t[..., None], angles.sin(), angles.cos()]
        if self.frequencies.shape[1]:
            waves = near @ self.frequencies
            parts += [waves.sin(), waves.cos()]
        if self.neighbourhood is not None:
            around = self.neighbourhood(x, context.cells, context.mask)
            parts.append(FARTHEST * torch.tanh(around / FARTHEST))
        return torch.cat(parts, dim=2)

    def _enter(self, inputs: Tensor, context: Context, dtype: torch.dtype) -> Tensor:
        """Return the first layer's channels; the inputs are few, so each population has weights of its own."""
        weight = self.enter.weight * context.scales[:, 0, :, None]
        bias = self.enter.bias + context.biases[:, 0]
        # With the bias as one more weight, its gradient is part of a product, and no slow sum.
        with_one = torch.cat((inputs, torch.ones_like(inputs[..., :1])), dim=2)
        return torch.bmm(with_one.to(dtype), torch.cat((weight, bias[..., None]), dim=2).mT.to(dtype))


class _Residual(torch.autograd.Function):
    """h + hardswish(W h + b) with a bias for each population, in as few passes over the cells as there can be."""

    @staticmethod
    def forward(ctx, h, weight, bias):  # type: ignore[no-untyped-def]
        inner = (h.flatten(0, 1) @ weight.T).view_as(h).add_(bias[:, None])
        ctx.save_for_backward(h, weight, inner)
        return nn.functional.hardswish(inner).add_(h)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        h, weight, inner = ctx.saved_tensors
        gradient = gradient.contiguous()
        slope = torch.ops.aten.hardswish_backward(gradient, inner)
        rows = slope.flatten(0, 1)
        to_h = torch.addmm(gradient.flatten(0, 1), rows, weight).view_as(h)
        to_bias = (slope.new_ones(len(h), 1, h.shape[1]) @ slope).squeeze(1)
        return to_h, rows.T @ h.flatten(0, 1), to_bias
