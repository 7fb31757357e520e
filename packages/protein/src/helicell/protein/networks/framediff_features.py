"""What the published network knows of residues and of pairs before its first block.

A pair is described by both residues, their offset along the chain, and the bins of two distances: that of the noisy
frames and that of the previous prediction. The first linear layer of all this is a sum of rows of small tables: one row
a residue, one an offset, one a pair of bins.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from helicell.protein.networks.framediff_pairs import chunks, joined
from helicell.protein.published.settings import FrameDiffSettings

# Times are stretched to this many, and residue numbers embedded with wave lengths up to it.
POSITIONS = 2056
# Lower edges of the bins of distances, from the first to the last, in Angstrom; the last bin is open.
FIRST_EDGE, LAST_EDGE = 1e-3, 20.0


class ResidueFeatures(nn.Module):
    """Number in the chain, whether the residue is free to move, and both times."""

    def __init__(self, settings: FrameDiffSettings) -> None:
        super().__init__()
        self.position_width, self.time_width = settings.position_width, settings.time_width
        self.linear = nn.Linear(settings.position_width + 1 + 2 * settings.time_width, settings.width)

    def forward(
        self,
        times: Float[Tensor, "batch 2"],
        index: Int[Tensor, "batch residues"],
        movable: Float[Tensor, "batch residues"],
    ) -> Float[Tensor, "batch residues width"]:
        """Return the features; `times` are those of translations and of rotations."""
        translations, rotations = times.unbind(dim=1)
        both = torch.cat([time_waves(t, self.time_width) for t in (rotations, translations)], dim=-1).to(times.dtype)
        parts = (position_waves(index, self.position_width).to(times.dtype), movable[..., None])
        return self.linear(torch.cat((*parts, both[:, None].expand(-1, index.shape[1], -1)), dim=-1))


class PairFeatures(nn.Module):
    """Features of all pairs of residues.

    Parameters
    ----------
    settings
        Sizes of the network.
    """

    def __init__(self, settings: FrameDiffSettings) -> None:
        super().__init__()
        self.width, self.bins, self.pair_width = settings.pair_features, settings.distance_bins, settings.pair_width
        self.linear_s_p = nn.Linear(settings.width, self.width)
        self.linear_relpos = nn.Linear(self.width, self.width)
        pair_width = self.pair_width
        self.edge_embedder = nn.Sequential(
            nn.Linear(3 * self.width + 2 * self.bins + 2, pair_width),
            nn.ReLU(),
            nn.Linear(pair_width, pair_width),
            nn.ReLU(),
            nn.Linear(pair_width, pair_width),
            nn.LayerNorm(pair_width),
        )

    def forward(
        self,
        s: Float[Tensor, "batch residues width"],
        x: Float[Tensor, "batch residues 3"],
        known: Float[Tensor, "batch residues 3"] | None,
        places: Int[Tensor, "batch residues"],
        movable: Float[Tensor, "batch residues"],
        *,
        span: int,
    ) -> Float[Tensor, "batch residues residues pair_width"]:
        """Return the features.

        Parameters
        ----------
        s
            Features of the residues.
        x, known
            Noisy positions and previously predicted ones, Angstrom.
        places
            Where along the chain residues are; offsets are differences of these, not of residue numbers.
        movable
            1 for residues that are free to move, 0 for given ones.
        span
            All places are below this.
        """
        first, second, offsets, distances = self._tables(s, movable, span)
        between = places[:, :, None] - places[:, None] + (span - 1)
        bins = self._bins(x) * (self.bins + 1) + (0 if known is None else self._bins(known))
        parts = []
        result = None if torch.is_grad_enabled() else s.new_empty(*bins.shape, self.pair_width)
        for some, rows in chunks(*x.shape[:2], device=x.device):
            chosen = bins[some, rows]
            h = offsets.index_select(0, between[some, rows].flatten())
            h = (h + distances.index_select(0, chosen.flatten())).view(*chosen.shape, -1)
            part = self._perceptron(h.add_(first[some, rows, None]).add_(second[some, None]))
            if result is None:
                parts.append(part)
            else:
                result[some, rows] = part
        return joined(parts) if result is None else result

    def _tables(self, s: Tensor, movable: Tensor, span: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what each source contributes to the first layer.

        The first and the second residue of a pair [batch, residues, pair_width], offsets [2 span - 1, pair_width], and
        pairs of bins [(bins + 1)^2, pair_width], where a bin of zero means none.
        """
        layer: nn.Linear = self.edge_embedder[0]  # type: ignore[assignment]
        sizes = (self.width, self.width, self.width, self.bins, self.bins, 1, 1)
        one, two, offset, now, before, one_moves, two_moves = layer.weight.split(sizes, dim=1)
        p = self.linear_s_p(s)
        first = linear(p, one) + movable[..., None] * one_moves[:, 0]
        second = linear(p, two, layer.bias) + movable[..., None] * two_moves[:, 0]
        offsets = linear(self.linear_relpos(offset_waves(span, self.width, s.device).to(s.dtype)), offset)
        now, before = (torch.nn.functional.pad(weight.t(), (0, 0, 1, 0)) for weight in (now, before))
        return first, second, offsets, (now[:, None] + before).flatten(0, 1)

    def _bins(self, x: Tensor) -> Tensor:
        """Return the bins of all distances, from 1; 0 where two points coincide or a distance is just an edge."""
        distance = torch.linalg.vector_norm(x[:, :, None] - x[:, None], dim=-1)
        edges = torch.linspace(FIRST_EDGE, LAST_EDGE, self.bins, dtype=x.dtype, device=x.device)
        bins = torch.bucketize(distance, edges)
        return torch.where(bins == torch.bucketize(distance, edges, right=True), bins, 0)

    def _perceptron(self, h: Tensor) -> Tensor:
        """Apply all of the embedder but its first layer; `h` is used up."""
        _, _, second, _, third, norm = self.edge_embedder
        return norm(third(second(h.relu_()).relu_()))


def position_waves(position: Tensor, width: int) -> Tensor:
    """Return sines and cosines of residue numbers or offsets, [..., width]."""
    steps = torch.arange(width // 2, device=position.device)
    angle = position[..., None] * math.pi / POSITIONS ** (2 * steps / width)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def time_waves(t: Tensor, width: int) -> Tensor:
    """Return sines and cosines of times in [0, 1], [..., width].

    In single precision whatever that of the times: angles go up to 2056 radian, and their rounding is part of what the
    published weights were trained with.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angle = (t.float() * POSITIONS)[..., None] * torch.exp(steps * (-math.log(POSITIONS) / (half - 1)))
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


@lru_cache(maxsize=64)
def offset_waves(span: int, width: int, device: torch.device) -> Tensor:
    """Return the embedded offsets from 1 - span to span - 1 along the chain, [2 span - 1, width]; kept once made."""
    # What is made in inference mode cannot take part in a training later.
    with torch.inference_mode(mode=False):
        return position_waves(torch.arange(1 - span, span, device=device), width)
