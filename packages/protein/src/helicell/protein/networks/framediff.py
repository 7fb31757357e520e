"""The published SE(3) network of FrameDiff, FrameFlow, QFlow and ReQFlow, exactly, at a fraction of its cost.

Names and shapes of the weights are those of the released checkpoints, and so is what is computed. How is our own:

- Residues of padding are left out instead of masked. A batch is split into groups of chains with equally many residues,
  each group is dense, and so no masks occur inside: padding costs nothing and cannot leak.
- Linear layers of concatenated sources are split by source: what depends on one residue is computed once per residue,
  not once per pair (`PairTransition`, `PairFeatures`).
- Pairs are worked on in chunks that stay in the processor's cache.
- One-hot distances and offsets select rows of small tables.
- Points ride along in the products of attention (`PublishedPointAttention`).

References
----------
Yim et al., SE(3) diffusion model with application to protein backbone generation, arXiv 2302.02277.
Yim et al., Fast protein backbone generation with SE(3) flow matching, arXiv 2310.05297.
Yue et al., ReQFlow: rectified quaternion flow for efficient and high-quality protein backbone generation,
arXiv 2502.14637.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import relu

from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames
from helicell.protein.networks.compact import ANGSTROM_PER_NANOMETRE, FramesBatch
from helicell.protein.networks.framediff_attention import PublishedPointAttention
from helicell.protein.networks.framediff_features import PairFeatures, ResidueFeatures
from helicell.protein.networks.framediff_pairs import PairTransition, zeroed
from helicell.protein.published.settings import FrameDiffSettings

# Pairs whose features are carried through the network together where no gradient is needed: on a processor 8 MB at full
# width, which its outer cache holds. Chains beyond go one after the other, which costs no more and needs less memory.
PAIRS_TOGETHER = {"cpu": 1 << 14, "cuda": 1 << 22, "mps": 1 << 18}


class FrameDiffNetwork(nn.Module):
    """The published denoiser of residue frames.

    Parameters
    ----------
    settings
        Sizes.

    Shapes
    ------
    Input: a `FramesBatch` and optionally the previous prediction, of which only the translations are looked at. Output:
    the predicted clean frames after every block, the last being the prediction; Angstrom. Frames of padding come out as
    they went in.
    """

    citations = ("yim2023se3", "yim2023fast", "yue2025reqflow")

    def __init__(self, settings: FrameDiffSettings) -> None:
        super().__init__()
        self.settings = settings
        self.node_feature_net = ResidueFeatures(settings)
        self.edge_feature_net = PairFeatures(settings)
        self.trunk = nn.ModuleDict()
        for block in range(settings.blocks):
            self.trunk.update(
                {
                    f"ipa_{block}": PublishedPointAttention(settings),
                    f"ipa_ln_{block}": nn.LayerNorm(settings.width),
                    f"seq_tfmr_{block}": _transformer(settings),
                    f"post_tfmr_{block}": zeroed(nn.Linear(settings.width, settings.width)),
                    f"node_transition_{block}": ResidueTransition(settings.width),
                    f"bb_update_{block}": FrameUpdate(settings.width),
                }
            )
            if block < settings.blocks - 1:
                self.trunk[f"edge_transition_{block}"] = PairTransition(settings)

    def forward(
        self,
        batch: FramesBatch,
        previous: Frames | None = None,
        *,
        diffused: Bool[Tensor, "batch residues"] | None = None,
        pair_dtype: torch.dtype | None = None,
    ) -> list[Frames]:
        """Predict clean frames.

        Parameters
        ----------
        batch
            Noisy frames, padded, with their times.
        previous
            The previous prediction (self-conditioning).
        diffused
            False where a residue is given and must stay, shape [batch, residues]; nowhere unless given.
        pair_dtype
            In what the large products over pairs are computed without gradients; that of the frames unless given.
            torch.bfloat16 is faster where processors multiply it natively, and moves residues by some 0.01 Angstrom.
        """
        movable = torch.ones_like(batch.mask) if diffused is None else diffused
        parts = []
        for rows, places in few_pairs(equal_lengths(batch.mask), device=batch.mask.device):
            chosen = (rows[:, None], places)
            some = FramesBatch(
                Frames(batch.frames.translations[chosen], batch.frames.quaternions[chosen]),
                batch.mask[chosen],
                batch.index[chosen],
                batch.times[rows],
            )
            known = None if previous is None else previous.translations[chosen]
            predictions = self._dense(
                some,
                known,
                movable[chosen].to(batch.times.dtype),
                places=places,
                span=batch.mask.shape[1],
                pair_dtype=pair_dtype,
            )
            parts.append((chosen, predictions))
        results = []
        for block in range(self.settings.blocks):
            translations, quaternion = batch.frames.translations.clone(), batch.frames.quaternions.clone()
            for chosen, predictions in parts:
                translations = translations.index_put(chosen, predictions[block].translations)
                quaternion = quaternion.index_put(chosen, predictions[block].quaternions)
            results.append(Frames(translations, quaternion))
        return results

    def _dense(
        self,
        batch: FramesBatch,
        known: Tensor | None,
        movable: Tensor,
        *,
        places: Tensor,
        span: int,
        pair_dtype: torch.dtype | None,
    ) -> list[Frames]:
        """Predict for chains of one length, without padding; their places in the padded batch are below `span`."""
        trunk = self.trunk
        s = self.node_feature_net(batch.times, batch.index, movable)
        z = self.edge_feature_net(s, batch.frames.translations, known, places, movable, span=span)
        # Nothing below depends on where the whole is; near the origin distances suffer least from rounding.
        centre = batch.frames.translations.mean(dim=1, keepdim=True)
        x = (batch.frames.translations - centre) / ANGSTROM_PER_NANOMETRE
        q = batch.frames.quaternions
        rotation = quaternions.to_matrix(quaternions.normalise(q))
        predictions = []
        for block in range(self.settings.blocks):
            attended = trunk[f"ipa_{block}"](s, z, x, rotation)
            s = trunk[f"ipa_ln_{block}"](s + attended)
            s = s + trunk[f"post_tfmr_{block}"](trunk[f"seq_tfmr_{block}"](s))
            s = trunk[f"node_transition_{block}"](s)
            x, q = trunk[f"bb_update_{block}"](s, x, q, rotation, movable)
            rotation = quaternions.to_matrix(q)
            if block < self.settings.blocks - 1:
                z = trunk[f"edge_transition_{block}"](s, z, dtype=pair_dtype)
            predictions.append(Frames(x * ANGSTROM_PER_NANOMETRE + centre, q))
        return predictions


class ResidueTransition(nn.Module):
    """A residual perceptron of three layers on each residue, normalised afterwards."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, width)
        self.linear_2 = nn.Linear(width, width)
        self.linear_3 = zeroed(nn.Linear(width, width))
        self.ln = nn.LayerNorm(width)

    def forward(self, s: Float[Tensor, "batch residues width"]) -> Float[Tensor, "batch residues width"]:
        return self.ln(s + self.linear_3(relu(self.linear_2(relu(self.linear_1(s))))))


