"""Rewards: they count what they say on ideal structures, know no place and no padding, and mistakes are named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import random_motion
from helicell.core.errors import InputError
from helicell.protein.conditioning.rewards import REWARDS, UserReward, balance, compactness, contacts, helix, strand
from helicell.protein.conditioning.rewards import parse_rewards as parse
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames, frames_from_backbone
from helicell.protein.structures import read_chains


def ideal(rise: float, turn: float, radius: float, count: int = 20) -> tuple[Frames, torch.Tensor]:
    """Return CA atoms on a helix with identity orientations, and their mask."""
    k = torch.arange(count)
    angle = torch.deg2rad(turn * k)
    x = torch.stack((radius * angle.cos(), radius * angle.sin(), rise * k), dim=-1)[None]
    q = torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4)
    return Frames(x, q), torch.ones(1, count, dtype=torch.bool)


ALPHA = (1.5, 100.0, 2.3)
BETA = (3.3, 190.0, 0.9)


def test_helices_and_strands_are_told_apart() -> None:
    """Sixteen residues of twenty start five of an alpha helix, or of a strand; the other reward sees next to none."""
    assert 15 < float(helix(*ideal(*ALPHA))) <= 16
    assert float(strand(*ideal(*ALPHA))) < 0.1
    assert 14 < float(strand(*ideal(*BETA))) <= 16
    assert float(helix(*ideal(*BETA))) < 0.1
    assert float(balance(*ideal(*ALPHA))) == pytest.approx(-(16**2) / 20, rel=0.1)


def test_real_chains_have_about_their_natural_size_and_as_many_contacts_as_counted(globin: Path) -> None:
    """A globin's radius is natural to a tenth; soft contacts lie between the numbers within 7 and within 9 A."""
    coordinates = torch.from_numpy(read_chains(globin)[0].coordinates)[None]
    frames, mask = frames_from_backbone(coordinates), torch.ones(coordinates.shape[:2], dtype=torch.bool)
    assert float(compactness(frames, mask)) == pytest.approx(-coordinates.shape[1], rel=0.1)
    ca = coordinates[0, :, 1].numpy()
    apart = np.subtract.outer(np.arange(len(ca)), np.arange(len(ca))) >= 6
    distances = np.linalg.norm(ca[:, None] - ca[None], axis=-1)[apart]
    assert np.sum(distances < 7) < float(contacts(frames, mask)) < np.sum(distances < 9)


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_know_no_place_and_no_padding(name: str) -> None:
    """Moved or padded chains have the same reward, and padding has no gradient."""
    mask = torch.arange(20) < torch.tensor([[20], [14]])
    frames = noise_frames(mask, scale=6.0, generator=torch.Generator().manual_seed(3))
    reward = REWARDS[name]
    values = reward(frames, mask)
    moved = frames.moved(*random_motion())
    torch.testing.assert_close(reward(moved, mask), values, rtol=1e-3, atol=1e-3)
    alone = Frames(frames.translations[1:, :14], frames.quaternions[1:, :14])
    torch.testing.assert_close(reward(alone, mask[1:, :14]), values[1:], rtol=1e-5, atol=1e-5)
    x = moved.translations.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(Frames(x, moved.quaternions), mask).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient[1, 14:] == 0).all()


def test_weights_add_up(tmp_path: Path) -> None:
    """A sum of rewards is the sum; a function from a file takes its part, and sees N, CA, C and O."""
    (tmp_path / "mine.py").write_text("def height(x, mask):\n    return (x[:, :, 1, 2] * mask).sum(dim=1)\n")
    frames, mask = ideal(*ALPHA)
    reward = parse(["helix=2", "contacts", f"{tmp_path / 'mine.py'}:height=0.5"])
    expected = 2 * helix(frames, mask) + contacts(frames, mask) + 0.5 * frames.translations[..., 2].sum(dim=1)
    torch.testing.assert_close(reward(frames, mask), expected)
    assert parse([]) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("helxi", "unknown reward 'helxi' .did you mean 'helix'"),
        ("helix=much", "weight of the reward helix is 'much'"),
        ("helix=nan", "weight of the reward helix is 'nan'"),
        ("no_such_module:reward", "cannot be imported"),
        ("math:pi", "no function"),
        ("absent.py:reward", "does not exist"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    """Unknown names, weights that are no numbers, and functions that are none."""
    with pytest.raises(InputError, match=said):
        parse([text])


def test_a_function_that_returns_the_wrong_shape_is_refused() -> None:
    """One number a backbone, no more and no fewer."""
    frames, mask = ideal(*ALPHA)
    with pytest.raises(InputError, match="one number a backbone"):
        UserReward("mine", lambda x, mask: x)(frames, mask)
