"""Attention: learned queries look at the cells of a population."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.cells.references import ReferenceBatch
from helicell.cells.settings import EncoderSettings


class AttentionEncoder(nn.Module):
    """Queries attend to the cells, then to each other; their vectors together are the population's.

    Parameters
    ----------
    features
        Of a cell.
    settings
        Width, layers, seeds (the queries) and heads.

    References
    ----------
    Lee and others, Set transformer, arXiv 1810.00825: pooling by attention to seeds.
    """

    def __init__(self, features: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.channels = width = settings.width
        heads = settings.heads if width % settings.heads == 0 else 1
        self.cell = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.seeds = nn.Parameter(torch.randn(settings.seeds, width))
        self.look = nn.ModuleList(nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(settings.layers))
        self.feed = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(settings.layers)
        )
        self.population = nn.Sequential(
            nn.Linear(settings.seeds * width, width), nn.SiLU(), nn.Dropout(settings.dropout), nn.Linear(width, width)
        )

    def forward(self, references: ReferenceBatch) -> Float[Tensor, "populations channels"]:
        """Return the vector of each population."""
        cells = self.cell(references.cells)
        queries = self.seeds.to(cells.dtype).expand(len(cells), -1, -1)
        for look, feed in zip(self.look, self.feed, strict=True):
            queries = queries + look(queries, cells, cells, key_padding_mask=~references.mask, need_weights=False)[0]
            queries = queries + feed(queries)
        return self.population(queries.flatten(1))