class FrameUpdate(nn.Module):
    """Moves and turns each frame in its own coordinates; the move goes along the axes from before the turn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = zeroed(nn.Linear(width, 6))

    def forward(
        self,
        s: Float[Tensor, "batch residues width"],
        x: Float[Tensor, "batch residues 3"],
        q: Float[Tensor, "batch residues 4"],
        rotation: Float[Tensor, "batch residues 3 3"],
        movable: Float[Tensor, "batch residues"],
    ) -> tuple[Float[Tensor, "batch residues 3"], Float[Tensor, "batch residues 4"]]:
        turn, step = (self.linear(s) * movable[..., None]).split(3, dim=-1)
        x = x + torch.einsum("brij,brj->bri", rotation, step)
        q = q + quaternions.multiply(q, torch.nn.functional.pad(turn, (1, 0)))
        return x, quaternions.normalise(q)


def equal_lengths(
    mask: Bool[Tensor, "batch residues"],
) -> list[tuple[Int[Tensor, " chains"], Int[Tensor, "chains length"]]]:
    """Return groups of chains with equally many residues: their rows, and the places of their residues.

    Examples
    --------
    >>> groups = equal_lengths(torch.tensor([[True, True], [True, False], [True, True]]))
    >>> [(rows.tolist(), places.tolist()) for rows, places in groups]
    [([1], [[0]]), ([0, 2], [[0, 1], [0, 1]])]
    """
    counts = mask.sum(dim=1)
    groups = []
    for count in counts.unique().tolist():
        rows = (counts == count).nonzero()[:, 0]
        if count:
            groups.append((rows, mask[rows].nonzero()[:, 1].unflatten(0, (len(rows), count))))
    return groups


def few_pairs(
    groups: list[tuple[Tensor, Tensor]], *, device: torch.device
) -> Iterator[tuple[Int[Tensor, " chains"], Int[Tensor, "chains length"]]]:
    """Cut groups of chains, where no gradient is needed, so that the pairs of each part stay near the processor."""
    for rows, places in groups:
        chains = max(1, PAIRS_TOGETHER[device.type] // places.shape[1] ** 2)
        if torch.is_grad_enabled():
            chains = len(rows)
        yield from zip(rows.split(chains), places.split(chains), strict=True)


def _transformer(settings: FrameDiffSettings) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        settings.width,
        settings.transformer_heads,
        dim_feedforward=settings.width,
        dropout=0.0,
        batch_first=True,
    )
    return nn.TransformerEncoder(layer, settings.transformer_layers, enable_nested_tensor=False)
