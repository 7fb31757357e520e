"""Invariant point attention as one ordinary attention.

The score between residues i and j is a scalar product, minus a weighted sum of squared distances between the query
points of i and the key points of j (both given in local frames, compared in global coordinates), plus a pair bias:

    q_i . k_j - sum_p w_h |Q_ip - K_jp|^2 / 2 + b_ij.

Since |Q - K|^2 = |Q|^2 - 2 Q . K + |K|^2, and |Q|^2 is the same for all j and cancels in the softmax, this equals the
ordinary product of the extended vectors [q, w Q, 1] and [k, K, -w |K|^2 / 2]. The value points ride along as further
value channels. So fused attention kernels do all of it, and no residues x residues x points tensor is ever made.

References
----------
Jumper et al., Highly accurate protein structure prediction with AlphaFold, supplementary algorithm 22.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention, softplus

# Heads are padded to a multiple of this, so that vector instructions never meet a ragged edge.
HEAD_ALIGNMENT = 8


def attend(
    query: Float[Tensor, "batch heads residues channels"],
    key: Float[Tensor, "batch heads residues channels"],
    value: Float[Tensor, "batch heads residues channels"],
    bias: Float[Tensor, "batch heads residues residues"],
) -> Float[Tensor, "batch heads residues channels"]:
    """Return softmax(query key^T + bias) value; all [batch, heads, residues, channels], bias [..., residues, residues].

    Fused kernels give no gradient of the bias, and what takes their place when one is needed is slower than this.
    """
    if not (torch.is_grad_enabled() and bias.requires_grad):
        return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    scores = torch.baddbmm(bias.flatten(0, 1), query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2))
    return torch.bmm(scores.softmax(dim=-1), value.flatten(0, 1)).unflatten(0, query.shape[:2])


class InvariantPointAttention(nn.Module):
    """Attention over residues that sees their geometry; its output does not change under rigid motions of the input.

    Parameters
    ----------
    width
        Channels of a residue.
    heads, head_width
        Attention heads and their scalar channels.
    query_points, value_points
        Points per head.
    """

    def __init__(self, width: int, *, heads: int, head_width: int, query_points: int, value_points: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.query_points, self.value_points = query_points, value_points
        self.scalars = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.points = nn.Linear(width, 3 * heads * (2 * query_points + value_points))
        self.point_weight = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))
        self.out = nn.Linear(heads * (head_width + 4 * value_points), width)

    def forward(
        self,
        s: Float[Tensor, "batch residues width"],
        x: Float[Tensor, "batch residues 3"],
        rotation: Float[Tensor, "batch residues 3 3"],
        bias: Float[Tensor, "batch heads residues residues"],
    ) -> Float[Tensor, "batch residues width"]:
        """Attend.

        Parameters
        ----------
        s
            Residues, shape [batch, residues, width].
        x, rotation
            Their frames: positions [batch, residues, 3] in nanometre and matrices [batch, residues, 3, 3].
        bias
            Added to the scores, shape [batch, heads, residues, residues]; -inf or very negative where j is padding.
        """
        query, key, value = self._queries_keys_values(s, x, rotation)
        result = attend(query, key, value, bias.float()).transpose(1, 2)
        scalars, points = result[..., : self.head_width + 3 * self.value_points].split(
            (self.head_width, 3 * self.value_points), dim=-1
        )
        # Points come back to the frame of the residue that looks: R^T (p - x).
        points = points.unflatten(-1, (3, -1)).transpose(2, 3).flatten(3) - x[..., None]
        points = torch.matmul(rotation.transpose(-1, -2), points)
        lengths = (points.square().sum(dim=2) + 1e-8).sqrt()
        return self.out(torch.cat((scalars.flatten(2), points.transpose(2, 3).flatten(2), lengths), dim=-1))

    def _queries_keys_values(self, s: Tensor, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each [batch, heads, residues, channels]: scalars, points (all x, all y, all z of a head), and norms."""
        heads, channels = self.heads, self.head_width
        q, k, v = self.scalars(s).float().unflatten(-1, (3, heads, channels)).unbind(dim=2)
        query_count = heads * self.query_points
        points = self._global_points(s, x, rotation)
        q_points, k_points, v_points = (
            p.unflatten(3, (heads, -1)).transpose(2, 3)
            for p in points.split((query_count, query_count, heads * self.value_points), dim=3)
        )
        weight = softplus(self.point_weight) * math.sqrt(1 / (4.5 * self.query_points))
        key_norm = -0.5 * weight[:, None] * k_points.square().sum(dim=(-1, -2))[..., None]
        used = (channels + 3 * self.query_points + 1, channels + 3 * self.value_points)
        size = -(-max(used) // HEAD_ALIGNMENT) * HEAD_ALIGNMENT
        padding = q.new_zeros(*q.shape[:3], size)
        q_points = (weight[:, None, None] * q_points).flatten(-2)
        extended = (
            (q / math.sqrt(channels), q_points, torch.ones_like(key_norm), padding[..., used[0] :]),
            (k, k_points.flatten(-2), key_norm, padding[..., used[0] :]),
            (v, v_points.flatten(-2), padding[..., used[1] :]),
        )
        query, key, value = (torch.cat(parts, dim=-1).transpose(1, 2) for parts in extended)
        return query, key, value

    def _global_points(self, s: Tensor, x: Tensor, rotation: Tensor) -> Tensor:
        """All points in global coordinates, [batch, residues, 3, points]: products with a long last axis are fast."""
        # Not `parameters()`, which are those of an adapter where the layer has one.
        both = (self.points.weight, self.points.bias)
        weight, bias = (part.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1) for part in both)
        local = linear(s, weight, bias).float().unflatten(-1, (3, -1)).flatten(0, 1)
        points = torch.baddbmm(x.flatten(0, 1)[..., None], rotation.flatten(0, 1), local)
        return points.unflatten(0, s.shape[:2])
