"""Frames of residues: exact inverses of each other, true to real chains, moved by rigid motions as they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import frames_distance, random_motion
from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.chains.sources import open_source
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames, backbone_from_frames, centred, frames_from_backbone, place_atom


def noise(residues: int = 30) -> Frames:
    """Return two chains of random frames."""
    return noise_frames(
        torch.ones(2, residues, dtype=torch.bool), scale=10.0, generator=torch.Generator().manual_seed(0)
    )


def test_atoms_and_back() -> None:
    """Ideal atoms of any frames give the frames back."""
    frames = noise()
    translations, angles = frames_distance(frames_from_backbone(backbone_from_frames(frames)), frames)
    assert translations < 1e-4
    assert angles < 1e-4


def test_real_backbones_survive_idealisation(data_dir: Path) -> None:
    """On real chains ideal atoms lie within 0.1 A of the true ones on average, the oxygen within 0.25 A."""
    errors = []
    for _, item in zip(range(50), open_source(str(data_dir / "proteins" / "backbones.npz")), strict=False):
        coordinates = torch.from_numpy(np.ascontiguousarray(item.chains[0].coordinates))
        atoms = backbone_from_frames(frames_from_backbone(coordinates))
        errors.append((atoms - coordinates)[:-1].norm(dim=-1).mean(dim=0))
    n, ca, c, o = torch.stack(errors).mean(dim=0).tolist()
    assert ca == 0
    assert max(n, c) < 0.1
    assert o < 0.25


def test_motions_commute_with_atoms() -> None:
    """Moving frames moves their atoms rigidly."""
    frames, (q, t) = noise(), random_motion()
    moved = backbone_from_frames(frames.moved(q, t))
    expected = quaternions.rotate(q.expand(*moved.shape[:-1], 4), backbone_from_frames(frames)) + t
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)


def test_centring_ignores_padding() -> None:
    """The mean of the residues that are there becomes zero, padding stays at zero."""
    mask = torch.arange(8) < torch.tensor([[5], [8]])
    frames = centred(Frames(torch.randn(2, 8, 3) + 4, noise(8).quaternions), mask)
    torch.testing.assert_close(frames.translations.sum(dim=1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    assert (frames.translations[0, 5:] == 0).all()


@pytest.mark.parametrize("torsion", [-3.0, -1.0, 0.0, 2.0])
def test_placed_atoms_have_the_asked_geometry(torsion: float) -> None:
    """Bond, angle and torsion measured on a placed atom are those asked for."""
    a, b, c = torch.randn(3, 10, 3, dtype=torch.float64)
    d = place_atom(a, b, c, length=1.33, angle=2.0, torsion=torsion)
    u, v, w = b - a, c - b, d - c
    torch.testing.assert_close(w.norm(dim=-1), torch.full((10,), 1.33, dtype=torch.float64))
    torch.testing.assert_close(
        torch.acos(torch.nn.functional.cosine_similarity(-v, w)), torch.full((10,), 2.0).double()
    )
    n, m = torch.linalg.cross(u, v), torch.linalg.cross(v, w)
    measured = torch.atan2((torch.linalg.cross(n, m) * v).sum(-1) / v.norm(dim=-1), (n * m).sum(-1))
    torch.testing.assert_close(measured, torch.full((10,), torsion, dtype=torch.float64))


def test_wrong_shapes_are_refused() -> None:
    """CA-only coordinates get an error that names the shape."""
    with pytest.raises(InputError, match=r"\(5, 1, 3\)"):
        frames_from_backbone(torch.zeros(5, 1, 3))
