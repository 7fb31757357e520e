"""The peptide bond: where a chain is broken, and where an oxygen that a file leaves out must lie."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST_PEPTIDE_BOND", "place_oxygens", "unbroken_segments"]

# Longer C-N distances (A) are chain breaks. Of 4.5 million neighbours in the crystal chains of promod3, all but one
# lie under 1.8 A and the median is 1.33; across a missing residue C and N are over 2.5 A apart. Biopython and biotite
# cut at the same length.
LONGEST_PEPTIDE_BOND = 1.8

# The oxygen lies in the plane of CA, C and the next N, opposite to both: O = C - 1.231 * unit(a * to_CA + b * to_N),
# with a and b from the mean angles CA-C-O 120.1, O-C-N 122.9 and CA-C-N 117.0 degrees of crystal chains.
CARBONYL_LENGTH = 1.231
ALPHA_WEIGHT = 0.943
NITROGEN_WEIGHT = 0.967
# Where there is no next N, the torsion N-CA-C-O (psi - 180 degrees) is that of an extended strand, psi = 135.
LAST_TORSION = np.deg2rad(-45.0)
ALPHA_CARBONYL_ANGLE = np.deg2rad(120.1)


def unbroken_segments(coordinates: NDArray[np.floating]) -> list[slice]:
    """Return the stretches of residues [residues, 4, 3] whose peptide bonds are no longer than 1.8 A.

    Examples
    --------
    >>> chain = np.zeros((3, 4, 3))
    >>> chain[:, :, 0] = [[0.0], [1.0], [9.0]]
    >>> unbroken_segments(chain)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    if not len(coordinates):
        return []
    gaps = np.linalg.norm(coordinates[1:, 0] - coordinates[:-1, 2], axis=-1)
    cuts = [0, *(np.flatnonzero(~(gaps <= LONGEST_PEPTIDE_BOND)) + 1).tolist(), len(coordinates)]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def place_oxygens(coordinates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return one unbroken chain [residues, 4, 3] with every oxygen that is NaN placed in its peptide plane.

    The oxygen of a last residue, whose psi is unknown, is placed as in an extended strand.
    """
    missing = np.isnan(coordinates[:, 3]).any(axis=-1)
    if not missing.any():
        return coordinates
    filled = coordinates.copy()
    nitrogen, alpha, carbon = (coordinates[:, atom] for atom in range(3))
    to_alpha, to_nitrogen = _unit(alpha - carbon), _unit(nitrogen[1:] - carbon[:-1])
    placed = np.empty_like(carbon)
    placed[:-1] = carbon[:-1] - CARBONYL_LENGTH * _unit(ALPHA_WEIGHT * to_alpha[:-1] + NITROGEN_WEIGHT * to_nitrogen)
    placed[-1] = _last_oxygen(nitrogen[-1], alpha[-1], carbon[-1])
    filled[missing, 3] = placed[missing]
    return filled


def _last_oxygen(nitrogen: NDArray[Any], alpha: NDArray[Any], carbon: NDArray[Any]) -> NDArray[Any]:
    """Place O by its length, the angle CA-C-O and the torsion N-CA-C-O."""
    axis = _unit(carbon - alpha)
    normal = _unit(np.cross(alpha - nitrogen, axis))
    in_plane = np.cross(normal, axis)
    around = np.cos(LAST_TORSION) * in_plane + np.sin(LAST_TORSION) * normal
    return carbon + CARBONYL_LENGTH * (-np.cos(ALPHA_CARBONYL_ANGLE) * axis + np.sin(ALPHA_CARBONYL_ANGLE) * around)


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
