"""TM-scores, fold clusters, and the search for the nearest chain, each against an independent answer."""

import shutil
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation.neighbours import ChainIndex, search
from helicell.protein.evaluation.parallel import ordered_map
from helicell.protein.evaluation.similarity import (
    LINKAGES,
    cluster,
    count_clusters,
    mean_pairwise,
    mean_to_others,
    tm_matrix,
    tm_score,
)
from helicell.protein.evaluation.superposition import align_in_sequence, superpose, tm_distance
from helicell.protein.structures import Chain, write_backbone


def test_a_part_of_a_chain_scores_one_by_its_own_length(globins: list[Chain]) -> None:
    """Normalised by the part, the score is 1; by the whole, it is the share that the part is."""
    whole = globins[0].coordinates[:, 1]
    part = whole[30:90]
    scores = tm_score(part, whole)
    assert scores.by_first == pytest.approx(1, abs=1e-3)
    assert scores.by_second == pytest.approx(len(part) / len(whole), abs=1e-3)


@pytest.mark.skipif(shutil.which("TMalign") is None, reason="TM-align is not installed")
def test_scores_are_those_of_the_tm_align_program(globins: list[Chain], tmp_path: Path) -> None:
    """Both normalisations equal those that the program prints, for chains of like and of different folds."""
    for first, second in ((globins[0], globins[1]), (globins[0], globins[-1])):
        for name, chain in (("first", first), ("second", second)):
            write_backbone(tmp_path / f"{name}.pdb", chain.coordinates, format="pdb")
        command = ["TMalign", str(tmp_path / "first.pdb"), str(tmp_path / "second.pdb")]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = [line for line in printed.splitlines() if line.startswith("TM-score=")]
        expected = [float(line.split()[1]) for line in lines[:2]]
        assert list(tm_score(first.coordinates[:, 1], second.coordinates[:, 1])) == pytest.approx(expected, abs=2e-4)


def test_chains_too_short_to_align_are_refused() -> None:
    """The error names the number of residues."""
    with pytest.raises(InputError, match="4 residues"):
        tm_score(np.zeros((4, 3)), np.zeros((30, 3)))


def test_means_of_a_matrix() -> None:
    """Three chains, computed by hand."""
    matrix = np.array([[1.0, 0.8, 0.2], [0.8, 1.0, 0.5], [0.2, 0.5, 1.0]])
    assert mean_pairwise(matrix) == pytest.approx(0.5)
    np.testing.assert_allclose(mean_to_others(matrix), [0.5, 0.65, 0.35])
    assert np.isnan(mean_pairwise(np.eye(1)))


def test_linkages_of_clusters() -> None:
    """Single linkage gives the connected parts; of complete linkage any two members are alike; numbers ascend."""
    scores = np.random.default_rng(4).uniform(0.2, 0.8, size=(24, 24))
    matrix = np.triu(scores, 1) + np.triu(scores, 1).T + np.eye(24)
    labels = {linkage: cluster(matrix, threshold=0.78, linkage=linkage) for linkage in LINKAGES}
    count, parts = connected_components(matrix > 0.78)
    assert labels["single"].tolist() == parts.tolist()
    assert 1 < count < 24
    for label in np.unique(labels["complete"]):
        members = np.flatnonzero(labels["complete"] == label)
        assert (matrix[np.ix_(members, members)] > 0.78).all()
    counts = [count_clusters(matrix, threshold=0.78, linkage=linkage) for linkage in LINKAGES]
    assert counts == sorted(counts)
    for found in labels.values():
        _, first = np.unique(found, return_index=True)
        assert first.tolist() == sorted(first.tolist())
    with pytest.raises(InputError, match="unknown linkage 'ward'"):
        cluster(matrix, linkage="ward")


def test_clusters_of_a_matrix() -> None:
    """Two tight groups are two clusters, chains alone are clusters of their own."""
    matrix = np.full((5, 5), 0.3)
    matrix[:2, :2] = matrix[2:4, 2:4] = 0.9
    np.fill_diagonal(matrix, 1)
    assert count_clusters(matrix) == 3
    assert count_clusters(np.ones((4, 4))) == 1
    assert count_clusters(np.eye(4)) == 4
    assert count_clusters(np.eye(1)) == 1


def test_the_number_of_processes_changes_nothing(globins: list[Chain]) -> None:
    """Two processes return the very numbers of one, in the same order."""
    chains = [chain.coordinates[:60, 1] for chain in globins[:4]]
    np.testing.assert_array_equal(tm_matrix(chains, workers=1), tm_matrix(chains, workers=2))
    counted: list[int] = []
    assert list(ordered_map(abs, [-3, 2, -1], workers=1, advance=counted.append)) == [3, 2, 1]
    assert counted == [1, 1, 1]


