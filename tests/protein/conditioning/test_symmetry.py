"""Point groups: they are groups of the right order; copies are laid out exactly, whatever pads a batch."""

import pytest
import torch
from scipy.spatial.transform import Rotation

from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.conditioning.symmetry import Copies, parse_symmetry
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames

ORDERS = {"C2": 2, "C3": 3, "C7": 7, "D2": 4, "D3": 6, "D5": 10, "T": 12, "O": 24, "I": 60}


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_groups_are_groups(name: str, order: int) -> None:
    """The identity comes first, all rotations differ, and any product of two is one of them."""
    rotations = parse_symmetry(name).rotations
    assert len(rotations) == order
    torch.testing.assert_close(rotations[0], torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))
    products = quaternions.multiply(rotations[:, None], rotations[None])
    near = (products[:, :, None] * rotations).sum(dim=-1).abs() > 1 - 1e-9
    assert (near.sum(dim=-1) == 1).all()


@pytest.mark.parametrize(("name", "group"), [("T", "T"), ("O", "O"), ("I", "I"), ("C6", "C6"), ("D3", "D3")])
def test_groups_have_the_angles_of_those_of_scipy(name: str, group: str) -> None:
    """Sorted, the angles of rotation are those of SciPy's group of the same name."""
    own = torch.rad2deg(2 * parse_symmetry(name).rotations[:, 0].abs().clamp(max=1).acos()).sort().values
    other = torch.from_numpy(Rotation.create_group(group).magnitude()).rad2deg().sort().values
    torch.testing.assert_close(own, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", ["", "C1", "C0", "D1", "X", "C", "C3v", "C-3", "T2", "٣"])
def test_unknown_groups_are_refused(text: str) -> None:
    """Anything but a group of rotations is an error that lists them."""
    with pytest.raises(InputError, match="unknown symmetry"):
        parse_symmetry(text)


def test_too_many_copies_are_refused() -> None:
    """A file has letters for sixty chains."""
    with pytest.raises(InputError, match="62 copies; 60 is the most"):
        parse_symmetry("D31")


def chains(lengths: list[int]) -> tuple[Frames, torch.Tensor]:
    """Return random chains of these lengths, padded."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return noise_frames(mask, scale=5.0, generator=torch.Generator().manual_seed(0)), mask


def test_copies_are_rotations_of_the_first_chain() -> None:
    """In a padded batch, copy k of each chain is the chain turned by rotation k, and padding stands at the end."""
    frames, mask = chains([5, 3])
    symmetry = parse_symmetry("D2")
    copies = Copies.of(symmetry, mask)
    whole = copies.expanded(frames)
    for row, length in enumerate((5, 3)):
        assert copies.mask[row].tolist() == [True] * (4 * length) + [False] * (20 - 4 * length)
        for k, rotation in enumerate(symmetry.rotations.float()):
            part = slice(k * length, (k + 1) * length)
            own = Frames(frames.translations[row, :length], frames.quaternions[row, :length])
            turned = own.moved(rotation, torch.zeros(3))
            torch.testing.assert_close(whole.translations[row, part], turned.translations, atol=1e-5, rtol=0)
            torch.testing.assert_close(whole.quaternions[row, part], turned.quaternions, atol=1e-6, rtol=0)
            numbers = copies.index[row, part]
            assert (numbers.diff() == 1).all()
            assert k == 0 or numbers[0] - copies.index[row, k * length - 1] > 100
    first = copies.first(whole)
    torch.testing.assert_close(first.translations, frames.translations, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "free"), [("C3", 2), ("D2", 0), ("T", 0)])
def test_centring_moves_along_the_axis_only(name: str, free: int) -> None:
    """About one axis a chain keeps its distance from it; with several it stays where it is. The whole is centred."""
    frames, mask = chains([6, 4])
    symmetry = parse_symmetry(name)
    x = symmetry.centred(frames.translations + torch.tensor([4.0, 5.0, 6.0]) * mask[..., None], mask)
    moved = (x - frames.translations)[mask]
    if free:
        torch.testing.assert_close(moved[:, :2], torch.tensor([[4.0, 5.0]]).expand(len(moved), 2), atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(moved, torch.tensor([[4.0, 5.0, 6.0]]).expand(len(moved), 3), atol=1e-5, rtol=0)
    whole = Copies.of(symmetry, mask).expanded(Frames(x, frames.quaternions)).translations
    torch.testing.assert_close(whole.sum(dim=1), torch.zeros(2, 3), atol=1e-3, rtol=0)
