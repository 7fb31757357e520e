"""The reference chains most like a sample, without aligning it to all of them.

TM-align takes several milliseconds a pair, minutes for one sample against twenty thousand chains. Two cheap steps come
before it, each of which looks at CA atoms only:

1. Seven overlapping stretches of the sample are compared by their internal distances with windows of every reference
   chain, shifted along it. Distances need no superposition, and a domain inside a longer protein is found as well.
2. The references that come first for any stretch are superposed on the sample, stretch on window, and scored roughly
   (`helicell.protein.evaluation.superposition`).

What remains is aligned by TM-align. `benchmarks/bench_similarity.py` compares the result with an exhaustive search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.parallel import ordered_map
from helicell.protein.evaluation.similarity import tm_score
from helicell.protein.evaluation.superposition import rough_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from helicell.protein.structures import Chain

# The stretches of a sample that are looked for: two fifths of it, from these shares of its length on. Halves would be
# quicker, and miss likenesses that hold a loop of another length.
FRAGMENT = 0.4
FRAGMENT_STARTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Points along a stretch; 16 points give 120 distances.
POINTS = 16
# Two distances are compared by 1 / (1 + (d / d0)^2), which hardly tells far from farther.
DISTANCE_SCALE = 12.0
# A window moves by this share of its length; a reference may be shorter than the window by that share.
STEP = 1 / 8
SHORTEST_WINDOW = 0.7
# Share of the references that are superposed, and the least and the most.
SUPERPOSED = 0.25
SUPERPOSED_RANGE = (200, 5000)
# Of a sample every third residue is scored, of a reference every second one can be its partner.
QUERY_STRIDE = 3
REFERENCE_STRIDE = 2
# Reference chains that are aligned with a sample.
ALIGNED = 40
# Samples whose distances are held in memory at once, and windows whose distances are.
QUERY_BATCH = 16
WINDOW_BATCH = 20_000


class Neighbour(NamedTuple):
    """The reference chain that a sample resembles most: which one it is, and the TM-score."""

    chain: int
    tm_score: float


class _Windows(NamedTuple):
    """Stretches of the references: first residue in the joined trace, length in residues, and which chain it is of."""

    start: NDArray[np.integer]
    length: NDArray[np.integer]
    owner: NDArray[np.integer]


class ChainIndex:
    """CA traces of reference chains, laid out for the search.

    Parameters
    ----------
    traces : iterable of ndarray, shape (residues, 3)
        CA positions in Angstrom; at least one chain.
    """

    def __init__(self, traces: Iterable[NDArray[np.floating]]) -> None:
        smoothed = [_smooth(trace) for trace in traces]
        self.lengths = np.array([len(trace) for trace in smoothed])
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self._trace = np.concatenate(smoothed)

    def __len__(self) -> int:
        return len(self.lengths)

    def shortlist(
        self,
        samples: Sequence[NDArray[np.floating]],
        *,
        count: int,
        excluded: Sequence[NDArray[np.integer]] | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[NDArray[np.integer]]:
        """Choose the reference chains that are worth an alignment with each sample.

        Parameters
        ----------
        samples : sequence of ndarray, shape (residues, 3)
            CA positions in Angstrom; samples of one length together are searched faster.
        count : int
            How many chains to choose for each sample.
        excluded : sequence of ndarray of int, optional
            Chains that may not be chosen, for each sample.
        advance : callable
            Told the number of samples just done.

        Returns
        -------
        list of ndarray of int
            Indices of chains for each sample, the most promising first; fewer than `count` where the others are
            shorter than three tenths of the sample.
        """
        lengths = np.array([len(sample) for sample in samples])
        chosen: dict[int, NDArray[np.integer]] = {}
        for length in np.unique(lengths).tolist():
            windows = self._windows(length)
            members = np.flatnonzero(lengths == length).tolist()
            for start in range(0, len(members), QUERY_BATCH):
                batch = members[start : start + QUERY_BATCH]
                fragments = np.stack([_fragments(_smooth(samples[member])) for member in batch])
                distances = self._distances(windows, _profile(fragments))
                for member, fragment, distance in zip(batch, fragments, distances, strict=True):
                    barred = excluded[member] if excluded is not None else np.empty(0, dtype=np.int64)
                    candidates, nearest = self._candidates(windows, distance, barred)
                    scores = self._scores(_smooth(samples[member]), fragment, candidates, windows, nearest)
                    chosen[member] = candidates[np.argsort(-scores, kind="stable")[:count]]
                    advance(1)
        return [chosen[member] for member in range(len(samples))]

    def _windows(self, length: int) -> _Windows:
        """Lay windows of the length of a fragment along all chains; shorter chains are one window, or none."""
        width = _fragment_width(length)
        step = max(1, round(width * STEP))
        slack = np.maximum(self.lengths - width, 0)
        count = np.where(self.lengths >= SHORTEST_WINDOW * width, -(-slack // step) + 1, 0)
        owner = np.repeat(np.arange(len(self)), count)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        offset = np.minimum(number * step, slack[owner])
        return _Windows(self._starts[owner] + offset, np.minimum(width, self.lengths[owner]), owner)

    def _distances(self, windows: _Windows, profiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared differences of profiles ``[samples, fragments, pairs]`` to each window, ``[..., windows]``."""
        flat = profiles.reshape(-1, profiles.shape[-1])
        distances = np.empty((len(flat), len(windows.owner)), dtype=np.float32)
        for start in range(0, len(windows.owner), WINDOW_BATCH):
            part = slice(start, start + WINDOW_BATCH)
            references = _profile(_resample(self._trace, windows.start[part], windows.length[part]))
            distances[:, part] = np.sum(references**2, axis=-1) - 2 * flat @ references.T
        distances += np.sum(flat**2, axis=-1)[:, None]
        return distances.reshape(*profiles.shape[:2], -1)

    def _candidates(
        self, windows: _Windows, distances: NDArray[np.float32], excluded: NDArray[np.integer]
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Choose the chains that come first for any fragment; name the best window of each, ``[chains, fragments]``."""
        owners, first = np.unique(windows.owner, return_index=True)
        lowest = np.minimum.reduceat(distances, first, axis=1)
        lowest[:, np.isin(owners, excluded)] = np.inf
        rank = np.argsort(np.argsort(lowest, axis=1, kind="stable"), axis=1)
        count = int(np.clip(SUPERPOSED * len(self), *SUPERPOSED_RANGE))
        best = np.argsort(rank.min(axis=0), kind="stable")[:count]
        best = best[np.isfinite(lowest[0, best])]
        last = np.append(first[1:], len(windows.owner))
        nearest = [first[b] + np.argmin(distances[:, first[b] : last[b]], axis=1) for b in best.tolist()]
        return owners[best], np.array(nearest, dtype=np.int64).reshape(len(best), len(distances))

    def _scores(
        self,
        sample: NDArray[np.float32],
        fragments: NDArray[np.float32],
        candidates: NDArray[np.integer],
        windows: _Windows,
        nearest: NDArray[np.integer],
    ) -> NDArray[np.float32]:
        """Score the candidates roughly, the best of the fragments counts."""
        if not len(candidates):
            return np.empty(0, dtype=np.float32)
        scores = np.zeros(len(candidates), dtype=np.float32)
        # Chains of like length share a batch, so that little of it is padding.
        order = np.argsort(self.lengths[candidates], kind="stable")
        for part in np.array_split(order, -(-len(order) // 256)):
            references = self._padded(candidates[part])
            for fragment, window in zip(fragments, nearest[part].T, strict=True):
                matched = _resample(self._trace, windows.start[window], windows.length[window])
                rough = rough_scores(sample[::QUERY_STRIDE], fragment, references, matched, length=len(sample))
                scores[part] = np.maximum(scores[part], rough)
        return scores

    def _padded(self, chains: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the residues of chains, thinned, ``[chains, residues, 3]``; the last one is repeated."""
        lengths = self.lengths[chains]
        places = np.arange(0, lengths.max(), REFERENCE_STRIDE)
        return self._trace[self._starts[chains][:, None] + np.minimum(places, lengths[:, None] - 1)]


def search(
    samples: Sequence[NDArray[np.floating]],
    chains: Sequence[Chain],
    *,
    aligned: int = ALIGNED,
    excluded: Sequence[NDArray[np.integer]] | None = None,
    index: ChainIndex | None = None,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Neighbour]:
    """Find the reference chain that each sample resembles most.

    Parameters
    ----------
    samples : sequence of ndarray, shape (residues, 3)
        CA positions in Angstrom.
    chains : sequence of Chain
        The reference chains, such as a `ChainStore`; at least one.
    aligned : int
        Reference chains that are aligned with each sample, out of those that come first.
    excluded : sequence of ndarray of int, optional
        Reference chains that do not count, for each sample.
    index : ChainIndex, optional
        Of the reference chains, where it is there already.
    workers : int
        Processes for the alignments; the result does not depend on it.
    advance : callable
        Told the number of samples whose candidates were just chosen, which takes most of the time.

    Returns
    -------
    list of Neighbour
        One for each sample; chain -1 and score 0 where all references are shorter than three tenths of it.
    """
    index = index or ChainIndex(chain.coordinates[:, CA] for chain in chains)
    shortlists = index.shortlist(samples, count=aligned, excluded=excluded, advance=advance)
    tasks = [
        (sample, [chains[int(chain)].coordinates[:, CA] for chain in shortlist])
        for sample, shortlist in zip(samples, shortlists, strict=True)
    ]
    nearest = ordered_map(_nearest, tasks, workers=workers)
    return [
        Neighbour(int(shortlist[place]) if place >= 0 else -1, score)
        for shortlist, (place, score) in zip(shortlists, nearest, strict=True)
    ]


def _nearest(task: tuple[NDArray[np.floating], Sequence[NDArray[np.floating]]]) -> Neighbour:
    """Align a sample with a few chains; the score is normalised by the length of the sample."""
    sample, chains = task
    scores = [tm_score(sample, chain).by_first for chain in chains]
    best = int(np.argmax(scores)) if scores else -1
    return Neighbour(best, scores[best] if scores else 0.0)


def _smooth(trace: NDArray[np.floating]) -> NDArray[np.float32]:
    """Average each CA with its neighbours (1-2-1), so that the course of the chain counts and not its zigzag."""
    smoothed = np.array(trace, dtype=np.float32)
    smoothed[1:-1] = (smoothed[:-2] + 2 * smoothed[1:-1] + smoothed[2:]) / 4
    return smoothed


def _resample(
    trace: NDArray[np.float32], start: NDArray[np.integer], length: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Place evenly spaced points along stretches of a trace, ``[stretches, POINTS, 3]``."""
    place = np.linspace(0, 1, POINTS) * (length[:, None] - 1)
    before = np.floor(place).astype(np.int64)
    after = np.minimum(before + 1, length[:, None] - 1)
    share = (place - before)[..., None].astype(np.float32)
    return trace[start[:, None] + before] * (1 - share) + trace[start[:, None] + after] * share


def _fragment_width(length: int) -> int:
    return max(2, round(FRAGMENT * length))


def _fragments(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Place points along the stretches of a sample, ``[fragments, POINTS, 3]``."""
    width = _fragment_width(len(sample))
    start = np.array([min(round(share * len(sample)), len(sample) - width) for share in FRAGMENT_STARTS])
    return _resample(sample, start, np.full(len(start), width))


def _profile(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn points ``[..., POINTS, 3]`` into what is compared of their distances, ``[..., pairs]``."""
    first, second = np.triu_indices(POINTS, 1)
    squared = np.sum((points[..., first, :] - points[..., second, :]) ** 2, axis=-1)
    return np.asarray(1 / (1 + squared / np.float32(DISTANCE_SCALE**2)), dtype=np.float32)
