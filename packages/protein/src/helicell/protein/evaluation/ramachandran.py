"""Where real proteins put phi and psi, and how far out a given pair lies.

The map is a smoothed histogram of the reference chains' dihedrals. Each cell holds the *mass* of its contour: the
share of the reference residues that lie where the density is at least as high. A mass of 0.5 means that half of all
residues sit in more crowded places, a mass above `OUTLIER` that next to none sits in an emptier one. MolProbity
draws its "favoured" and "outlier" contours in the same way; as generated backbones have no sequence, one map for all
residue types takes the place of its six.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.ndimage import gaussian_filter

from helicell.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Contours of the map. 98 % is MolProbity's "favoured" contour; its outlier contour of 99.95 % belongs to maps of
# hand-filtered residues, ours holds whole crystal chains and stops at 99.8 %.
FAVOURED = 0.98
OUTLIER = 0.998
# Cells of 5 degrees, smoothed over one cell.
BINS = 72
SMOOTHING = 1.0


@dataclass(frozen=True, slots=True)
class RamachandranMap:
    """Contour mass of phi and psi.

    Parameters
    ----------
    mass : ndarray, shape (bins, bins)
        Mass of the contour through each cell, 0 to 1; phi along the rows, both from -pi to pi.
    """

    mass: NDArray[np.float32]

    @classmethod
    def from_angles(cls, phi: NDArray[np.floating], psi: NDArray[np.floating]) -> Self:
        """Draw the map of a set of residues.

        Parameters
        ----------
        phi, psi : ndarray, shape (residues,)
            Dihedrals in radians; residues where one is NaN are left out.

        Raises
        ------
        InputError
            If no residue has both angles.
        """
        known = np.isfinite(phi) & np.isfinite(psi)
        if not known.any():
            message = "no residue with both phi and psi was given; give chains of three residues or more"
            raise InputError(message)
        edges = np.linspace(-np.pi, np.pi, BINS + 1)
        counts, _, _ = np.histogram2d(phi[known], psi[known], bins=(edges, edges))
        density = gaussian_filter(counts, SMOOTHING, mode="wrap").ravel()
        order = np.argsort(-density, kind="stable")
        mass = np.empty(density.size)
        mass[order] = np.cumsum(density[order]) / density.sum()
        return cls(mass.reshape(BINS, BINS).astype(np.float32))

    def contour(self, phi: NDArray[np.floating], psi: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the contour mass of each residue.

        Parameters
        ----------
        phi, psi : ndarray, shape (residues,)
            Dihedrals in radians.

        Returns
        -------
        ndarray, shape (residues,)
            From 0 (the densest place) to 1 (where no residue was seen); NaN where an angle is.
        """
        known = np.isfinite(phi) & np.isfinite(psi)
        contour = np.full(np.shape(phi), np.nan)
        contour[known] = self.mass[_cell(phi[known], len(self.mass)), _cell(psi[known], len(self.mass))]
        return contour


def _cell(angle: NDArray[np.floating], bins: int) -> NDArray[np.integer]:
    return np.floor((angle + np.pi) / (2 * np.pi) * bins).astype(np.int64) % bins
