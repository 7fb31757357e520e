"""Motifs: the right residues of a file, placed by the best superposition; what cannot be cut or bridged is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from backbones import frames_distance, random_motion
from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.conditioning.contigs import parse_contig
from helicell.protein.conditioning.motifs import MotifReward, motif_places, put, read_motif, rmsd, superposed, taken
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.structures import read_residues


def test_residues_are_those_of_the_file(globin: Path) -> None:
    """Labels, letters and coordinates are those under these numbers, in the order of the contig."""
    motif = read_motif(globin, parse_contig("5/B10-14/5-30/A30-33/3"))
    assert motif.labels == ("B10", "B11", "B12", "B13", "B14", "A30", "A31", "A32", "A33")
    residues = read_residues(globin)
    for row, label in enumerate(motif.labels):
        place = np.flatnonzero((residues.chain == label[0]) & (residues.number == label[1:]))[0]
        assert motif.sequence[row] == residues.letters[place]
        np.testing.assert_array_equal(motif.coordinates[row], residues.coordinates[place])


@pytest.mark.parametrize(
    ("contig", "said"),
    [
        ("5/Z1-4/5", "has no chain Z, which the contig names; it has: A, B,"),
        ("5/A140-160/5", "chain A of .* has no residue 160 .*; it has 5-151"),
        ("A25-40/5/A38-50", "holds residue A38 twice"),
        ("A25-30/1/A60-70", "which 1 residues cannot bridge; allow"),
        ("A25-30/A60-70", "A30 and A60 are no neighbours"),
    ],
)
def test_what_the_file_lacks_or_no_chain_could_do_is_refused(globin: Path, contig: str, said: str) -> None:
    """One line each: an unknown chain, a missing residue, one twice, a gap too short, pieces that do not touch."""
    with pytest.raises(InputError, match=said) as caught:
        read_motif(globin, parse_contig(contig))
    assert "\n" not in str(caught.value)


def test_a_residue_missing_inside_a_piece_is_named(globin: Path, tmp_path: Path) -> None:
    """A gap in the numbers of the file is no part of a motif; the message shows where the gaps are."""
    lines = [line for line in globin.read_text().splitlines() if line[21:26] not in ("A  30", "A  31")]
    (tmp_path / "gap.pdb").write_text("\n".join(lines))
    with pytest.raises(InputError, match="has no residue 30 with N, CA and C; it has 5-29, 32-151"):
        read_motif(tmp_path / "gap.pdb", parse_contig("5/A25-40/5"))


def test_pieces_that_are_neighbours_need_nothing_between_them(globin: Path) -> None:
    """A stretch cut in two is still a stretch."""
    assert read_motif(globin, parse_contig("A25-30/A31-40")).labels[5:7] == ("A30", "A31")


@given(st.integers(0, 2**31), st.integers(1, 30))
def test_superposition_is_that_of_scipy(seed: int, points: int) -> None:
    """Rotation and error agree with SciPy's, for any two sets of points, mirror images among them."""
    generator = torch.Generator().manual_seed(seed)
    mobile, fixed = torch.randn(2, 1, 3 * points, 3, generator=generator, dtype=torch.float64)
    q, t = superposed(mobile, fixed)
    assert float(q.norm()) == pytest.approx(1)
    moved = quaternions.rotate(q[:, None].expand(-1, 3 * points, -1), mobile) + t[:, None]
    centred = [(x - x.mean(dim=1, keepdim=True))[0].numpy() for x in (mobile, fixed)]
    _, expected = Rotation.align_vectors(centred[1], centred[0])
    assert float((moved - fixed).norm()) == pytest.approx(expected, abs=1e-6)


def test_a_moved_motif_is_found_where_it_is(globin: Path) -> None:
    """The motif is placed exactly onto itself after any motion, and the reward there is zero."""
    motif = read_motif(globin, parse_contig("A25-40"))
    moved = motif.frames.moved(*random_motion())
    here = Frames(moved.translations[None], moved.quaternions[None])
    translations, angles = frames_distance(motif.placed(here), here)
    assert translations < 1e-4
    assert angles < 1e-3
    places = torch.arange(16)[None]
    reward = MotifReward(motif, places)(here, torch.ones(1, 16, dtype=torch.bool))
    assert float(reward) == pytest.approx(0, abs=1e-6)


def test_the_reward_knows_no_place_and_its_gradient_points_to_the_motif(globin: Path) -> None:
    """It is the same for a moved chain, and small steps up its gradient bring the motif nearer."""
    motif = read_motif(globin, parse_contig("A25-40"))
    mask = torch.ones(2, 30, dtype=torch.bool)
    frames = noise_frames(mask, scale=8.0, generator=torch.Generator().manual_seed(1))
    places = torch.stack((torch.arange(16), torch.arange(10, 26)))
    reward = MotifReward(motif, places)
    before = reward(frames, mask)
    torch.testing.assert_close(reward(frames.moved(*random_motion()), mask), before, rtol=1e-3, atol=0)
    x = frames.translations.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(Frames(x, frames.quaternions), mask).sum(), x)
    after = reward(Frames(frames.translations + 0.1 * gradient, frames.quaternions), mask)
    assert (after > before).all()
    assert (gradient[0, 16:] == 0).all()


def test_taking_and_putting_frames_are_inverse() -> None:
    """What is put at some places is taken from there, and the others keep what they had."""
    mask = torch.ones(2, 9, dtype=torch.bool)
    one, other = (noise_frames(mask, scale=5.0, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    places = torch.tensor([[0, 4, 8], [2, 3, 5]])
    mixed = put(one, places, taken(other, places))
    torch.testing.assert_close(taken(mixed, places).translations, taken(other, places).translations)
    rest = torch.tensor([[1, 2, 3], [0, 1, 8]])
    torch.testing.assert_close(taken(mixed, rest).quaternions, taken(one, rest).quaternions)


def test_places_count_the_gaps() -> None:
    """Pieces of 2 and 3 residues with gaps of 4, 1 and 5 stand at 4, 5 and 7, 8, 9."""
    assert motif_places([4, 1, 5], [2, 3]).tolist() == [4, 5, 7, 8, 9]


def test_rmsd_is_zero_for_moved_points_and_right_for_a_known_case() -> None:
    """Two atoms 2 A apart on atoms 4 A apart: each is off by 1 A."""
    x = np.random.default_rng(0).normal(size=(7, 3))
    turned = x @ Rotation.random(random_state=1).as_matrix().T + 5
    assert rmsd(turned, x) == pytest.approx(0, abs=1e-3)
    assert rmsd(np.array([[0.0, 0, 0], [2, 0, 0]]), np.array([[0.0, 0, 0], [4, 0, 0]])) == pytest.approx(1)


def test_frames_of_a_motif_give_its_atoms_back(globin: Path) -> None:
    """Ideal residues in its frames are within 0.1 A of the real N, CA and C."""
    motif = read_motif(globin, parse_contig("A25-40"))
    atoms = backbone_from_frames(motif.frames).numpy()
    assert rmsd(atoms[:, :3], motif.coordinates[:, :3]) < 0.1
