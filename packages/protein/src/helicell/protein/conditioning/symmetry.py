"""Symmetric assemblies: point groups, and one chain that stands for all its copies.

Only the first chain is drawn, moved and kept; the others are made of it by the rotations of the group, about axes
through the origin, whenever somebody looks: the network, steric guidance, the file. So the copies are exact.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.frames import Frames

KNOWN = "C2, C3, ... (cyclic), D2, D3, ... (dihedral), T, O or I (tetrahedral, octahedral, icosahedral)"
# Numbers of residues in two chains differ by more than any that the network relates along a chain.
CHAIN_GAP = 200
# More copies have no letters left for their chains.
MAX_COPIES = 60
GOLDEN = (1 + math.sqrt(5)) / 2
Z = (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Symmetry:
    """A point group of rotations.

    Attributes
    ----------
    name
        As it was asked for, such as C3 or D2.
    rotations
        Its rotations as quaternions, the identity first, float64 [copies, 4].
    """

    name: str
    rotations: Float[Tensor, "copies 4"]

    def __len__(self) -> int:
        return len(self.rotations)

    def centred(
        self, x: Float[Tensor, "batch residues 3"], mask: Bool[Tensor, "batch residues"]
    ) -> Float[Tensor, "batch residues 3"]:
        """Return positions moved so that the assembly is centred: along the axis only, where there is but one."""
        weights = mask[..., None].to(x.dtype)
        mean = (x * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True).clamp_min(1)
        # The mean over the group leaves of a vector what no rotation changes.
        unchanged = quaternions.to_matrix(self.rotations).mean(dim=0).to(x)
        return (x - mean @ unchanged.T) * weights


@dataclass(frozen=True, slots=True)
class Copies:
    """All copies of the chains of a batch, one after another and packed, so that padding stays at the end.

    Attributes
    ----------
    symmetry
        The group.
    chain_mask
        Residues of the first chains, shape [batch, residues].
    mask, index
        Of the whole assemblies, shape [batch, copies x residues].
    """

    symmetry: Symmetry
    chain_mask: Bool[Tensor, "batch residues"]
    mask: Bool[Tensor, "batch all"]
    index: Int[Tensor, "batch all"]

    @classmethod
    def of(cls, symmetry: Symmetry, chain_mask: Bool[Tensor, "batch residues"]) -> Copies:
        """Lay out the copies of chains."""
        copy, residue, mask = _layout(chain_mask, len(symmetry))
        return cls(symmetry, chain_mask, mask, copy * (chain_mask.shape[1] + CHAIN_GAP) + residue)

    def to(self, device: torch.device) -> Copies:
        """Return the layout on a device."""
        parts = (part.to(device) for part in (self.chain_mask, self.mask, self.index))
        return Copies(self.symmetry, *parts)

    def expanded(self, chain: Frames) -> Frames:
        """Return the frames of all copies, shape [batch, copies x residues, ...]; padding is zero and identity."""
        copy, residue, mask = _layout(self.chain_mask, len(self.symmetry))
        x, q = (
            part.gather(1, residue[..., None].expand(-1, -1, part.shape[-1]))
            for part in (chain.translations, chain.quaternions)
        )
        turn = self.symmetry.rotations.to(x)[copy]
        identity = torch.tensor((1.0, 0.0, 0.0, 0.0)).to(x)
        turned = torch.where(mask[..., None], quaternions.multiply(turn, q), identity)
        return Frames(quaternions.rotate(turn, x) * mask[..., None], turned)

    def first(self, assembly: Frames) -> Frames:
        """Return the frames of the first chains, shape [batch, residues, ...]."""
        count = self.chain_mask.shape[1]
        x, q = assembly.translations[:, :count], assembly.quaternions[:, :count]
        identity = torch.tensor((1.0, 0.0, 0.0, 0.0)).to(q)
        return Frames(x * self.chain_mask[..., None], torch.where(self.chain_mask[..., None], q, identity))


def parse_symmetry(text: str) -> Symmetry:
    """Return the point group of a Schoenflies symbol.

    Raises
    ------
    InputError
        If there is no such group of rotations, or it makes too many copies.

    Examples
    --------
    >>> len(parse_symmetry("C3")), len(parse_symmetry("D2")), len(parse_symmetry("T"))
    (3, 4, 12)
    """
    name = text.strip().upper()
    match = re.fullmatch(r"([CD])(\d{1,3})", name, re.ASCII)
    if match and int(match[2]) >= 2:
        fold = int(match[2])
        generators = [_turn(Z, fold)] + ([_turn((1.0, 0.0, 0.0), 2)] if match[1] == "D" else [])
        order = fold * len(generators)
        if order > MAX_COPIES:
            message = f"the symmetry {text} makes {order} copies; {MAX_COPIES} is the most"
            raise InputError(message)
    elif name in _POLYHEDRAL:
        generators = [_turn(axis, fold) for axis, fold in _POLYHEDRAL[name]]
    else:
        message = f"unknown symmetry {text!r}; give {KNOWN}"
        raise InputError(message)
    return Symmetry(name, _closure(generators))


# Two rotations, by axis and fold, that make each polyhedral group.
_POLYHEDRAL = {
    "T": ((Z, 2), ((1.0, 1.0, 1.0), 3)),
    "O": ((Z, 4), ((1.0, 1.0, 1.0), 3)),
    "I": ((Z, 2), ((0.0, 1.0, GOLDEN), 5)),
}


def _turn(axis: tuple[float, float, float], fold: int) -> Tensor:
    """Return the rotation by one part in `fold` of a full turn."""
    direction = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    half = torch.tensor(math.pi / fold, dtype=torch.float64)
    return torch.cat((half.cos()[None], half.sin() * direction))


def _closure(generators: list[Tensor]) -> Tensor:
    """Return all products of the generators, the identity first, in the order in which they are found."""
    found = [torch.tensor((1.0, 0.0, 0.0, 0.0), dtype=torch.float64)]
    for element in found:
        for generator in generators:
            product = quaternions.multiply(generator, element)
            # q and -q are one rotation.
            if not any(abs(float(product @ other)) > 1 - 1e-9 for other in found):
                found.append(product)
    return quaternions.normalise(torch.stack(found))


def _layout(chain_mask: Tensor, copies: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each place of the packed assemblies, the copy and the residue that stand there, and the mask."""
    lengths = chain_mask.sum(dim=1, keepdim=True)
    place = torch.arange(copies * chain_mask.shape[1], device=chain_mask.device).expand(len(chain_mask), -1)
    mask = place < copies * lengths
    copy = torch.where(mask, place // lengths.clamp_min(1), copies - 1)
    residue = torch.where(mask, place % lengths.clamp_min(1), 0)
    return copy, residue, mask
