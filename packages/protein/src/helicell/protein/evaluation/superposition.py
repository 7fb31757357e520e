"""Many rough superpositions at once: a quick stand-in for TM-align that tells promising chains from hopeless ones.

From a guess of which stretch of the query corresponds to which stretch of a reference, the two are superposed; then
the residues that came to lie together are paired in the order of both chains, and the superposition is repeated with
the pairs weighted by their part in the TM-score. TM-align does the same from more guesses, with finer steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS = 2
# Pairs of residues that are held in memory at once.
BATCH_PAIRS = 2_000_000


def tm_distance(length: int) -> float:
    """Return the distance d0 of the TM-score, in Angstrom, at which a pair of residues counts one half.

    References
    ----------
    Y. Zhang, J. Skolnick, Proteins 57, 702 (2004), eq. 5; TM-align sets it to 0.5 A for short chains.
    """
    return float(max(0.5, 1.24 * np.cbrt(length - 15) - 1.8)) if length > 15 else 0.5


def superpose(
    mobile: NDArray[np.floating], fixed: NDArray[np.floating], weights: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Find the rotations that bring sets of points onto others with the least weighted square error.

    Parameters
    ----------
    mobile, fixed : ndarray, shape (sets, points, 3)
        Corresponding points.
    weights : ndarray, shape (sets, points)
        Not negative, and positive somewhere in each set.

    Returns
    -------
    rotation, mobile_centre, fixed_centre : ndarray, shapes (sets, 3, 3), (sets, 1, 3), (sets, 1, 3)
        ``(points - mobile_centre) @ rotation + fixed_centre`` moves points.

    References
    ----------
    W. Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    share = (weights / weights.sum(axis=1, keepdims=True))[..., None]
    mobile_centre = np.sum(share * mobile, axis=1, keepdims=True)
    fixed_centre = np.sum(share * fixed, axis=1, keepdims=True)
    covariance = np.swapaxes(share * (mobile - mobile_centre), 1, 2) @ (fixed - fixed_centre)
    left, _, right = np.linalg.svd(covariance)
    # A reflection would fit better where this sign is negative; turn the weakest axis instead.
    left[..., 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    return left @ right, mobile_centre, fixed_centre


def rough_scores(
    query: NDArray[np.float32],
    fragment: NDArray[np.float32],
    references: NDArray[np.float32],
    windows: NDArray[np.float32],
    *,
    length: int,
) -> NDArray[np.float32]:
    """Score a query against many references, starting from a fragment that is thought to match a window of each.

    Parameters
    ----------
    query : ndarray, shape (residues, 3)
        Residues to score; a part of the chain will do.
    fragment : ndarray, shape (points, 3)
        Points along a stretch of the query.
    references : ndarray, shape (references, residues, 3)
        Residues that may become partners; shorter chains are padded by repeating a residue.
    windows : ndarray, shape (references, points, 3)
        Points of each reference that correspond to the fragment.
    length : int
        Number of residues of the whole query, which sets the distance scale.

    Returns
    -------
    ndarray, shape (references,)
        From 0 to 1.
    """
    scores = np.zeros(len(references), dtype=np.float32)
    batch = max(1, BATCH_PAIRS // (len(query) * references.shape[1]))
    for start in range(0, len(references), batch):
        part = slice(start, start + batch)
        scores[part] = _refined(query, fragment, references[part], windows[part], tm_distance(length))
    return scores


def _refined(
    query: NDArray[np.float32],
    fragment: NDArray[np.float32],
    references: NDArray[np.float32],
    windows: NDArray[np.float32],
    scale: float,
) -> NDArray[np.float32]:
    count = len(references)
    mobile, partners = np.broadcast_to(fragment, windows.shape), windows
    weights = np.ones(windows.shape[:2], dtype=np.float32)
    whole = np.broadcast_to(query, (count, *query.shape))
    best = np.zeros(count, dtype=np.float32)
    for _ in range(ROUNDS):
        rotation, mobile_centre, fixed_centre = superpose(mobile, partners, weights)
        moved = (whole - mobile_centre) @ rotation + fixed_centre
        squared = (
            np.sum(moved**2, axis=-1)[:, :, None]
            + np.sum(references**2, axis=-1)[:, None]
            - 2 * moved @ np.swapaxes(references, 1, 2)
        )
        similarity = 1 / (1 + np.maximum(squared, 0) / scale**2)
        score, partner = align_in_sequence(similarity)
        best = np.maximum(best, score)
        chosen = np.maximum(partner, 0)[..., None]
        weights = np.where(partner >= 0, np.take_along_axis(similarity, chosen, axis=2)[..., 0], np.float32(1e-6))
        mobile, partners = whole, np.take_along_axis(references, chosen, axis=1)
    return best


def align_in_sequence(
    similarity: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Pair residues so that the pairs ascend along both chains and their similarities add up to the most.

    This is the dynamic programme of the longest common subsequence: gaps are free.

    Parameters
    ----------
    similarity : ndarray, shape (sets, query, reference)
        Not negative.

    Returns
    -------
    score : ndarray, shape (sets,)
        Sum over the pairs divided by the number of query residues.
    partner : ndarray of int, shape (sets, query)
        Reference residue paired with each query residue, or -1.
    """
    sets, rows, columns = similarity.shape
    # The sets go last: what runs along the chains then works on whole rows of them at once.
    similarity = np.ascontiguousarray(np.moveaxis(similarity, 0, -1))
    total = np.zeros((rows + 1, columns + 1, sets), dtype=similarity.dtype)
    for row in range(rows):
        np.maximum(total[row, 1:], total[row, :-1] + similarity[row], out=total[row + 1, 1:])
        _running_maximum(total[row + 1])
    partner = np.full((sets, rows), -1)
    every, column = np.arange(sets), np.full(sets, columns)
    for row in range(rows - 1, -1, -1):
        reached = total[row + 1, column, every]
        paired = reached > total[row, column, every]
        first = np.argmax(total[row + 1] >= reached, axis=0)
        partner[paired, row] = first[paired] - 1
        column = np.where(paired, first - 1, column)
    return total[rows, columns] / rows, partner


def _running_maximum(values: NDArray[np.floating]) -> None:
    """Replace each row by the greatest so far, in doubling steps: many times faster than `np.maximum.accumulate`."""
    shift = 1
    while shift < len(values):
        np.maximum(values[shift:], values[:-shift], out=values[shift:])
        shift *= 2
