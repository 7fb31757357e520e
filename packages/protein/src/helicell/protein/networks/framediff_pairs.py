"""How the published network updates its features of residue pairs: most of its arithmetic.

For h = [z_ij, n_i, n_j], the old features and both residues, the update is

    z_ij <- LayerNorm(F (h + relu(B relu(A h + a) + b)) + f).

Written so, three large matrices act on every pair. Here A and F are split by the source of their columns: the parts of
n_i and n_j are computed once per residue. Pairs are taken in chunks whose intermediate results stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from helicell.protein.published.settings import FrameDiffSettings

# Pairs that are worked on together: on a processor enough to keep products busy, and few enough that their 384 channels
# (1.5 MB) do not leave the caches.
PAIRS_PER_CHUNK = {"cpu": 1024, "cuda": 1 << 18, "mps": 1 << 16}


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
        self,
        s: Float[Tensor, "batch residues width"],
        z: Float[Tensor, "batch residues residues pair_width"],
        *,
        dtype: torch.dtype | None = None,
    ) -> Float[Tensor, "batch residues residues pair_width"]:
        """Return the new pair features; without gradients they take the place of the old ones.

        Parameters
        ----------
        s, z
            Residues and pairs of them.
        dtype
            In what the three large products are computed without gradients; that of the features unless given. Their
            sums, the normalisation and the features themselves are in full precision all the same.
        """
        dtype = z.dtype if dtype is None or torch.is_grad_enabled() else dtype
        n = self.initial_embed(s)
        first, _, second, _ = (cast(nn.Linear, layer) for layer in self.trunk)
        hidden = [term.to(dtype) for term in self._of_residues(first, n)]
        final = self._of_residues(self.final_layer, n)
        products = Products(
            first=first.weight[:, : self.pair_width].to(dtype).t(),
            second=second.weight.to(dtype).t(),
            last=self.final_layer.weight.to(dtype).t(),
            bias=second.bias.to(dtype),
        )
        parts = []
        for some, rows in chunks(*z.shape[:2], device=z.device):
            terms = [one[some, rows, None] + two[some, None] for one, two in (hidden, final)]
            part = self.layer_norm(products(z[some, rows].flatten(0, 2).to(dtype), *(t.flatten(0, 2) for t in terms)))
            if torch.is_grad_enabled():
                parts.append(part.view(z[some, rows].shape))
            else:
                z[some, rows] = part.view(z[some, rows].shape)
        return joined(parts) if parts else z

    def _of_residues(self, layer: nn.Linear, n: Tensor) -> tuple[Tensor, Tensor]:
        """Return what n_i and n_j, as the first and second residue of a pair, contribute to a layer; with its bias."""
        _, one, two = layer.weight.split((self.pair_width, self.residue_width, self.residue_width), dim=1)
        return linear(n, one), linear(n, two, layer.bias)


@dataclass(frozen=True, slots=True)
class Products:
    """The three products that act on every pair: all that the update costs.

    Attributes
    ----------
    first, second, last
        Their matrices, transposed: [pair_width, hidden], [hidden, hidden] and [hidden, pair_width].
    bias
        That of the second, [hidden].
    """

    first: Tensor
    second: Tensor
    last: Tensor
    bias: Tensor

    def __call__(self, pairs: Tensor, hidden: Tensor, result: Tensor) -> Tensor:
        """Return the update of pairs [pairs, pair_width], given what their residues contribute, which is used up."""
        h = _relu(hidden.addmm_(pairs, self.first))
        h = _relu(torch.addmm(self.bias, h, self.second))
        width = pairs.shape[1]
        if torch.is_grad_enabled():
            return torch.addmm(result, h, self.last).addmm_(pairs, self.last[:width])
        h[:, :width] += pairs
        # Products in half precision are summed in full precision.
        return result.addmm_(h, self.last) if h.dtype == result.dtype else result.add_(h @ self.last)


def _relu(h: Tensor) -> Tensor:
    """Set what is negative to zero, in place.

    A bfloat16 is negative where its bits are, read as a whole number; that is compared five times faster.
    """
    if h.dtype != torch.bfloat16:
        return h.relu_()
    h.view(torch.int16).clamp_min_(0)
    return h


def chunks(batch: int, residues: int, *, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut [batch, residues, residues] pairs into slices of chains and of rows: whole chains, or rows of one chain.

    Examples
    --------
    >>> list(chunks(1, 600, device=torch.device("cpu")))[:2]
    [(slice(0, 1, None), slice(0, 1, None)), (slice(0, 1, None), slice(1, 2, None))]
    >>> list(chunks(8, 16, device=torch.device("cpu")))
    [(slice(0, 4, None), slice(0, 16, None)), (slice(4, 8, None), slice(0, 16, None))]
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
