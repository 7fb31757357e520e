"""Differentiable rewards of backbones, built in or a user's own, and the gradient that leads sampling to them.

| name | rewards |
| --- | --- |
| `compactness` | a small radius of gyration beside that of natural chains, times the number of residues |
| `helix`, `strand` | residues whose next four CA atoms lie as in a helix, or in a strand |
| `balance` | as many residues in helices as in strands |
| `contacts` | pairs of residues six or more apart along the chain whose CA atoms are within 8 A |

All count residues or pairs, so a weight of one means the same for short and for long chains: samples with one more
become about e times as likely. A user's own reward is a function of (coordinates [batch, residues, 4, 3] of N, CA, C, O
in Angstrom, mask [batch, residues]) that returns numbers [batch].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.objects import load_object
from helicell.protein.frames import Frames, backbone_from_frames

Reward = Callable[[Frames, Tensor], Tensor]
"""(predicted frames [batch, residues, ...], mask [batch, residues]) -> rewards [batch], differentiable."""

# Radius of gyration of natural chains of N residues: 2.2 N^0.38 A.
NATURAL_RADIUS = (2.2, 0.38)
# Distances (A) from a CA atom to the second, third and fourth after it, and how wide a deviation still counts: the
# values and tolerances of P-SEA (Labesse and others, CABIOS 13, 291, 1997), doubled to give a gradient farther off.
HELIX = ((5.5, 1.0), (5.3, 1.0), (6.4, 1.2))
STRAND = ((6.7, 1.2), (9.9, 1.8), (12.4, 2.2))
CONTACT = 8.0
CONTACT_SEPARATION = 6


def compactness(frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
    """Return minus the radius of gyration over that of natural chains, times the number of residues."""
    weights = mask[..., None].to(frames.translations)
    count = mask.sum(dim=1).clamp_min(1)
    centre = (frames.translations * weights).sum(dim=1, keepdim=True) / count[:, None, None]
    squared = ((frames.translations - centre).square() * weights).sum(dim=(1, 2)) / count
    factor, exponent = NATURAL_RADIUS
    return -count * (squared + 1e-6).sqrt() / (factor * count.to(squared) ** exponent)


def helix(frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
    """Return how many residues start a turn of a helix, by their CA distances."""
    return _stretches(frames.translations, mask, HELIX)


def strand(frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
    """Return how many residues start five of an extended strand, by their CA distances."""
    return _stretches(frames.translations, mask, STRAND)


def balance(frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
    """Return minus the squared difference of helix and strand residues over the number of residues."""
    return -(helix(frames, mask) - strand(frames, mask)).square() / mask.sum(dim=1).clamp_min(1)


def contacts(frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
    """Return the number of pairs of residues in contact, counted softly over 1 A."""
    x = frames.translations
    place = torch.arange(mask.shape[1], device=mask.device)
    pairs = mask[:, :, None] & mask[:, None, :] & (place[None, :] - place[:, None] >= CONTACT_SEPARATION)
    distance = ((x[:, :, None] - x[:, None, :]).square().sum(dim=-1) + 1e-6).sqrt()
    return (torch.sigmoid(CONTACT - distance) * pairs).sum(dim=(1, 2))


REWARDS: dict[str, Reward] = {
    "compactness": compactness,
    "helix": helix,
    "strand": strand,
    "balance": balance,
    "contacts": contacts,
}


@dataclass(frozen=True, slots=True)
class WeightedRewards:
    """A sum of rewards, each with its weight; it is itself a reward."""

    rewards: tuple[tuple[float, Reward], ...]

    def __call__(self, frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
        parts = [weight * reward(frames, mask) for weight, reward in self.rewards]
        return torch.stack(parts).sum(dim=0)


@dataclass(frozen=True, slots=True)
class UserReward:
    """A user's own function of atoms, dressed as a reward of frames."""

    name: str
    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
        """Return the rewards.

        Raises
        ------
        InputError
            If the function returns anything but one differentiable number a backbone.
        """
        values = self.function(backbone_from_frames(frames), mask)
        if not isinstance(values, Tensor) or values.shape != mask.shape[:1]:
            shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            message = f"the reward {self.name} returned {shape}, expected one number a backbone, [{len(mask)}]"
            raise InputError(message)
        return values


def parse_rewards(texts: Sequence[str]) -> WeightedRewards | None:
    """Read rewards with their weights: ``strand``, ``compactness=2``, ``module:function=0.5``; None for none.

    Raises
    ------
    InputError
        If a name is unknown, a weight is no number, or a function cannot be found.

    Examples
    --------
    >>> [weight for weight, _ in parse_rewards(["strand", "compactness=2"]).rewards]
    [1.0, 2.0]
    """
    parsed = [_parse_reward(text) for text in texts]
    return WeightedRewards(tuple(parsed)) if parsed else None


def _parse_reward(text: str) -> tuple[float, Reward]:
    name, equals, number = text.partition("=")
    try:
        weight = float(number) if equals else 1.0
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        message = f"the weight of the reward {name} is {number!r}, expected a number, as in {name}=2"
        raise InputError(message)
    if name in REWARDS:
        return weight, REWARDS[name]
    if ":" not in name:
        raise unknown_option("reward", name, [*REWARDS, "module:function"])
    function = load_object(name, what="reward")
    if not callable(function):
        message = f"the reward {name} is no function; give one of (coordinates, mask) that returns numbers [batch]"
        raise InputError(message)
    return weight, UserReward(name, function)


def _stretches(x: Tensor, mask: Tensor, ideal: Sequence[tuple[float, float]]) -> Tensor:
    """Return the sum, over residues with four more after them, of how well the CA distances fit."""
    reach = len(ideal) + 1
    if x.shape[1] <= reach:
        return x.sum(dim=(1, 2)) * 0
    starts = x[:, :-reach]
    misfit = torch.zeros_like(starts[..., 0])
    for offset, (distance, width) in enumerate(ideal, start=2):
        other = x[:, offset : x.shape[1] - reach + offset]
        found = ((other - starts).square().sum(dim=-1) + 1e-6).sqrt()
        misfit = misfit + 0.5 * ((found - distance) / width).square()
    return (torch.exp(-misfit) * mask[:, reach:]).sum(dim=1)
