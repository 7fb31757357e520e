"""How the published network updates its features of residue pairs: most of its arithmetic.

For h = [z_ij, n_i, n_j], the old features and both residues, the update is

    z_ij <- LayerNorm(F (h + relu(B relu(A h + a) + b)) + f).

Written so, three large matrices act on every pair. Here A and F are split by the source of their columns: the parts of
n_i and n_j are computed once per residue. Pairs are taken in chunks whose intermediate results stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from helicell.protein.published.settings import FrameDiffSettings

# Pairs that are worked on together: on a processor as many as stay in the cache of a core with their 384 channels.
PAIRS_PER_CHUNK = {"cpu": 512, "cuda": 1 << 18, "mps": 1 << 16}


class PairTransition(nn.Module):
    """The update of pair features.

    Parameters
    ----------
    settings
        Sizes of the network.
    """

    def __init__(self, settings: FrameDiffSettings) -> None:
        super().__init__()
        self.pair_width, self.residue_width = settings.pair_width, settings.width // 2
        hidden = self.pair_width + 2 * self.residue_width
        self.initial_embed = nn.Linear(settings.width, self.residue_width)
        self.trunk = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.final_layer = zeroed(nn.Linear(hidden, self.pair_width))
        self.layer_norm = nn.LayerNorm(self.pair_width)

    def forward(
        self, s: Float[Tensor, "batch residues width"], z: Float[Tensor, "batch residues residues pair_width"]
    ) -> Float[Tensor, "batch residues residues pair_width"]:
        """Return the new pair features; without gradients they take the place of the old ones."""
        n = self.initial_embed(s)
        hidden, final = (self._of_residues(layer, n) for layer in (self.trunk[0], self.final_layer))
        hidden = [term.to(z.dtype) for term in hidden]
        parts = []
        for some, rows in chunks(*z.shape[:2], device=z.device):
            part = self._update(z[some, rows], *([t[0][some, rows, None], t[1][some, None]] for t in (hidden, final)))
            if torch.is_grad_enabled():
                parts.append(part)
            else:
                z[some, rows] = part
        return joined(parts) if parts else z

    def _of_residues(self, layer: nn.Linear, n: Tensor) -> list[Tensor]:
        """Return what n_i and n_j, as the first and second residue of a pair, contribute to a layer; with its bias."""
        _, first, second = layer.weight.split((self.pair_width, self.residue_width, self.residue_width), dim=1)
        return [linear(n, first), linear(n, second, layer.bias)]

    def _update(self, z: Tensor, hidden: list[Tensor], final: list[Tensor]) -> Tensor:
        """Update a chunk [chains, rows, residues, pair_width], given the terms of its residues."""
        middle: nn.Linear = self.trunk[2]  # type: ignore[assignment]
        a, b, f = (
            weight.to(z.dtype).t()
            for weight in (self.trunk[0].weight[:, : self.pair_width], middle.weight, self.final_layer.weight)  # type: ignore[union-attr,index]
        )
        pairs = z.flatten(0, 2)
        h = (hidden[0] + hidden[1]).flatten(0, 2).addmm_(pairs, a).relu_()
        h = torch.addmm(middle.bias.to(z.dtype), h, b).relu_()
        result = (final[0] + final[1]).flatten(0, 2)
        if torch.is_grad_enabled():
            result = torch.addmm(result, h, f).addmm_(pairs, f[: self.pair_width])
        else:
            h[:, : self.pair_width] += pairs
            # In half precision the sum and its normalisation are in full precision all the same.
            result = result.addmm_(h, f) if h.dtype == result.dtype else result.add_(h @ f)
        return self.layer_norm(result).view(z.shape)


def chunks(batch: int, residues: int, *, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut [batch, residues, residues] pairs into slices of chains and of rows: whole chains, or rows of one chain.

    Examples
    --------
    >>> list(chunks(1, 300, device=torch.device("cpu")))[:2]
    [(slice(0, 1, None), slice(0, 1, None)), (slice(0, 1, None), slice(1, 2, None))]
    >>> list(chunks(4, 16, device=torch.device("cpu")))
    [(slice(0, 2, None), slice(0, 16, None)), (slice(2, 4, None), slice(0, 16, None))]
    """
    most = PAIRS_PER_CHUNK[device.type]
    chains = max(1, most // residues**2)
    rows = residues if chains > 1 else min(residues, max(1, most // residues))
    for first in range(0, batch, chains):
        for row in range(0, residues, rows):
            yield slice(first, min(first + chains, batch)), slice(row, min(row + rows, residues))


def joined(parts: list[Tensor]) -> Tensor:
    """Join the results of all `chunks` to [batch, residues, residues, channels]."""
    residues = parts[0].shape[2]
    return torch.cat([part.flatten(0, 2) for part in parts]).unflatten(0, (-1, residues, residues))


def zeroed(layer: nn.Linear) -> nn.Linear:
    """Return a layer with weights and biases of zero: an update that does nothing before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
