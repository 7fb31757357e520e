"""Bonds, angles, dihedrals and clashes of backbones built with known ones."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from helicell.protein.evaluation import geometry

DIHEDRALS = [(-60.0, -45.0), (-135.0, 135.0), (55.0, 45.0), (-75.0, 150.0), (179.0, -179.0), (-90.0, 0.0)]


def test_ideal_backbones_have_the_geometry_they_were_built_with(ideal: Callable[..., NDArray]) -> None:
    """Bond lengths, angles and all three dihedrals come back; what has no neighbour is NaN."""
    coordinates = ideal(DIHEDRALS)
    phi, psi, omega = geometry.backbone_dihedrals(coordinates).T
    np.testing.assert_allclose(np.rad2deg(phi[1:]), [phi for phi, _ in DIHEDRALS[1:]], atol=1e-6)
    np.testing.assert_allclose(np.rad2deg(psi[:-1]), [psi for _, psi in DIHEDRALS[:-1]], atol=1e-6)
    np.testing.assert_allclose(np.abs(np.rad2deg(omega[:-1])), 180, atol=1e-6)
    assert np.isnan([phi[0], psi[-1], omega[-1]]).all()
    np.testing.assert_allclose(geometry.peptide_bonds(coordinates), 1.329)
    np.testing.assert_allclose(np.rad2deg(geometry.n_ca_c_angles(coordinates)), 111.0)
    # Over a trans peptide bond of ideal geometry, CA atoms are 3.80 A apart.
    np.testing.assert_allclose(geometry.ca_distances(coordinates), 3.80, atol=0.02)


def test_a_cis_peptide_is_planar_and_short(ideal: Callable[..., NDArray]) -> None:
    """Omega is zero and the CA atoms are under 3 A apart, outside of the range of trans peptides."""
    coordinates = ideal(DIHEDRALS, omega=0.0)
    np.testing.assert_allclose(geometry.backbone_dihedrals(coordinates)[:-1, 2], 0, atol=1e-6)
    assert (geometry.ca_distances(coordinates) < 3.0).all()
    assert geometry.within(geometry.ca_distances(coordinates), geometry.CA_CA_RANGE) == 0


def test_dihedrals_are_those_of_biotite(globins: list) -> None:
    """On a crystal chain an independent implementation gives the same angles."""
    from biotite.structure import dihedral

    coordinates = globins[0].coordinates.astype(np.float64)
    first, second = coordinates[:-1], coordinates[1:]
    theirs = dihedral(first[:, 2], second[:, 0], second[:, 1], second[:, 2])
    np.testing.assert_allclose(geometry.backbone_dihedrals(coordinates)[1:, 0], theirs, atol=1e-5)


@pytest.mark.parametrize(("distance", "separation", "expected"), [(2.9, 3, 1), (3.1, 3, 0), (2.9, 2, 0), (0.0, 9, 1)])
def test_ca_clashes_are_near_pairs_of_distant_residues(distance: float, separation: int, expected: int) -> None:
    """Under 3.0 A and more than two residues apart: both conditions at their edges."""
    ca = 10.0 * np.arange(12)[:, None] * np.array([1.0, 0, 0])
    ca[separation] = ca[0] + np.array([0, distance, 0])
    assert geometry.count_ca_clashes(ca) == expected


@pytest.mark.parametrize(
    ("one", "other", "limit"),
    [
        ("N", "O", 2.4),
        ("C", "O", 2.5),
        ("CA", "CA", 2.8),
        ("CA", "C", 2.8),
        ("N", "N", 2.4),
        ("O", "O", 2.4),
        ("N", "CA", 2.6),
    ],
)
@pytest.mark.parametrize("separation", [1, 2, 5])
def test_backbone_clashes_know_their_elements(one: str, other: str, limit: float, separation: int) -> None:
    """Two atoms just inside the limit of their elements clash, but not those of neighbours."""
    atoms = ["N", "CA", "C", "O"]
    apart = 100.0 * np.arange(8)[:, None, None] * np.array([1.0, 0, 0]) + 20.0 * np.arange(4)[:, None] * np.array(
        [0, 1.0, 0]
    )
    for distance, counted in ((limit - 0.05, separation > 1), (limit + 0.05, False)):
        coordinates = apart.copy()
        coordinates[separation, atoms.index(other)] = coordinates[0, atoms.index(one)] + np.array([0, 0, distance])
        assert geometry.count_backbone_clashes(coordinates) == int(counted)


def test_hydrogen_bonds_and_helices_are_no_clashes(helix: NDArray) -> None:
    """The closest contacts of an ideal helix, its hydrogen bonds among them, are all allowed."""
    assert geometry.count_backbone_clashes(helix) == 0
    assert geometry.count_ca_clashes(helix[:, 1]) == 0


def test_the_radius_of_gyration_of_a_rod() -> None:
    """A long rod of length L has a radius of L / sqrt(12)."""
    rod = np.linspace(0, 120, 4001)[:, None] * np.array([0.6, 0.0, 0.8])
    assert geometry.radius_of_gyration(rod) == pytest.approx(120 / np.sqrt(12), rel=1e-3)


def test_nothing_breaks_no_limit() -> None:
    """Of no values all are within; the ends of a range belong to it."""
    assert geometry.within(np.array([]), (1, 2)) == 1
    assert geometry.within(np.array([1.0, 2.0, 2.1, 0.9]), (1, 2)) == 0.5
