"""How straight a backbone flow runs, judged by the very trajectories that its sampler walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.generation import Backbone


@dataclass(frozen=True, slots=True)
class BackboneStraightness:
    """How straight trajectories are; all are 0 where every residue goes straight to its end.

    Attributes
    ----------
    detour
        By what share the ways of the positions are longer than the distances of their ends.
    turning_detour
        The same for orientations, whose ways are angles.
    wandering
        How far the predicted CA positions are from those of the sample, root mean square over all steps, Angstrom.
    """

    detour: float
    turning_detour: float
    wandering: float


@cited("liu2023flow")
def backbone_straightness(backbones: Sequence[Backbone]) -> BackboneStraightness:
    """Measure backbones that were sampled with their trajectories, two steps or more.

    A single jump from the last state to its predicted end closes each trajectory, as in sampling.

    Raises
    ------
    InputError
        If there are none, or they came without trajectories.
    """
    if not backbones or any(backbone.trajectory is None for backbone in backbones):
        message = "straightness needs backbones that were sampled with SamplingOptions(trajectory=True)"
        raise InputError(message)
    ways, distances, turns, angles, errors = [], [], [], [], []
    for backbone in backbones:
        noisy, predicted = backbone.trajectory  # type: ignore[misc]
        x = torch.cat((noisy.translations, predicted.translations[-1:]))
        q = torch.cat((noisy.quaternions, predicted.quaternions[-1:]))
        ways.append((x[1:] - x[:-1]).norm(dim=-1).sum(dim=0))
        distances.append((x[-1] - x[0]).norm(dim=-1))
        turns.append(_angle(q[:-1], q[1:]).sum(dim=0))
        angles.append(_angle(q[0], q[-1]))
        errors.append((predicted.translations - predicted.translations[-1]).square().sum(dim=-1).mean(dim=0))
    return BackboneStraightness(
        detour=_excess(ways, distances),
        turning_detour=_excess(turns, angles),
        wandering=float(torch.cat(errors).mean().sqrt()),
    )


def _angle(first: Tensor, second: Tensor) -> Tensor:
    return quaternions.relative_rotation_vector(first, second).norm(dim=-1)


def _excess(ways: list[Tensor], distances: list[Tensor]) -> float:
    return float(torch.cat(ways).sum() / torch.cat(distances).sum() - 1)
