"""Invariant point attention against the formula written out, tensor by tensor."""

import math

import torch

from helicell.core.spaces import quaternions
from helicell.protein.networks.attention import InvariantPointAttention


def written_out(layer: InvariantPointAttention, s, x, rotation, bias):
    """Compute the layer's output with explicit residues x residues x points tensors."""
    heads, p, v = layer.heads, layer.query_points, layer.value_points
    q, k, value = layer.scalars(s).unflatten(-1, (3, heads, layer.head_width)).unbind(2)
    points = torch.einsum("brij,brpj->brpi", rotation, layer.points(s).unflatten(-1, (-1, 3))) + x[:, :, None]
    qp, kp, vp = points.split((heads * p, heads * p, heads * v), dim=2)
    qp, kp, vp = (a.unflatten(2, (heads, -1)) for a in (qp, kp, vp))
    weight = torch.nn.functional.softplus(layer.point_weight) * math.sqrt(1 / (4.5 * p))
    scores = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(layer.head_width) + bias
    distance = (qp[:, :, None] - kp[:, None]).square().sum(dim=(-1, -2))
    scores = scores - 0.5 * torch.einsum("h,bijh->bhij", weight, distance)
    attention = scores.softmax(dim=-1)
    scalars = torch.einsum("bhij,bjhc->bihc", attention, value)
    out_points = torch.einsum("bhij,bjhpc->bihpc", attention, vp) - x[:, :, None, None]
    out_points = torch.einsum("bikc,bihpk->bihpc", rotation, out_points)
    lengths = (out_points.square().sum(-1) + 1e-8).sqrt()
    return layer.out(torch.cat((scalars.flatten(2), out_points.flatten(2), lengths.flatten(2)), dim=-1))


def test_equals_the_formula_with_and_without_gradients() -> None:
    """One ordinary attention gives what the definition gives, by the fused kernel and by the one with gradients."""
    torch.manual_seed(0)
    layer = InvariantPointAttention(24, heads=3, head_width=8, query_points=4, value_points=5).double()
    # The layer works in float32 inside; the oracle is computed in double precision.
    s, x = torch.randn(2, 11, 24).double(), torch.randn(2, 11, 3).double()
    rotation = quaternions.to_matrix(quaternions.random_quaternions((2, 11))).double()
    bias = torch.randn(2, 3, 11, 11).double()
    expected = written_out(layer, s, x, rotation, bias).float()
    single = layer.float()
    inputs = [a.float() for a in (s, x, rotation, bias)]
    torch.testing.assert_close(single(*inputs[:3], inputs[3].requires_grad_()), expected, atol=2e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(single(*inputs), expected, atol=2e-5, rtol=1e-4)
