"""Ramachandran maps of samples: shares of cells, free energies, and how far two maps lie apart."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Cells of ten degrees.
CELLS = 36
# Free energies are compared where the reference lies within this of its lowest, in kT.
DEEP = 4.0
# Regions by phi and psi in degrees, in the usual coarse cut: right-handed helix, extended, left-handed.
HELIX_PSI = (-120.0, 50.0)


def cell_shares(
    phi: Float[Tensor, " samples"], psi: Float[Tensor, " samples"], weights: Float[Tensor, " samples"] | None = None
) -> Float[Tensor, "cells cells"]:
    """Return the share of every cell of the map, phi along the rows.

    Parameters
    ----------
    phi, psi
        In radian.
    weights
        Of the samples; equal unless given.
    """
    cells = [((one / torch.pi + 1) * (CELLS / 2)).long().clamp(0, CELLS - 1) for one in (phi, psi)]
    flat = cells[0] * CELLS + cells[1]
    counts = torch.bincount(flat, None if weights is None else weights.double(), minlength=CELLS**2).double()
    return (counts / counts.sum()).view(CELLS, CELLS)


def coarse(shares: Float[Tensor, "points points"]) -> Float[Tensor, "cells cells"]:
    """Return a finer map on the cells used here.

    The points of a side are a multiple of the cells.
    """
    return shares.view(CELLS, len(shares) // CELLS, CELLS, len(shares) // CELLS).sum(dim=(1, 3))


def kullback_leibler(shares: Float[Tensor, "cells cells"], reference: Float[Tensor, "cells cells"]) -> float:
    """Return the divergence of a map from a reference in nat; infinite if that is zero where the map is not."""
    held = shares > 0
    return float((shares[held] * (shares[held] / reference[held]).log()).sum())


def jensen_shannon(one: Float[Tensor, "cells cells"], other: Float[Tensor, "cells cells"]) -> float:
    """Return the Jensen-Shannon divergence of two maps in nat, from 0 to log 2."""
    middle = (one + other) / 2
    return 0.5 * (kullback_leibler(one, middle) + kullback_leibler(other, middle))


def free_energy(shares: Float[Tensor, "cells cells"]) -> Float[Tensor, "cells cells"]:
    """Return the free energy of every cell in kT, zero at the lowest; infinite where there is nothing."""
    return -(shares / shares.max()).log()


def free_energy_error(shares: Float[Tensor, "cells cells"], reference: Float[Tensor, "cells cells"]) -> float:
    """Return the root mean square difference of free energies in kT, where the reference is low and the map not empty.

    Both are taken against the same zero, so that the difference is the logarithm of the ratio of the shares.
    """
    kept = (free_energy(reference) <= DEEP) & (shares > 0)
    return float((shares[kept] / reference[kept]).log().square().mean().sqrt())


def regions(shares: Float[Tensor, "cells cells"]) -> dict[str, float]:
    """Return the shares of the right-handed helix, of extended chains, and of phi over zero."""
    low, high = (round((edge + 180) / 360 * CELLS) for edge in HELIX_PSI)
    half = CELLS // 2
    helix = float(shares[:half, low:high].sum())
    return {"helix": helix, "extended": float(shares[:half].sum()) - helix, "left": float(shares[half:].sum())}
