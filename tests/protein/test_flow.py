"""The flow of backbones: noise, paths and losses obey their laws."""

import pytest
import torch

from backbones import SMALL, frames_distance, random_batch, random_motion
from helicell.core.spaces import quaternions
from helicell.protein.flow import BackboneBatch, BackboneObjective, backbone_path, noise_frames
from helicell.protein.frames import Frames, backbone_from_frames, centred
from helicell.protein.losses import rotation_loss, structure_losses, translation_loss
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.settings import ObjectiveSettings


def test_noise_is_centred_with_the_asked_spread() -> None:
    """Each chain's noise has mean zero over its own residues and `scale` per axis."""
    mask = torch.arange(300) < torch.tensor([[200], [300]])
    noise = noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.translations.sum(dim=1), torch.zeros(2, 3), atol=1e-2, rtol=0)
    assert noise.translations[mask].std().item() == pytest.approx(10, rel=0.05)


def test_paths_are_equivariant() -> None:
    """Moving both ends of a path moves every point of it, to 1e-4."""
    (one, other), (q, t) = (random_batch([20], seed=seed).frames for seed in (1, 2)), random_motion()
    path, times = backbone_path(2.0), torch.tensor([0.6])
    x_t = path.sample(_point(one), _point(other), times).x_t
    moved = path.sample(_point(one.moved(q, t)), _point(other.moved(q, t)), times).x_t
    translations, angles = frames_distance(Frames(*moved), Frames(*x_t).moved(q, t))
    assert translations < 1e-4
    assert angles < 1e-4


def _point(frames: Frames) -> tuple[torch.Tensor, torch.Tensor]:
    return frames.translations, frames.quaternions


def test_losses_vanish_for_the_truth_and_are_invariant() -> None:
    """The truth costs nothing but its own clashes; rigid motions of everything change no loss."""
    true, predicted, noisy = (random_batch([15, 12], seed=seed).frames for seed in (1, 2, 3))
    batch, left = random_batch([15, 12]), torch.tensor([0.3, 0.7])
    args = (batch.index, batch.mask, left)
    assert float(translation_loss(true, true, batch.mask, left).max()) == 0
    assert float(rotation_loss(true, true, noisy, batch.mask, left).max()) == 0
    perfect = structure_losses(true, true, *args)
    assert max(float(perfect["local"].max()), float(perfect["fold"].max())) < 1e-6
    q, t = random_motion()
    moved = [frames.moved(q, t) for frames in (predicted, true)]
    for name, value in structure_losses(predicted, true, *args).items():
        torch.testing.assert_close(structure_losses(*moved, *args)[name], value, atol=1e-3, rtol=1e-3)
    rotated = rotation_loss(moved[0], moved[1], noisy.moved(q, t), batch.mask, left)
    torch.testing.assert_close(rotated, rotation_loss(predicted, true, noisy, batch.mask, left), atol=1e-3, rtol=1e-3)


def test_clash_loss_sees_overlap_only() -> None:
    """A straight strand has no clash; folding it onto itself has."""
    length = 12
    x = torch.zeros(1, length, 3)
    x[0, :, 0] = 3.5 * torch.arange(length)
    frames = Frames(x, torch.tensor([1.0, 0, 0, 0]).expand(1, length, 4))
    mask, index, left = torch.ones(1, length, dtype=torch.bool), torch.arange(length)[None], torch.ones(1)
    assert float(structure_losses(frames, frames, index, mask, left)["clash"]) == 0
    folded = Frames(x.clone(), frames.quaternions)
    folded.translations[0, 6:] = x[0, :6] + torch.tensor([0.0, 1.0, 0.0])
    assert float(structure_losses(folded, frames, index, mask, left)["clash"]) > 0.01


def test_sparse_clashes_equal_all_pairs() -> None:
    """Backbone clashes found among near residues are those found among all pairs of atoms."""
    frames = random_batch([40], seed=8).frames
    frames = Frames(frames.translations * 0.4, frames.quaternions)
    mask, index, left = torch.ones(1, 40, dtype=torch.bool), torch.arange(40)[None], torch.full((1,), 0.5)
    atoms = backbone_from_frames(frames)[0] / 10
    ca_overlap = (0.385 - torch.cdist(atoms[:, 1], atoms[:, 1])).clamp_min(0)
    apart = (index[0][:, None] - index[0]).abs()
    expected = ((ca_overlap * (apart > 2) / 0.5) ** 2).sum() / 40
    polar = atoms[:, (0, 2, 3)].flatten(0, 1)
    far = (apart > 1).repeat_interleave(3, 0).repeat_interleave(3, 1)
    expected = expected + (((0.275 - torch.cdist(polar, polar)).clamp_min(0) * far / 0.5) ** 2).sum() / 40
    torch.testing.assert_close(
        structure_losses(frames, frames, index, mask, left)["clash"], expected[None], rtol=1e-3, atol=1e-4
    )


def test_gradients_of_the_losses_agree_with_finite_differences() -> None:
    """Autograd's gradient of all structural losses and both velocities is that of finite differences."""
    true, noisy, start = (random_batch([6], seed=seed).frames.to(torch.float64) for seed in (1, 2, 3))
    mask, index, left = torch.ones(1, 6, dtype=torch.bool), torch.arange(6)[None], torch.full((1,), 0.4).double()

    def loss(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        q = quaternions.multiply(start.quaternions, quaternions.from_rotation_vector(turn))
        predicted = Frames(x, q)
        structure = structure_losses(predicted, true, index, mask, left)
        velocity = translation_loss(predicted, true, mask, left) + rotation_loss(predicted, true, noisy, mask, left)
        return torch.stack([*structure.values(), velocity]).sum()

    x = (0.5 * start.translations).requires_grad_()
    turn = (
        0.3 * torch.randn(1, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    assert torch.autograd.gradcheck(loss, (x, turn), eps=1e-6, atol=1e-4)


def test_training_on_one_chain_learns_it() -> None:
    """A hundred steps on a helix halve the loss: objective, network and gradients work together."""
    torch.manual_seed(0)
    turn = 1.745 * torch.arange(20.0)
    helix = torch.stack((2.3 * torch.cos(turn), 2.3 * torch.sin(turn), 1.5 * torch.arange(20.0)), dim=-1)
    q = quaternions.from_rotation_vector(torch.stack((0 * turn, 0 * turn, turn), dim=-1))
    mask = torch.ones(4, 20, dtype=torch.bool)
    frames = centred(Frames(helix.expand(4, 20, 3), q.expand(4, 20, 4)), mask)
    batch = BackboneBatch(frames, mask, torch.arange(20).expand(4, 20))
    objective = BackboneObjective(CompactNetwork(SMALL), ObjectiveSettings())
    optimiser = torch.optim.Adam(objective.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(100):
        losses.append(objective(batch, generator)["loss"])
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
