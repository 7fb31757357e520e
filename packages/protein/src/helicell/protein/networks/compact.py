"""The compact network: noisy frames in, clean frames out, built for speed.

Pair features are made once per call and give every block its attention bias through one small product, so no pair
representation is carried from block to block. Each block attends by invariant points, looks at its chain neighbours in
the frames of the moment, thinks, and moves every frame in its own coordinates, which makes the whole network
SE(3)-equivariant. Moves are scaled by the noise that is left, so that close to the data small corrections stay
well-conditioned: the network then predicts the velocity of the flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, relu

from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames
from helicell.protein.networks.attention import InvariantPointAttention
from helicell.protein.networks.features import (
    NEIGHBOUR_FEATURES,
    PAIR_FEATURES,
    ChainNeighbours,
    fourier,
    pair_features,
)
from helicell.protein.settings import NetworkSettings

# Inside the network lengths are in nanometre.
ANGSTROM_PER_NANOMETRE = 10.0
# Moves are never scaled below this share of their scale at pure noise, so that the last steps can still correct.
LEAST_MOVE = 0.02
MASKED = -1e5
MAX_OFFSET = 32
# Pairs whose features are made at once where no gradient is needed.
PAIRS_AT_ONCE = {"cpu": 1, "cuda": 2**22, "mps": 2**20}
PLACE_FEATURES = 16
TIME_FEATURES = 32


@dataclass(frozen=True, slots=True)
class FramesBatch:
    """Padded frames of several chains, with what the network must know of them.

    Attributes
    ----------
    frames
        Shape [batch, residues, ...].
    mask
        True for residues, False for padding, shape [batch, residues].
    index
        Residue numbers, shape [batch, residues]; a step above one is a chain break.
    times
        Times of translations and of rotations, shape [batch, 2], in [0, 1].
    """

    frames: Frames
    mask: Bool[Tensor, "batch residues"]
    index: Int[Tensor, "batch residues"]
    times: Float[Tensor, "batch 2"]


class CompactNetwork(nn.Module):
    """An SE(3)-equivariant denoiser of residue frames.

    Parameters
    ----------
    settings
        Sizes.

    Shapes
    ------
    Input: a `FramesBatch` and optionally the previous prediction (self-conditioning). Output: the predicted clean
    frames after every block, the last being the prediction; Angstrom.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        width, pair_width = settings.width, settings.pair_width
        self.embed_time = nn.Sequential(nn.Linear(4 * TIME_FEATURES, settings.time_width), nn.SiLU())
        residue_features = 2 * NEIGHBOUR_FEATURES + 4 * PLACE_FEATURES + 13
        self.embed_residue = nn.Linear(residue_features, width)
        self.residue_time = nn.Linear(settings.time_width, width)
        self.embed_offset = nn.Embedding(2 * MAX_OFFSET + 1, pair_width)
        self.embed_pair = nn.Linear(2 * PAIR_FEATURES, pair_width, bias=False)
        self.pair_time = nn.Linear(settings.time_width, pair_width)
        self.pair_bias = nn.Parameter(torch.randn(settings.blocks * settings.heads, pair_width) / pair_width**0.5)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))

    def forward(self, batch: FramesBatch, previous: Frames | None = None) -> list[Frames]:
        mask = batch.mask
        neighbours = ChainNeighbours(batch.index, mask)
        x = batch.frames.translations / ANGSTROM_PER_NANOMETRE
        q = batch.frames.quaternions
        centre = (x * mask[..., None]).sum(1, keepdim=True) / mask.sum(1)[:, None, None].clamp_min(1)
        x = (x - centre) * mask[..., None]
        rotation = quaternions.to_matrix(q)
        past = None
        if previous is not None:
            past_x = (previous.translations / ANGSTROM_PER_NANOMETRE - centre) * mask[..., None]
            past = (past_x, quaternions.to_matrix(previous.quaternions))
        time = self.embed_time(fourier(batch.times, TIME_FEATURES, lowest=1.0, highest=200.0).flatten(1))
        seen = neighbours.features(x, rotation)
        residues = self._residue_features(x, rotation, past, seen, neighbours, batch)
        s = self.embed_residue(residues) + self.residue_time(time)[:, None]
        biases = self._pair_biases(x, rotation, past, time, batch)
        left = (1 - batch.times).clamp_min(LEAST_MOVE)[:, None, :] * mask[..., None]
        predictions: list[Frames] = []
        for block, bias in zip(self.blocks, biases, strict=True):
            if predictions:
                rotation = quaternions.to_matrix(q)
                seen = neighbours.features(x, rotation)
            s, x, q = block(s, x, q, rotation, bias, seen, time, left)
            predictions.append(Frames((x + centre) * mask[..., None] * ANGSTROM_PER_NANOMETRE, q))
        return predictions

    def _residue_features(
        self,
        x: Tensor,
        rotation: Tensor,
        past: tuple[Tensor, Tensor] | None,
        own: Tensor,
        neighbours: ChainNeighbours,
        batch: FramesBatch,
    ) -> Tensor:
        """Chain neighbours now and as predicted before, the way to the previous prediction, and both chain ends."""
        count = batch.mask.sum(dim=1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device)[None].expand(x.shape[:2])
        ends = [fourier(p.float(), PLACE_FEATURES, lowest=0.01, highest=1.5) for p in (place, count - 1 - place)]
        if past is None:
            before = own.new_zeros(*own.shape[:2], NEIGHBOUR_FEATURES + 13)
        else:
            way = torch.einsum("brji,brj->bri", rotation, past[0] - x)
            turn = torch.matmul(rotation.transpose(-1, -2), past[1]).flatten(-2)
            known = torch.ones_like(way[..., :1])
            before = torch.cat((neighbours.features(*past), way, turn, known), dim=-1)
        return torch.cat((own, before, *ends), dim=-1)

    def _pair_biases(
        self, x: Tensor, rotation: Tensor, past: tuple[Tensor, Tensor] | None, time: Tensor, batch: FramesBatch
    ) -> tuple[Tensor, ...]:
        """Attention biases of all blocks, each [batch, heads, residues, residues], from one pass over the pairs.

        Without gradients some chains go after the others: on a processor one, so that its pairs stay in the cache.
        """
        weight = self.embed_pair.weight if past is not None else self.embed_pair.weight[:, :PAIR_FEATURES]
        weights = torch.cat((weight.expand(len(x), -1, -1), self.pair_time(time)[..., None]), dim=-1)
        index = batch.index[:1] if bool((batch.index == batch.index[:1]).all()) else batch.index
        offset = (index[:, None, :] - index[:, :, None]).clamp(-MAX_OFFSET, MAX_OFFSET) + MAX_OFFSET
        chain_terms = self.embed_offset(offset).flatten(1, 2).transpose(1, 2).contiguous().expand(len(x), -1, -1)
        size = batch.index.shape[1:] * 2

        def biases_of(some: slice) -> Tensor:
            features = [pair_features(x[some], rotation[some])]
            if past is not None:
                features.append(pair_features(past[0][some], past[1][some]))
            # One product sums all terms: the features, and as weight of a constant one what depends on time alone, are
            # added to the term of the offset along the chain. A second product gives the biases.
            pairs = torch.cat((*features, torch.ones_like(features[0][:, :1])), dim=1).flatten(2)
            z = relu(torch.baddbmm(chain_terms[some], weights[some], pairs), inplace=True)
            return torch.bmm(self.pair_bias.expand(len(z), -1, -1), z).unflatten(2, size)

        if torch.is_grad_enabled():
            biases = biases_of(slice(None))
        else:
            biases = x.new_empty(len(x), len(self.pair_bias), *size)
            chains = max(1, PAIRS_AT_ONCE.get(x.device.type, 1) // size.numel())
            for first in range(0, len(x), chains):
                some = slice(first, first + chains)
                biases[some] = biases_of(some)
        if not bool(batch.mask.all()):
            biases = biases.masked_fill(~batch.mask[:, None, None, :], MASKED)
        return biases.unflatten(1, (len(self.blocks), -1)).unbind(dim=1)


class Block(nn.Module):
    """Attend, think, move; residual, normalised before each step and modulated by time."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width = settings.width
        self.attention = InvariantPointAttention(
            width,
            heads=settings.heads,
            head_width=settings.head_width,
            query_points=settings.query_points,
            value_points=settings.value_points,
        )
        self.neighbours = nn.Linear(NEIGHBOUR_FEATURES, width)
        self.modulation = nn.Linear(settings.time_width, 4 * width)
        self.expand = nn.Linear(width, settings.expansion * width)
        self.contract = nn.Linear(settings.expansion * width, width)
        self.move = nn.Linear(width, 6)
        for last in (self.attention.out, self.contract, self.move, self.modulation, self.neighbours):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        s: Tensor,
        x: Tensor,
        q: Tensor,
        rotation: Tensor,
        bias: Tensor,
        seen: Tensor,
        time: Tensor,
        left: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        scale_1, shift_1, scale_2, shift_2 = self.modulation(time)[:, None].chunk(4, dim=-1)
        s = s + self.neighbours(seen)
        h = layer_norm(s, s.shape[-1:]) * (1 + scale_1) + shift_1
        s = s + self.attention(h, x, rotation, bias)
        h = layer_norm(s, s.shape[-1:]) * (1 + scale_2) + shift_2
        s = s + self.contract(gelu(self.expand(h), approximate="tanh"))
        # A move in the residue's own frame: forwards and turn, both scaled by the noise that is left.
        step, turn = self.move(layer_norm(s, s.shape[-1:])).float().split(3, dim=-1)
        x = x + torch.einsum("brij,brj->bri", rotation, step * left[..., :1])
        imaginary = quaternions.multiply(q, torch.nn.functional.pad(turn * left[..., 1:], (1, 0)))
        return s, x, quaternions.normalise(q + imaginary)
