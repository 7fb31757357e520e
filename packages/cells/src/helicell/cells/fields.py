"""The velocity of cells, conditioned on their population and treatment.

What is known of a population enters once for the population, not once for every cell: as a velocity that all its cells
share, and as the scales and biases of the layers, which are folded into the layers' weights.
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
    scales, biases
        Of the channels of every layer.
    cells, mask
        Control cells that a cell looks at, and which are no padding.
    """

    drift: Float[Tensor, "populations outputs"]
    scales: Float[Tensor, "populations layers width"]
    biases: Float[Tensor, "populations layers width"]
    cells: Float[Tensor, "populations cells features"]
    mask: Bool[Tensor, "populations cells"]


class ConditionedField(nn.Module):
    """A residual network of cell and time, steered by the context of the population.

    At the start of training its velocity is that of the mean shift.

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
        self.steer = nn.Linear(channels, 2 * settings.layers * settings.width)
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
        scales, biases = self.steer(vector).view(len(vector), 2, self.layers, self.width).unbind(dim=1)
        return Context(self.drift(vector), scales, biases, cells, mask)

    def forward(
        self,
        x: Float[Tensor, "populations points features"],
        t: Float[Tensor, "populations points"],
        context: Context,
    ) -> Float[Tensor, "populations points outputs"]:
        """Return the outputs at points and times."""
        h = nn.functional.silu(self._layer(self.enter, self._inputs(x, t, context), context, 0))
        for number, layer in enumerate(self.hidden, start=1):
            h = h + nn.functional.silu(self._layer(layer, h, context, number))
        return (self.leave(self.dropout(h)) + context.drift[:, None]) * self.spread

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

    @staticmethod
    def _layer(layer: nn.Module, h: Tensor, context: Context, number: int) -> Tensor:
        """Return (1 + scale) W h + bias, with the scale in the weights: they are fewer than cells times channels."""
        scale, bias = 1 + context.scales[:, number], context.biases[:, number]
        weight, own = layer.weight, layer.bias  # type: ignore[union-attr]
        if len(h) == 1:
            return nn.functional.linear(h, weight * scale[0][:, None], own + bias[0])  # type: ignore[operator]
        return torch.baddbmm((own + bias)[:, None], h, (weight * scale[..., None]).mT)  # type: ignore[operator]
