"""Agreement of a predicted structure with its backbone: SciPy as the oracle, and the laws of superposition."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from helicell.core.errors import InputError
from helicell.protein.evaluation.self_consistency import agreement, overlay, share_interval, summarise_agreement


@pytest.fixture
def backbone() -> NDArray[np.float64]:
    """Return CA atoms of a walk with steps of 3.8 A."""
    steps = np.random.default_rng(3).normal(size=(60, 3)) + np.array([0.4, 0.0, 0.0])
    return np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)


def moved(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return points after a random rotation and shift."""
    return Rotation.random(rng=np.random.default_rng(seed)).apply(points) + np.array([30.0, -5.0, 2.0])


def test_rmsd_and_mean_displacement_against_scipy(backbone: NDArray[np.float64]) -> None:
    """The RMSD is SciPy's; the mean distance is taken after the same superposition, and is the smaller figure."""
    predicted = moved(backbone + np.random.default_rng(5).normal(scale=1.5, size=backbone.shape), seed=1)
    centred = [points - points.mean(axis=0) for points in (backbone, predicted)]
    rotation, distance = Rotation.align_vectors(*centred)
    distances = np.linalg.norm(rotation.apply(centred[1]) - centred[0], axis=1)
    found = agreement(backbone, predicted)
    assert found.rmsd == pytest.approx(distance / np.sqrt(len(backbone)), abs=1e-9)
    assert found.mean_displacement == pytest.approx(distances.mean(), abs=1e-9)
    assert found.mean_displacement < found.rmsd


def test_agreement_is_that_of_shapes(backbone: NDArray[np.float64]) -> None:
    """A moved copy agrees entirely; the figures do not change with a motion; a mirror image is another shape."""
    same = agreement(backbone, moved(backbone, seed=2))
    assert (same.rmsd, same.mean_displacement) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert same.tm_score == pytest.approx(1, abs=1e-4)
    predicted = backbone + np.random.default_rng(6).normal(scale=2, size=backbone.shape)
    one, other = agreement(backbone, predicted), agreement(moved(backbone, 3), moved(predicted, 4))
    assert other.rmsd == pytest.approx(one.rmsd, abs=1e-9)
    assert other.tm_score == pytest.approx(one.tm_score, abs=1e-3)
    assert agreement(backbone, backbone * [1, 1, -1]).rmsd > 2
    with pytest.raises(InputError, match="59 residues was given for a backbone of 60"):
        agreement(backbone, backbone[1:])


def test_overlay_takes_all_atoms_along(backbone: NDArray[np.float64]) -> None:
    """Atoms of a moved copy come back to where they were, whatever their number of dimensions."""
    atoms = backbone[:, None] + np.random.default_rng(7).normal(size=(60, 4, 3))
    copy = moved(atoms.reshape(-1, 3), seed=5).reshape(atoms.shape)
    assert overlay(backbone, moved(backbone, seed=5), copy) == pytest.approx(atoms, abs=1e-9)


def test_shares_have_wilsons_interval() -> None:
    """The closed form of Wilson's interval; it holds none and all of the samples too."""
    for count, total in (0, 20), (7, 20), (20, 20):
        share, z = count / total, 1.959963984540054
        centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
        half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
        assert share_interval(count, total) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_summary_by_hand() -> None:
    """Four backbones whose shares and means are counted by hand; the two kinds of distance are told apart."""
    table = pd.DataFrame({
        "rmsd": [1.0, 2.0, 3.0, 1.8],
        "mean_displacement": [0.9, 1.8, 2.5, 1.6],
        "tm_score": [0.9, 0.5, 0.4, 0.8],
        "plddt": [90.0, 80.0, 60.0, 70.0],
    })  # fmt: skip
    figures = summarise_agreement(table)
    assert (figures["backbones"], figures["designable"], figures["designable_by_mean_displacement"]) == (4, 0.5, 0.75)
    assert figures["same_fold"] == 0.5
    assert figures["plddt"]["mean"] == 75
    assert figures["plddt"]["deviation"] == pytest.approx(np.std([90, 80, 60, 70], ddof=1))
    assert summarise_agreement(table, threshold=1.5)["designable"] == 0.25
