"""Point attention of the published network, with weights laid out as in its checkpoints.

The same algebra as in `attention`: with points as further channels of queries and keys, the score

    q_i . k_j sqrt(1 / 3c) + sqrt(1 / 3) b_ij - w_h / 2 sum_p |Q_ip - K_jp|^2

is one product plus the bias of the pair, up to a term of i alone that cancels in the softmax. Value points are further
channels of the values. Unlike there, attention also averages features of the pairs, so its weights are made explicitly.

References
----------
Jumper et al., Highly accurate protein structure prediction with AlphaFold, supplementary algorithm 22.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from helicell.protein.networks.framediff_pairs import zeroed
from helicell.protein.published.settings import FrameDiffSettings


class PublishedPointAttention(nn.Module):
    """Invariant point attention over all pairs of residues.

    Parameters
    ----------
    settings
        Sizes of the network.
    """

    def __init__(self, settings: FrameDiffSettings) -> None:
        super().__init__()
        self.heads, self.head_width = settings.heads, settings.head_width
        self.query_points, self.value_points = settings.query_points, settings.value_points
        width, heads, self.pair_values = settings.width, settings.heads, settings.pair_width // 4
        self.linear_q = nn.Linear(width, heads * self.head_width)
        self.linear_kv = nn.Linear(width, 2 * heads * self.head_width)
        self.linear_q_points = nn.Linear(width, 3 * heads * self.query_points)
        self.linear_kv_points = nn.Linear(width, 3 * heads * (self.query_points + self.value_points))
        self.linear_b = nn.Linear(settings.pair_width, heads)
        self.down_z = nn.Linear(settings.pair_width, self.pair_values)
        self.head_weights = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))
        results = heads * (self.head_width + 4 * self.value_points + self.pair_values)
        self.linear_out = zeroed(nn.Linear(results, width))

    def forward(
        self,
        s: Float[Tensor, "batch residues width"],
        z: Float[Tensor, "batch residues residues pair_width"],
        x: Float[Tensor, "batch residues 3"],
        rotation: Float[Tensor, "batch residues 3 3"],
    ) -> Float[Tensor, "batch residues width"]:
        """Attend.

        Parameters
        ----------
        s, z
            Residues and pairs of them.
        x, rotation
            Frames of the residues: positions in nanometre, and matrices.
        """
        query, key, value = self._queries_keys_values(s, x, rotation)
        bias, pair_value = self._pair_projections(z)
        weights = torch.baddbmm(bias.flatten(0, 1), query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2))
        weights = weights.softmax(dim=-1).unflatten(0, query.shape[:2])
        result = torch.matmul(weights, value).transpose(1, 2)
        scalars, points = result.split((self.head_width, 3 * self.value_points), dim=-1)
        points = torch.matmul(points.unflatten(-1, (-1, 3)).flatten(2, 3) - x[:, :, None], rotation)
        lengths = (points.square().sum(dim=-1) + 1e-8).sqrt()
        pairs = torch.matmul(weights.transpose(1, 2), pair_value)
        parts = (scalars.flatten(2), points.transpose(-1, -2).flatten(2), lengths, pairs.flatten(2))
        return self.linear_out(torch.cat(parts, dim=-1))

    def _queries_keys_values(self, s: Tensor, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scalars and points together, [batch, heads, residues, channels] each; the key also holds its own norm."""
        heads, channels = self.heads, self.head_width
        query = self.linear_q(s).unflatten(-1, (heads, channels)) * math.sqrt(1 / (3 * channels))
        key, value = self.linear_kv(s).unflatten(-1, (heads, 2 * channels)).split(channels, dim=-1)
        query_points = self._global_points(self.linear_q_points(s), x, rotation)
        key_points, value_points = self._global_points(self.linear_kv_points(s), x, rotation).split(
            (self.query_points, self.value_points), dim=3
        )
        weight = softplus(self.head_weights) * math.sqrt(1 / (13.5 * self.query_points))
        key_norm = -0.5 * weight[:, None] * key_points.square().sum(dim=(-1, -2))[..., None]
        weighted = weight[:, None] * query_points.flatten(-2)
        query = torch.cat((query, weighted, torch.ones_like(key_norm)), dim=-1)
        key = torch.cat((key, key_points.flatten(-2), key_norm), dim=-1)
        value = torch.cat((value, value_points.flatten(-2)), dim=-1)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def _global_points(self, local: Tensor, x: Tensor, rotation: Tensor) -> Tensor:
        """Return points [batch, residues, heads, points, 3] that were given as blocks of x, y and z in local frames."""
        points = torch.matmul(local.unflatten(-1, (3, -1)).transpose(-1, -2), rotation.transpose(-1, -2))
        return (points + x[:, :, None]).unflatten(2, (self.heads, -1))

    def _pair_projections(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Biases [batch, heads, residues, residues] and values [batch, residues, residues, channels] by one product."""
        scale = math.sqrt(1 / 3)
        weight = torch.cat((scale * self.linear_b.weight, self.down_z.weight))
        offset = torch.cat((scale * self.linear_b.bias, self.down_z.bias))
        bias, value = linear(z, weight, offset).split((self.heads, self.pair_values), dim=-1)
        return bias.permute(0, 3, 1, 2), value
