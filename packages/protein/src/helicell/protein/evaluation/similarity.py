"""How alike two folds are: TM-scores by TM-align, and what they say about a set of samples.

The TM-score is 1 for identical backbones; unrelated ones score about 0.17 to 0.3, and above 0.5 two chains mostly share
a fold [1]. TM-align looks for the alignment and the superposition that score highest, whatever the sequences; it runs
here through tmtools.

References
----------
.. [1] Y. Zhang, J. Skolnick, "TM-align: a protein structure alignment algorithm based on the TM-score",
   Nucleic Acids Res. 33, 2302 (2005).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as hierarchy
from scipy.spatial.distance import squareform

from helicell.core.errors import InputError, unknown_option
from helicell.protein.evaluation.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# Two chains of a higher TM-score are mostly of one fold (Xu & Zhang, Bioinformatics 26, 889 (2010)).
SAME_FOLD = 0.5
# TM-align needs a few residues to superpose; below this the score has no meaning (its d0 is set to 0.5 A up to 21).
SHORTEST = 5
LINKAGES = ("single", "average", "complete")


class TMScores(NamedTuple):
    """The score of one alignment, normalised by the length of either chain."""

    by_first: float
    by_second: float


def tm_score(first: NDArray[np.floating], second: NDArray[np.floating]) -> TMScores:
    """Align two chains by TM-align and score the alignment.

    Parameters
    ----------
    first, second : ndarray, shape (residues, 3)
        CA positions in Angstrom; the lengths may differ.

    Returns
    -------
    TMScores
        Between 0 and 1. Normalised by a chain's own length, the score says how much of that chain is found in the
        other, so a domain scores high in a longer protein that holds it.

    Raises
    ------
    InputError
        If a chain has fewer than five residues.

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.deg2rad(100) * np.arange(30)
    >>> helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(30)], axis=1)
    >>> round(tm_score(helix, helix + 5.0).by_first, 4)
    1.0
    """
    import tmtools

    shortest = min(len(first), len(second))
    if shortest < SHORTEST:
        message = f"a chain of {shortest} residues was given for a TM-score; give {SHORTEST} residues or more"
        raise InputError(message)
    result = tmtools.tm_align(
        np.ascontiguousarray(first, dtype=np.float64),
        np.ascontiguousarray(second, dtype=np.float64),
        "A" * len(first),
        "A" * len(second),
    )
    return TMScores(float(result.tm_norm_chain1), float(result.tm_norm_chain2))


def tm_matrices(
    sets: Sequence[Sequence[NDArray[np.floating]]],
    *,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> list[NDArray[np.float64]]:
    """Score every pair of chains within each of several sets.

    Parameters
    ----------
    sets : sequence of sequence of ndarray, shape (residues, 3)
        CA positions in Angstrom.
    workers : int
        Processes to share the pairs; the result does not depend on it.
    advance : callable
        Told the number of pairs just scored.

    Returns
    -------
    list of ndarray, shape (chains, chains)
        A matrix for each set, symmetric, with ones on the diagonal. The score of a pair is the mean of its two
        normalisations, which are equal for chains of one length.
    """
    places = [np.triu_indices(len(chains), 1) for chains in sets]
    pairs = [
        (chains[i], chains[j])
        for chains, (first, second) in zip(sets, places, strict=True)
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    scores = ordered_map(_symmetric_score, pairs, workers=workers, advance=advance)
    matrices = []
    for chains, (first, second) in zip(sets, places, strict=True):
        matrix = np.eye(len(chains))
        matrix[first, second] = list(islice(scores, len(first)))
        matrices.append(np.maximum(matrix, matrix.T))
    # Runs what stands after the last item, so that the processes end here.
    next(scores, None)
    return matrices


def tm_matrix(chains: Sequence[NDArray[np.floating]], *, workers: int = 1) -> NDArray[np.float64]:
    """Score every pair of chains of one set; see `tm_matrices`."""
    return tm_matrices([chains], workers=workers)[0]


def mean_pairwise(matrix: NDArray[np.floating]) -> float:
    """Mean over all pairs of a matrix of scores; NaN for fewer than two chains."""
    count = len(matrix)
    return float(np.sum(matrix) - np.trace(matrix)) / (count * (count - 1)) if count > 1 else float("nan")


def mean_to_others(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean score of each chain with all others of a matrix, ``[chains]``; NaN for a chain that is alone."""
    count = len(matrix)
    return (matrix.sum(axis=1) - np.diag(matrix)) / (count - 1) if count > 1 else np.full(count, np.nan)


def cluster(
    matrix: NDArray[np.floating], *, threshold: float = SAME_FOLD, linkage: str = "average"
) -> NDArray[np.integer]:
    """Group the chains of a matrix of scores into folds.

    Parameters
    ----------
    matrix : ndarray, shape (chains, chains)
        Scores, as `tm_matrix` makes them.
    threshold : float
        Clusters are joined bottom-up as long as the score between two of them is above this.
    linkage : str
        What the score between two clusters is: that of their likest pair ("single"), the mean over pairs ("average"),
        or that of their unlikest pair ("complete").

    Returns
    -------
    ndarray of int, shape (chains,)
        The number of each chain's cluster, 0 for that of the first chain, and on in the order in which they appear.

    Raises
    ------
    InputError
        If the linkage is unknown.

    Examples
    --------
    >>> row = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, 0.6], [0.3, 0.6, 1.0]])
    >>> [cluster(row, linkage=name).tolist() for name in LINKAGES]
    [[0, 0, 0], [0, 0, 1], [0, 0, 1]]
    """
    if linkage not in LINKAGES:
        raise unknown_option("linkage", linkage, LINKAGES)
    if len(matrix) < 2:
        return np.zeros(len(matrix), dtype=np.int64)
    distances = squareform(1.0 - matrix, checks=False)
    labels = fcluster(hierarchy(distances, method=linkage), 1.0 - threshold, criterion="distance")
    _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def count_clusters(matrix: NDArray[np.floating], *, threshold: float = SAME_FOLD, linkage: str = "average") -> int:
    """Count the folds in a matrix of scores; see `cluster`."""
    return len(np.unique(cluster(matrix, threshold=threshold, linkage=linkage)))


def _symmetric_score(pair: tuple[NDArray[np.floating], NDArray[np.floating]]) -> float:
    return sum(tm_score(*pair)) / 2
