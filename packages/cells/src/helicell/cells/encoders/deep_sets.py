"""Deep sets: a network on every cell, pooled, and a network on the result."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.encoders.pooling import pool
from helicell.cells.references import ReferenceBatch
from helicell.cells.settings import EncoderSettings


class DeepSetsEncoder(nn.Module):
    """Every cell by itself, then mean, deviation and maximum.

    Parameters
    ----------
    features
        Of a cell.
    settings
        Width and layers.

    References
    ----------
    Zaheer and others, Deep sets, arXiv 1703.06114.
    """

    def __init__(self, features: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.channels = width = settings.width
        layers: list[nn.Module] = [nn.Linear(features, width), nn.SiLU()]
        for _ in range(settings.layers - 1):
            layers += [nn.Linear(width, width), nn.SiLU()]
        self.cell = nn.Sequential(*layers)
        self.population = nn.Sequential(
            nn.Linear(3 * width, width), nn.SiLU(), nn.Dropout(settings.dropout), nn.Linear(width, width)
        )

    def forward(self, references: ReferenceBatch) -> Float[Tensor, "populations channels"]:
        """Return the vector of each population."""
        return self.population(pool(self.cell(references.cells), references.mask))
