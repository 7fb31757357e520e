"""The published losses: their values on published predictions, what they vanish for, and what does not count."""

from pathlib import Path

import pytest
import torch

from backbones import random_batch, random_motion
from framediff import PublishedOutputs, quaternion_difference
from helicell.core.spaces import UnitQuaternions, quaternions
from helicell.core.training.archives import TorchArchive
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.configuration import OMEGACONF_NAMES, Configuration
from helicell.protein.published.conversion import weight_records
from helicell.protein.published.losses import framediff_losses
from helicell.protein.published.settings import FrameDiffLossSettings


def test_losses_are_the_published_ones(fixtures_dir: Path) -> None:
    """On the network's own prediction, to 1e-4 relative: each loss of each example, and their sum."""
    folder = fixtures_dir / "framediff-small"
    archive = TorchArchive(folder / "small.ckpt", allowed=OMEGACONF_NAMES)
    network = FrameDiffNetwork(Configuration.from_yaml(folder / "config.yaml").network()).eval()
    network.load_state_dict(archive.tensors(weight_records(archive)))
    outputs = PublishedOutputs(folder / "loss.npz")
    batch, diffused = outputs.batch("")
    with torch.no_grad():
        predicted = network(batch, outputs.known(""), diffused=diffused)[-1]
    true = Frames(outputs["in_trans_1"], outputs["in_rotquats_1"])
    settings = FrameDiffLossSettings(structure_from=float(outputs["aux_loss_t_pass"]))
    losses = framediff_losses(
        predicted, true, batch.frames, batch.mask, batch.times, diffused=diffused, settings=settings
    )
    torch.testing.assert_close(losses.translation, outputs["out_trans_loss"], rtol=1e-4, atol=0)
    torch.testing.assert_close(losses.rotation, outputs["out_rots_quats_vf_loss"], rtol=1e-4, atol=0)
    torch.testing.assert_close(losses.structure, outputs["out_auxiliary_loss"], rtol=1e-4, atol=0)
    torch.testing.assert_close(losses.total, outputs["out_se3_vf_loss"], rtol=1e-4, atol=0)


def test_hand_made_errors() -> None:
    """One coordinate off by a nanometre, or every frame turned by a known angle, at a known time."""
    true = noise_frames(torch.ones(1, 4, dtype=torch.bool), scale=5.0, generator=torch.Generator().manual_seed(0))
    mask, times = torch.ones(1, 4, dtype=torch.bool), torch.full((1, 2), 0.5)
    shifted = true.translations.clone()
    shifted[0, 1, 2] += 10.0
    losses = framediff_losses(Frames(shifted, true.quaternions), true, true, mask, times)
    assert float(losses.translation[0]) == pytest.approx(2.0 * (1 / 0.5) ** 2 / 12, rel=1e-5)
    turn = quaternions.from_rotation_vector(torch.tensor([0.3, 0.0, 0.0]))
    turned = Frames(true.translations, quaternions.multiply(true.quaternions, turn))
    losses = framediff_losses(turned, true, true, mask, times)
    assert float(losses.rotation[0]) == pytest.approx((0.3 / 0.5) ** 2 * 4 / 12, rel=1e-5)
    assert float(losses.structure[0]) == 0  # not later than the time from which it counts
    late = framediff_losses(turned, true, true, mask, times + 0.1)
    # N and C lie off the axis of the turn; only the shift of atoms and their distances count.
    assert 0 < float(late.structure[0]) < 5


def test_the_true_frames_cost_nothing_and_padding_counts_nothing() -> None:
    """Losses vanish at the truth, whatever lies in the padding, and do not notice a motion of everything."""
    batch = random_batch([7, 4])
    true = noise_frames(batch.mask, scale=5.0, generator=torch.Generator().manual_seed(3))
    predicted = Frames(true.translations + 50 * ~batch.mask[..., None], true.quaternions)
    times = torch.full((2, 2), 0.8)
    losses = framediff_losses(predicted, true, batch.frames, batch.mask, times)
    assert float(losses.total.abs().max()) < 1e-8
    q, shift = random_motion()
    guess = noise_frames(batch.mask, scale=5.0, generator=torch.Generator().manual_seed(4))
    settings = FrameDiffLossSettings(largest=1e9)
    plain = framediff_losses(guess, true, batch.frames, batch.mask, times, settings=settings)
    moved = framediff_losses(
        *(one.moved(q, shift) for one in (guess, true, batch.frames)), batch.mask, times, settings=settings
    )
    torch.testing.assert_close(plain.total, moved.total, rtol=1e-4, atol=1e-4)


def test_given_residues_do_not_count_and_large_losses_are_cut() -> None:
    """An error in a fixed residue leaves translations and rotations alone; far-off predictions cost at most five."""
    batch = random_batch([6])
    diffused = batch.mask.clone()
    diffused[0, 2] = False
    wrong = batch.frames.translations.clone()
    wrong[0, 2] += 100.0
    times = torch.full((1, 2), 0.3)
    fixed = framediff_losses(
        Frames(wrong, batch.frames.quaternions), batch.frames, batch.frames, batch.mask, times, diffused=diffused
    )
    assert float(fixed.translation[0]) == 0
    free = framediff_losses(Frames(wrong, batch.frames.quaternions), batch.frames, batch.frames, batch.mask, times)
    assert float(free.translation[0]) == 5


def test_conversions_and_geodesics_are_the_published_ones(fixtures_dir: Path) -> None:
    """Slerp (also beyond its end, and of nearly opposite quaternions), rotation vectors and matrices, to 1e-5."""
    table = PublishedOutputs(fixtures_dir / "framediff-small" / "so3.npz")
    space = UnitQuaternions()
    ends = {"slerp": table["q1"], "slerp_pi": table["qpi"]}
    for name, end in ends.items():
        assert quaternion_difference(space.geodesic(table["q0"], end, table["t"]), table[name]) < 1e-5
    beyond = space.geodesic(table["q0"], table["q1"], torch.full((64,), 1.1))
    assert quaternion_difference(beyond, table["slerp_extrap"]) < 1e-5
    for name, end in {"omega": table["q1"], "omega_pi": table["qpi"], "matlog_vf": table["q1"]}.items():
        vector = quaternions.relative_rotation_vector(table["q0"], end)
        torch.testing.assert_close(vector, table[name], atol=1e-5, rtol=0)
    torch.testing.assert_close(quaternions.to_matrix(table["q0"]), table["rot_q0"], atol=1e-6, rtol=0)
    assert quaternion_difference(quaternions.from_matrix(table["rot_q0"]), table["back"]) < 1e-5
