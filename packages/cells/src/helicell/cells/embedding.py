"""Cells as points of the plane, for figures: UMAP fitted to real cells, and principal components for straight views.

Both are fitted to control and treated cells together and know nothing of predictions, which are placed afterwards: so a
prediction that is far from all real cells cannot bend the picture towards itself.

McInnes, Healy and Melville, UMAP: Uniform Manifold Approximation and Projection, arXiv 1802.03426.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helicell.core.citations import cited
from helicell.core.errors import InputError

Points = NDArray[np.floating]

NEIGHBOURS = 15
# Enough for some thousand cells; more make the picture slower, not clearer.
EPOCHS = 200


@cited("mcinnes2018umap")
def umap_of(real: Points, others: Sequence[Points], *, seed: int = 0) -> tuple[Points, list[Points]]:
    """Return UMAP coordinates of real cells, to which it is fitted, and of other cells, which are placed among them.

    Parameters
    ----------
    real
        Shape [cells, features].
    others
        More cells of the same features.
    seed
        Of the layout; the same cells and seed give the same picture on one machine.

    Returns
    -------
    tuple
        Shapes [cells, 2].

    Raises
    ------
    InputError
        If there are too few real cells to lay out.
    """
    if len(real) <= NEIGHBOURS:
        message = f"there are {len(real)} real cells, UMAP needs more than {NEIGHBOURS}; show more of them"
        raise InputError(message)
    with warnings.catch_warnings():
        # It says that a part which is not used here is not installed.
        warnings.simplefilter("ignore", ImportWarning)
        from umap import UMAP

        # Rounding may make the last digits of distances negative or the graph disconnected; neither shows.
        warnings.simplefilter("ignore", UserWarning)
        layout = UMAP(n_neighbors=NEIGHBOURS, n_epochs=EPOCHS, random_state=seed, n_jobs=1).fit(real)
        lengths = [len(cells) for cells in others]
        placed = layout.transform(np.concatenate(others)) if sum(lengths) else np.empty((0, 2))
    return layout.embedding_, np.split(placed, np.cumsum(lengths)[:-1]) if others else []


@dataclass(frozen=True, slots=True)
class Plane:
    """The two directions along which real cells vary most.

    Attributes
    ----------
    centre
        Mean of the real cells, shape [features].
    axes
        Shape [features, 2].
    shares
        Shares of the variance along them.
    """

    centre: Points
    axes: Points
    shares: tuple[float, float]

    @classmethod
    def fit(cls, real: Points) -> Plane:
        """Fit to real cells, shape [cells, features]; of one feature, the second direction is empty."""
        centre = real.mean(axis=0)
        _, sizes, rows = np.linalg.svd(real - centre, full_matrices=False)
        axes, power = np.zeros((real.shape[1], 2)), np.zeros(2)
        count = min(2, len(rows))
        # The largest entry of each axis is positive, so that a picture is not mirrored by rounding.
        kept = rows[:count] * np.sign(rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)])[:, None]
        axes[:, :count], power[:count] = kept.T, sizes[:count] ** 2
        total = float((sizes**2).sum()) or 1.0
        return cls(centre, axes, (float(power[0] / total), float(power[1] / total)))

    def project(self, cells: Points) -> Points:
        """Return the coordinates in the plane, shape [..., 2]."""
        return np.asarray((cells - self.centre) @ self.axes)