def test_superposition_is_that_of_scipy() -> None:
    """The weighted rotation equals `Rotation.align_vectors`, for mirror images too, where it must stay a rotation."""
    rng = np.random.default_rng(0)
    mobile, weights = rng.normal(size=(6, 9, 3)), rng.uniform(0.1, 1, size=(6, 9))
    fixed = np.concatenate([rng.normal(size=(3, 9, 3)), mobile[3:] * [1, 1, -1]])
    rotation, mobile_centre, fixed_centre = superpose(mobile, fixed, weights)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    for k in range(6):
        expected, _ = Rotation.align_vectors(fixed[k] - fixed_centre[k], mobile[k] - mobile_centre[k], weights[k])
        np.testing.assert_allclose(rotation[k].T, expected.as_matrix(), atol=1e-7)


def test_the_alignment_in_sequence_is_the_best_there_is() -> None:
    """On small cases no choice of ascending pairs adds up to more, and the pairs returned add up to the score."""
    rng = np.random.default_rng(1)
    similarity = rng.uniform(size=(20, 4, 5)).astype(np.float32)
    scores, partners = align_in_sequence(similarity)
    for k in range(20):
        best = max(
            sum(similarity[k, i, j] for i, j in zip(rows, columns, strict=True))
            for count in range(1, 5)
            for rows in combinations(range(4), count)
            for columns in combinations(range(5), count)
        )
        chosen = [(i, j) for i, j in enumerate(partners[k].tolist()) if j >= 0]
        assert scores[k] == pytest.approx(best / 4, rel=1e-5)
        assert sum(similarity[k, i, j] for i, j in chosen) == pytest.approx(best, rel=1e-5)
        assert all(np.diff([j for _, j in chosen]) > 0)


def test_the_distance_of_the_score_follows_its_formula() -> None:
    """d0 of 100 residues is 3.65 A; short chains have 0.5 A."""
    assert tm_distance(100) == pytest.approx(1.24 * 85 ** (1 / 3) - 1.8)
    assert tm_distance(10) == 0.5


def test_a_turned_domain_is_found_inside_a_longer_chain(
    natural_store: ChainStore, globins: list[Chain], move: Callable[..., NDArray]
) -> None:
    """Sixty residues out of the middle of one of many chains lead to that chain, in any pose."""
    chains = [*(natural_store[i] for i in range(60)), *globins[:1]]
    part = move(globins[0].coordinates[40:100, 1].astype(np.float64))
    (nearest,) = search([part], chains, aligned=5)
    assert nearest.chain == 60
    assert nearest.tm_score == pytest.approx(1, abs=1e-3)


def test_the_search_finds_what_an_exhaustive_one_finds(natural_store: ChainStore) -> None:
    """Even where nothing is really alike, the best score found is that of all alignments, or next to it."""
    references = natural_store.select(np.arange(100))
    samples = [natural_store[i].coordinates[:, 1] for i in (200, 300)]
    exhaustive = [max(tm_score(sample, chain.coordinates[:, 1]).by_first for chain in references) for sample in samples]
    found = [neighbour.tm_score for neighbour in search(samples, references)]
    loss = np.array(exhaustive) - found
    assert loss.min() >= -1e-9
    assert loss.mean() <= 0.02


def test_excluded_chains_are_not_found(natural_store: ChainStore) -> None:
    """A sample's own chain can be left out; what is found then is another and less like it."""
    references = natural_store.select(np.arange(40))
    sample = references[7].coordinates[:, 1]
    itself, other = search([sample, sample], references, aligned=3, excluded=[np.array([], dtype=int), np.array([7])])
    assert itself.chain == 7
    assert itself.tm_score == pytest.approx(1, abs=1e-4)
    assert other.chain != 7
    assert other.tm_score < itself.tm_score


def test_references_much_shorter_than_a_sample_are_no_neighbours(globins: list[Chain]) -> None:
    """A sample of 140 residues has no neighbour among fragments of twenty."""
    fragments = [Chain("part", globins[0].coordinates[i : i + 20], "A" * 20, "C" * 20) for i in range(0, 100, 20)]
    assert search([globins[0].coordinates[:, 1]], fragments) == [(-1, 0.0)]
    assert [len(chosen) for chosen in ChainIndex([f.coordinates[:, 1] for f in fragments]).shortlist([], count=3)] == []
