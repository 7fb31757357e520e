"""Sequence clusters: near relatives are never separated, by either method."""

import shutil

import numpy as np
import pytest

from helicell.core.errors import HelicellError, InputError
from helicell.protein.chains.clusters import choose_method, cluster_by_mmseqs, cluster_by_words, cluster_sequences

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")
needs_mmseqs = pytest.mark.skipif(shutil.which("mmseqs") is None, reason="mmseqs is not installed")


def draw(rng: np.random.Generator, length: int) -> str:
    """Draw a random sequence."""
    return "".join(rng.choice(LETTERS, length))


def mutate(sequence: str, identity: float, rng: np.random.Generator) -> str:
    """Exchange letters until about this share is left."""
    return "".join(letter if rng.random() < identity else rng.choice(LETTERS) for letter in sequence)


def together(clusters: np.ndarray, families: int) -> float:
    """Return the share of families, laid one after the other in rounds, whose members are in one cluster."""
    members = clusters.reshape(-1, families)
    return float(np.mean((members == members[0]).all(axis=0)))


def test_words_keep_relatives_together_and_strangers_apart():
    """Of families with 80 % identical, shortened and extended members none is separated; unrelated ones stay apart."""
    rng = np.random.default_rng(0)
    originals = [draw(rng, int(length)) for length in rng.integers(40, 250, 200)]
    mutants = [mutate(sequence, 0.8, rng) for sequence in originals]
    cut = [sequence[len(sequence) // 3 :] for sequence in originals]
    tagged = ["MGSSHHHHHHSSG" + sequence + "LE" for sequence in originals]
    inserted = [sequence[:20] + draw(rng, 6) + sequence[20:] for sequence in originals]
    clusters = cluster_by_words(originals + mutants + cut + tagged + inserted)
    assert together(clusters, 200) == 1.0
    # The tag itself joins some short ones; the originals alone are strangers.
    assert len(np.unique(cluster_by_words(originals))) == 200


def test_words_find_most_relatives_at_60_percent():
    """The sensitivity that the module states: at 60 % identity nine of ten are found."""
    rng = np.random.default_rng(1)
    originals = [draw(rng, int(length)) for length in rng.integers(60, 200, 200)]
    clusters = cluster_by_words(originals + [mutate(sequence, 0.6, rng) for sequence in originals])
    assert together(clusters, 200) > 0.85


def test_a_large_family_is_one_cluster():
    """Three hundred members, many more than a word is compared with, are strung together."""
    rng = np.random.default_rng(2)
    ancestor = draw(rng, 120)
    family = [mutate(ancestor, 0.85, rng) for _ in range(300)]
    assert np.unique(cluster_by_words([draw(rng, 100), *family])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [([], []), (["ACDE"], [0]), (["A", "", "A"], [0, 1, 2]), (["X" * 50, "X" * 50], [0, 1])],
)
def test_words_of_little(sequences, expected):
    """No sequences, short ones and unknown letters are no cause to fail or to join."""
    assert cluster_sequences(sequences, "words").tolist() == expected


@needs_mmseqs
def test_mmseqs_clusters_at_30_percent():
    """MMseqs2 keeps families of 60 % identity together, separates strangers, and numbers clusters as they come."""
    rng = np.random.default_rng(3)
    originals = [draw(rng, 120) for _ in range(15)]
    mutants = [mutate(sequence, 0.6, rng) for sequence in originals]
    clusters = cluster_by_mmseqs(originals + mutants, threads=1)
    assert clusters.tolist() == [*range(15), *range(15)]


def test_the_choice_of_the_method(monkeypatch):
    """Auto takes MMseqs2 where it is installed; asking for it where it is not says how to get it."""
    monkeypatch.setattr(shutil, "which", lambda program: "/usr/bin/mmseqs")
    assert [choose_method(method) for method in ("auto", "mmseqs", "words", "none")] == [
        "mmseqs",
        "mmseqs",
        "words",
        "none",
    ]
    monkeypatch.setattr(shutil, "which", lambda program: None)
    assert choose_method("auto") == "words"
    with pytest.raises(InputError, match="apt-get install mmseqs2"):
        choose_method("mmseqs")


def test_a_failing_program_is_told(tmp_path, monkeypatch):
    """When mmseqs fails, its last words are in the error."""
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(HelicellError, match="code 3: no space left"):
        cluster_by_mmseqs(["ACDEF"])
