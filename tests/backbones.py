"""Random frames for the tests of networks, flows and sampling, and how far two of them are apart."""

import torch

from helicell.core.spaces import quaternions
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames
from helicell.protein.networks.compact import FramesBatch
from helicell.protein.settings import NetworkSettings

SMALL = NetworkSettings(
    width=32, pair_width=16, time_width=16, blocks=2, heads=2, head_width=8, query_points=4, value_points=4
)


def random_batch(lengths: list[int], *, seed: int = 0, padded: int | None = None) -> FramesBatch:
    """Return noise frames of chains of these lengths, padded, at random times."""
    mask = torch.arange(padded or max(lengths)) < torch.tensor(lengths)[:, None]
    generator = torch.Generator().manual_seed(seed)
    times = torch.rand(len(lengths), 2, generator=generator)
    index = torch.arange(mask.shape[1]).expand(mask.shape)
    return FramesBatch(noise_frames(mask, scale=8.0, generator=generator), mask, index, times)


def random_motion(seed: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random rotation and a translation of some 30 Angstrom."""
    generator = torch.Generator().manual_seed(seed)
    return quaternions.random_quaternions((), generator=generator), 30 * torch.randn(3, generator=generator)


def frames_distance(one: Frames, other: Frames) -> tuple[float, float]:
    """Return the greatest distance of translations (Angstrom) and the greatest angle of rotations (radian)."""
    angles = quaternions.relative_rotation_vector(one.quaternions, other.quaternions).norm(dim=-1)
    away = (one.translations - other.translations).norm(dim=-1)
    return float(away.detach().max()), float(angles.detach().max())
