"""The encoder of moments: the quickest, and often the best where populations are few."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.references import ReferenceBatch
from helicell.cells.settings import EncoderSettings

# Moments that hardly differ among the training populations are not blown up beyond this many of their deviations.
LEAST_DEVIATION = 0.01
FARTHEST = 4.0


class MomentsEncoder(nn.Module):
    """A small network on moments, which are scaled by their deviation among the training populations.

    Parameters
    ----------
    moments
        How many there are.
    settings
        The width.
    """

    def __init__(self, moments: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.channels = settings.width
        self.centre: Tensor
        self.deviation: Tensor
        self.register_buffer("centre", torch.zeros(moments))
        self.register_buffer("deviation", torch.ones(moments))
        self.network = nn.Sequential(
            nn.Linear(moments, settings.width), nn.SiLU(), nn.Linear(settings.width, settings.width)
        )
        self.dropout = nn.Dropout(settings.dropout)

    def fit_scale(self, moments: Float[Tensor, "populations moments"]) -> None:
        """Take the scale of the moments from those of the training populations."""
        self.centre.copy_(moments.mean(dim=0))
        if len(moments) > 1:
            self.deviation.copy_(moments.std(dim=0).clamp_min(LEAST_DEVIATION))

    def forward(self, references: ReferenceBatch) -> Float[Tensor, "populations channels"]:
        """Return the vector of each population."""
        scaled = (references.moments - self.centre) / self.deviation
        # A donor unlike all others must not drive the network out of what it has seen.
        scaled = FARTHEST * torch.tanh(scaled / FARTHEST)
        return self.network(self.dropout(scaled))
