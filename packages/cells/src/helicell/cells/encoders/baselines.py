"""Encoders that do not look at the population: the baselines."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.references import ReferenceBatch
from helicell.cells.settings import EncoderSettings


class NoEncoder(nn.Module):
    """Vectors without channels: the field knows nothing of the population (flow matching, FM)."""

    channels = 0

    def forward(self, references: ReferenceBatch) -> Float[Tensor, "populations 0"]:
        """Return the empty vectors."""
        return references.cells.new_zeros(len(references.cells), 0)


class IndexEncoder(nn.Module):
    """A free vector for each training population, their mean for any other (conditional flow matching, CGFM).

    Parameters
    ----------
    populations
        How many training populations there are.
    settings
        The width of the vectors.

    References
    ----------
    Atanackovic and others, Meta flow matching, arXiv 2408.14608: the baseline with one-hot indices.
    """

    def __init__(self, populations: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.channels = settings.width
        self.vectors = nn.Parameter(torch.randn(populations, settings.width))

    def forward(self, references: ReferenceBatch) -> Float[Tensor, "populations channels"]:
        """Return the vector of each population."""
        known = references.index >= 0
        own = self.vectors[references.index.clamp_min(0)]
        return torch.where(known[:, None], own, self.vectors.mean(dim=0))
