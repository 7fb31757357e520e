"""Is this a possible protein backbone? Bonds, angles, dihedrals, clashes and size, from coordinates alone.

Every function takes the N, CA, C and O atoms of one chain as ``[residues, 4, 3]`` in Angstrom (those that need CA
only say so) and returns radians, Angstrom or counts. The limits that separate good from bad stand here as constants,
each with its reason; `helicell.protein.evaluation.measures` turns them into the columns of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

N, CA, C, O = range(4)  # noqa: E741  (the atoms' own names)

# Consecutive CA atoms over a trans peptide bond lie 3.80 A apart (sd 0.02 in crystals); the range that
# the field uses leaves five times the spread of ideal geometry. A cis bond (2.9-3.0 A, one in 300) falls outside.
CA_CA_RANGE = (3.6, 4.0)
# The peptide bond is 1.33 A (sd 0.014, Engh & Huber 1991); outside this range no chemistry calls it a bond.
C_N_RANGE = (1.2, 1.5)
# The angle N-CA-C is 111.0 degrees, sd 2.7 (Engh & Huber 2001, over all residue types); four standard deviations.
N_CA_C_RANGE = (np.deg2rad(100.2), np.deg2rad(121.8))
# A peptide group more than 30 degrees from planar, cis or trans, counts as twisted (MolProbity, Williams et al. 2018).
LARGEST_TWIST = np.deg2rad(30.0)
# Two CA atoms of residues more than two apart never come nearer than about 3.5 A in crystals.
CA_CLASH = 3.0
CA_CLASH_SEPARATION = 2
# Closest approach of two atoms that are not bonded, in Angstrom: the "outer limits" of Ramachandran & Sasisekharan,
# Adv. Protein Chem. 23, 283 (1968), table I, less 0.2 A for the error of atoms in crystals of ordinary resolution.
# N...O at 2.4 A leaves room for every hydrogen bond (2.7-3.2 A) and C...O at 2.5 A for the carbonyls stacked in
# helices and sheets, so neither needs an exemption of its own.
CLOSEST_CONTACTS = {"CC": 2.8, "CN": 2.6, "CO": 2.5, "NN": 2.4, "NO": 2.4, "OO": 2.4}
BACKBONE_CLASH_SEPARATION = 1

_ELEMENTS = "NCCO"
_LIMITS = np.array([[CLOSEST_CONTACTS["".join(sorted(a + b))] for b in _ELEMENTS] for a in _ELEMENTS])


def ca_distances(coordinates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distances between consecutive CA atoms, ``[residues - 1]``, in Angstrom."""
    return np.linalg.norm(np.diff(coordinates[:, CA], axis=0), axis=-1)


def peptide_bonds(coordinates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distances from each C to the next residue's N, ``[residues - 1]``, in Angstrom."""
    return np.linalg.norm(coordinates[1:, N] - coordinates[:-1, C], axis=-1)


def n_ca_c_angles(coordinates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Angles at CA between N and C, ``[residues]``, in radians."""
    to_n = coordinates[:, N] - coordinates[:, CA]
    to_c = coordinates[:, C] - coordinates[:, CA]
    return np.arctan2(np.linalg.norm(np.cross(to_n, to_c), axis=-1), np.sum(to_n * to_c, axis=-1))


def dihedral(
    a: NDArray[np.floating], b: NDArray[np.floating], c: NDArray[np.floating], d: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Dihedral angles about the bonds b-c, in radians from -pi to pi, positive clockwise (IUPAC).

    Parameters
    ----------
    a, b, c, d : ndarray, shape (..., 3)
        Positions of the four atoms.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> import numpy as np
    >>> a, b, c = np.array([1.0, 0, 0]), np.zeros(3), np.array([0.0, 0, 1])
    >>> float(np.rad2deg(dihedral(a, b, c, np.array([0.0, 1, 1]))).round(6))
    90.0
    """
    axis = c - b
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    first, last = a - b, d - c
    first = first - np.sum(first * axis, axis=-1, keepdims=True) * axis
    last = last - np.sum(last * axis, axis=-1, keepdims=True) * axis
    return np.arctan2(np.sum(np.cross(axis, first) * last, axis=-1), np.sum(first * last, axis=-1))


def backbone_dihedrals(coordinates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Dihedrals phi, psi and omega of each residue.

    Parameters
    ----------
    coordinates : ndarray, shape (residues, 4, 3)
        N, CA, C and O in Angstrom.

    Returns
    -------
    ndarray, shape (residues, 3)
        Radians. Omega of a residue is about the bond to the next one. What has no neighbour to be defined by is NaN:
        phi of the first residue, psi and omega of the last.
    """
    angles = np.full((len(coordinates), 3), np.nan)
    here, following = coordinates[:-1], coordinates[1:]
    angles[1:, 0] = dihedral(here[:, C], following[:, N], following[:, CA], following[:, C])
    angles[:-1, 1] = dihedral(here[:, N], here[:, CA], here[:, C], following[:, N])
    angles[:-1, 2] = dihedral(here[:, CA], here[:, C], following[:, N], following[:, CA])
    return angles


def radius_of_gyration(ca: NDArray[np.floating]) -> float:
    """Root mean square distance of the CA atoms ``[residues, 3]`` from their centre, in Angstrom."""
    return float(np.sqrt(np.mean(np.sum((ca - ca.mean(axis=0)) ** 2, axis=-1))))


def count_ca_clashes(ca: NDArray[np.floating]) -> int:
    """Count pairs of CA atoms ``[residues, 3]`` more than two residues apart and nearer than 3.0 A."""
    pairs = cKDTree(ca).query_pairs(CA_CLASH, output_type="ndarray")
    return int(np.sum(np.abs(pairs[:, 0] - pairs[:, 1]) > CA_CLASH_SEPARATION))


def count_backbone_clashes(coordinates: NDArray[np.floating]) -> int:
    """Count pairs of backbone atoms, of residues that are not neighbours, nearer than any contact in proteins.

    Parameters
    ----------
    coordinates : ndarray, shape (residues, 4, 3)
        N, CA, C and O in Angstrom.

    Returns
    -------
    int

    References
    ----------
    G. N. Ramachandran, V. Sasisekharan, Adv. Protein Chem. 23, 283 (1968): the limits of `CLOSEST_CONTACTS`.
    """
    atoms = coordinates.reshape(-1, 3)
    first, second = cKDTree(atoms).query_pairs(_LIMITS.max(), output_type="ndarray").T
    distant = np.abs(first // 4 - second // 4) > BACKBONE_CLASH_SEPARATION
    first, second = first[distant], second[distant]
    distance = np.linalg.norm(atoms[first] - atoms[second], axis=-1)
    return int(np.sum(distance < _LIMITS[first % 4, second % 4]))


def count_clashes_between(one: NDArray[np.floating], other: NDArray[np.floating]) -> int:
    """Count pairs of backbone atoms of two chains ``[residues, 4, 3]`` that are nearer than any contact in proteins."""
    tree, neighbours = cKDTree(one.reshape(-1, 3)), cKDTree(other.reshape(-1, 3))
    pairs = tree.sparse_distance_matrix(neighbours, _LIMITS.max(), output_type="ndarray")
    return int(np.sum(pairs["v"] < _LIMITS[pairs["i"] % 4, pairs["j"] % 4]))


def within(values: NDArray[np.floating], limits: tuple[float, float]) -> float:
    """Fraction of the values inside the closed range; 1.0 when there are none, as no limit is then broken."""
    return float(np.mean((values >= limits[0]) & (values <= limits[1]))) if values.size else 1.0
