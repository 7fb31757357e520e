"""Every measure passes real chains and fails broken ones, and none changes under rigid motions."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from helicell.protein.evaluation import ReferenceProfile, geometry
from helicell.protein.evaluation.measures import measure_chain
from helicell.protein.structures import Chain


def measure(coordinates: np.ndarray) -> dict[str, float]:
    """Measure a backbone with the profile of the package."""
    profile = ReferenceProfile.shipped()
    chain = Chain("x", coordinates.astype(np.float32), "A" * len(coordinates), "C" * len(coordinates))
    law = profile.radius_law.mean(len(coordinates))
    return measure_chain(chain, ramachandran=profile.ramachandran, natural_rg=law)


def test_real_chains_pass(natural: list[Chain]) -> None:
    """Nearly all bonds, angles and contacts of forty real chains are valid, and their size and structure natural."""
    rows = [measure(chain.coordinates) for chain in natural]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    assert mean["ca_ca_valid"] > 0.99
    assert mean["c_n_valid"] > 0.995
    assert mean["n_ca_c_valid"] > 0.99
    assert mean["omega_planar"] > 0.99
    assert mean["phi_psi_outliers"] < 0.01
    assert mean["clash_free"] == 1
    assert mean["backbone_clash_free"] > 0.9
    assert mean["rg_within_20"] == 1
    assert mean["rg_ratio_to_natural"] == pytest.approx(1, abs=0.05)
    assert mean["helix"] + mean["strand"] > 0.5
    assert mean["helix"] + mean["strand"] + mean["coil"] == pytest.approx(1)


def stretch(coordinates: np.ndarray) -> np.ndarray:
    """Draw the second half away by 2 A at one bond."""
    moved = coordinates.copy()
    moved[len(moved) // 2 :] += 2.0 * np.sign(moved[len(moved) // 2, 1] - moved[len(moved) // 2 - 1, 1])
    return moved


def fold_onto_itself(coordinates: np.ndarray) -> np.ndarray:
    """Lay the last ten residues over the first ten."""
    moved = coordinates.copy()
    moved[-10:] = moved[:10] + 0.8
    return moved


def mirror(coordinates: np.ndarray) -> np.ndarray:
    """Turn into the mirror image, with helices of the wrong hand."""
    return coordinates * np.array([1.0, 1.0, -1.0])


def swell(coordinates: np.ndarray) -> np.ndarray:
    """Blow up by a third."""
    return coordinates * 1.33


def bend(coordinates: np.ndarray) -> np.ndarray:
    """Move every N by 0.6 A across its bonds."""
    moved = coordinates.copy()
    moved[:, 0] += 0.6
    return moved


def shake(coordinates: np.ndarray) -> np.ndarray:
    """Move every atom at random by 0.7 A."""
    return coordinates + np.random.default_rng(0).normal(size=coordinates.shape, scale=0.7)


BREAKS = {
    "ca_ca_valid": (stretch, lambda row, good: row["ca_ca_valid"] < good["ca_ca_valid"]),
    "c_n_valid": (stretch, lambda row, good: row["c_n_valid"] < good["c_n_valid"]),
    "n_ca_c_valid": (bend, lambda row, _: row["n_ca_c_valid"] < 0.8),
    "omega_planar": (shake, lambda row, _: row["omega_planar"] < 0.8),
    "phi_psi_outliers": (mirror, lambda row, _: row["phi_psi_outliers"] > 0.03),
    "clash_free": (fold_onto_itself, lambda row, _: row["clash_free"] == 0 and row["ca_clashes"] >= 8),
    "backbone_clash_free": (fold_onto_itself, lambda row, _: row["backbone_clash_free"] == 0),
    "rg_within_20": (swell, lambda row, _: row["rg_within_20"] == 0),
    "helix": (shake, lambda row, good: row["helix"] + row["strand"] < 0.5 * (good["helix"] + good["strand"])),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_chains_fail(natural: list[Chain], name: str) -> None:
    """What each measure is there to find, it finds in at least nine chains of ten."""
    damage, fails = BREAKS[name]
    failed = [fails(measure(damage(c.coordinates.astype(float))), measure(c.coordinates)) for c in natural[:20]]
    assert np.mean(failed) >= 0.9


def test_measures_do_not_change_under_rigid_motions(natural: list[Chain]) -> None:
    """Turning and moving a chain changes nothing."""
    turn = Rotation.random(random_state=0).as_matrix()
    for chain in natural[:5]:
        moved = chain.coordinates.astype(float) @ turn.T + np.array([30.0, -20.0, 5.0])
        before, after = measure(chain.coordinates.astype(float)), measure(moved)
        for name, value in before.items():
            assert after[name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (geometry.ca_distances, [3.8, 3.8, 3.8]),
        (geometry.peptide_bonds, [np.hypot(2.2, 1.5)] * 3),
        (geometry.n_ca_c_angles, [np.pi / 2] * 4),
        (lambda c: [geometry.radius_of_gyration(c[:, 1])], [3.8 * np.sqrt(1.25)]),
    ],
)
def test_geometry_of_a_ladder(function: Callable, expected: list[float]) -> None:
    """Four residues on a straight line, computed by hand."""
    ca = 3.8 * np.arange(4.0)[:, None] * np.array([1.0, 0, 0])
    coordinates = ca[:, None] + np.array([[0.0, 1.5, 0], [0, 0, 0], [1.6, 0, 0], [1.6, 1.2, 0]])
    np.testing.assert_allclose(function(coordinates), expected, atol=1e-9)
