"""Whether sequences that were designed for a backbone fold back into it.

Each sequence of a backbone is folded, and the predicted structure compared with the backbone. Published evaluations
name two different figures "scRMSD": the root mean square distance of the CA atoms after superposition, and their mean
distance, which is never the greater of the two. Both are taken here, under their own names; a backbone is designable
where the better of its sequences is below 2 Angstrom.

References
----------
.. [1] B. L. Trippe et al., "Diffusion probabilistic modeling of protein backbones in 3D for the motif-scaffolding
   problem", ICLR 2023: self-consistency by ProteinMPNN and a folding network.
.. [2] A. Yue et al., "ReQFlow: Rectified Quaternion Flow for Efficient and High-Quality Protein Backbone Generation",
   ICML 2025: designable by the mean distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from helicell.core.errors import InputError
from helicell.protein.evaluation.similarity import SAME_FOLD, tm_score
from helicell.protein.evaluation.superposition import superpose

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# A backbone is designable below this, in Angstrom [1].
DESIGNABLE = 2.0
# What is summarised by mean and deviation.
COLUMNS = ("rmsd", "mean_displacement", "tm_score", "plddt")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a predicted structure agrees with a backbone of as many residues.

    Attributes
    ----------
    rmsd
        Root mean square distance of the CA atoms after superposition, Angstrom.
    mean_displacement
        Their mean distance after the same superposition, Angstrom; at most the RMSD.
    tm_score
        TM-score by TM-align, normalised by the common length.
    """

    rmsd: float
    mean_displacement: float
    tm_score: float


def agreement(backbone: NDArray[np.floating], predicted: NDArray[np.floating]) -> Agreement:
    """Compare a predicted structure with the backbone that its sequence was designed for.

    Parameters
    ----------
    backbone, predicted : ndarray, shape (residues, 3)
        CA positions in Angstrom, residue for residue.

    Returns
    -------
    Agreement

    Raises
    ------
    InputError
        If the two differ in length, or are too short for a TM-score.

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.deg2rad(100) * np.arange(30)
    >>> helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(30)], axis=1)
    >>> round(agreement(helix, helix + 5.0).rmsd, 6)
    0.0
    """
    if backbone.shape != predicted.shape:
        message = f"a structure of {len(predicted)} residues was given for a backbone of {len(backbone)}"
        raise InputError(message)
    distances = np.linalg.norm(overlay(backbone, predicted, predicted) - backbone, axis=-1)
    return Agreement(
        float(np.sqrt(np.mean(distances**2))), float(distances.mean()), tm_score(backbone, predicted).by_first
    )


def overlay(
    backbone: NDArray[np.floating], predicted: NDArray[np.floating], atoms: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Move atoms of a predicted structure to where its CA atoms lie best on those of a backbone.

    Parameters
    ----------
    backbone, predicted : ndarray, shape (residues, 3)
        CA positions in Angstrom, residue for residue.
    atoms : ndarray, shape (..., 3)
        What to move along, in Angstrom.

    Returns
    -------
    ndarray, shape (..., 3)
    """
    fixed, mobile = np.asarray(backbone, np.float64)[None], np.asarray(predicted, np.float64)[None]
    rotation, mobile_centre, fixed_centre = superpose(mobile, fixed, np.ones(mobile.shape[:2]))
    return (np.asarray(atoms, np.float64) - mobile_centre[0, 0]) @ rotation[0] + fixed_centre[0, 0]


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's score, which holds for few and for extreme counts too.

    Examples
    --------
    >>> low, high = share_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def summarise_agreement(table: pd.DataFrame, *, threshold: float = DESIGNABLE) -> dict[str, Any]:
    """Summarise the best figures of a set of backbones.

    Parameters
    ----------
    table : DataFrame
        A row a backbone, with `rmsd`, `mean_displacement`, `tm_score` and `plddt`.
    threshold : float
        A backbone is designable below this, Angstrom.

    Returns
    -------
    dict
        The number of backbones; the share that is designable by the RMSD (with its interval) and by the mean
        displacement, and that scores above 0.5; mean and standard deviation of each column.
    """
    count = len(table)
    designable = int((table["rmsd"] < threshold).sum())
    figures: dict[str, Any] = {
        "backbones": count,
        "designable": designable / count,
        "designable_interval": share_interval(designable, count),
        "designable_by_mean_displacement": float((table["mean_displacement"] < threshold).mean()),
        "same_fold": float((table["tm_score"] > SAME_FOLD).mean()),
    }
    for name in COLUMNS:
        values = table[name].to_numpy(dtype=np.float64)
        figures[name] = {"mean": float(values.mean()), "deviation": float(values.std(ddof=1)) if count > 1 else 0.0}
    return figures
