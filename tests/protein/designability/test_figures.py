"""Figures of designability, from rows that are made by hand and chains whose folds are known."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from helicell.protein.designability.figures import best_of, diversity, summarise
from helicell.protein.designability.sequences import SequenceRow, append_rows, plan_groups, read_done, table_of
from helicell.protein.structures import Chain


def row(file: str, rank: int, rmsd: float, mean: float) -> SequenceRow:
    """Return a row of ten residues."""
    return SequenceRow(file, rank, 10, rank / 10, None, rmsd, mean, 1 / (1 + rmsd), 100 - 10 * rmsd, "A" * 10)


ROWS = [row("a.cif", 1, 3.0, 1.9), row("a.cif", 2, 2.5, 2.4), row("b.cif", 1, 1.5, 1.4), row("b.cif", 2, 2.1, 1.3)]


def test_the_best_of_each_backbone() -> None:
    """The sequence with the least RMSD is shown; the published distance is the least by itself."""
    table = best_of(ROWS, threshold=2.0)
    assert table["file"].tolist() == ["a.cif", "b.cif"]
    assert table["rank"].tolist() == [2, 1]
    assert table["score"].tolist() == [0.2, 0.1]
    assert table["rmsd"].tolist() == [2.5, 1.5]
    assert table["mean_displacement"].tolist() == [1.9, 1.3]
    assert table["tm_score"].tolist() == [1 / 3.5, 1 / 2.5]
    assert table["designable"].tolist() == [False, True]
    assert table["designable_by_mean_displacement"].tolist() == [True, True]


def shapes() -> list[NDArray[np.float64]]:
    """Return CA traces: two helices of 40 residues, a strand, a helix of 60."""

    def helix(length: int) -> NDArray[np.float64]:
        turn = np.deg2rad(100) * np.arange(length)
        return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(length)], axis=1)

    zigzag = np.stack([np.arange(40) % 2, np.zeros(40), 3.4 * np.arange(40)], axis=1)
    return [helix(40), helix(40) + 7.0, zigzag, helix(60)]


def test_diversity_counts_folds_of_designable_backbones() -> None:
    """Helices are one fold and a strand another; what is not designable is neither compared nor in a cluster."""
    chains = [
        Chain(f"{i}", np.repeat(trace[:, None], 4, axis=1).astype(np.float32), "G" * len(trace), "C" * len(trace))
        for i, trace in enumerate(shapes())
    ]
    table = pd.DataFrame({"length": [40, 40, 40, 60], "designable": [True, True, True, False]})
    found = diversity(table, chains, compared=250, seed=0)
    assert (found["compared"], found["threshold"]) == (3, 0.5)
    assert found["folds"] == {"single": 2, "average": 2, "complete": 2}
    assert table["cluster"].tolist()[:3] == [0, 0, 1]
    assert table["cluster"].isna().tolist() == [False, False, False, True]
    # One of three pairs scores 1, the others little.
    assert 1 / 3 < found["pairwise_tm"] < 0.6
    assert diversity(table, chains, compared=1, seed=0)["pairwise_tm"] is None
    table["designable"] = False
    none = diversity(table, chains, compared=250, seed=0)
    assert (none["compared"], none["folds"]["single"], none["pairwise_tm"]) == (0, 0, None)


def test_summary_over_lengths() -> None:
    """Shares are taken for each length and then over lengths; novelty is told of all and of the designable ones."""
    table = pd.DataFrame({
        "length": [50] * 4 + [90] * 4,
        "rmsd": [1.0, 1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 3.0],
        "mean_displacement": [1.0] * 4 + [3.0] * 4,
        "tm_score": [0.6] * 8,
        "plddt": [80.0] * 8,
        "designable": [True, True, True, False, True, False, False, False],
        "reference_tm": [0.4, 0.4, 0.4, 0.8, 0.6, np.nan, 0.8, 0.8],
    })  # fmt: skip
    metrics = summarise(table, sequences=8, threshold=2.0, diversity={}, unreadable={"c.cif": "damaged"})
    assert metrics["overall"]["designable"] == 0.5
    assert [metrics["by_length"][length]["designable"] for length in ("50", "90")] == [0.75, 0.25]
    spread = metrics["over_lengths"]["designable"]
    assert (spread["mean"], spread["deviation"]) == (0.5, pytest.approx(np.std([0.75, 0.25], ddof=1)))
    assert metrics["over_lengths"]["designable_by_mean_displacement"]["mean"] == 0.5
    assert metrics["novelty"]["reference"] == {"all": pytest.approx(0.6), "designable": pytest.approx(0.45)}
    assert metrics["unreadable"] == {"c.cif": "damaged"}


def test_rows_of_a_killed_job_are_read_whole(tmp_path) -> None:
    """A backbone counts when all its rows and its structure are there; half a line does not."""
    append_rows(tmp_path, ROWS[:2])
    append_rows(tmp_path, ROWS[2:])
    for name in ("a.cif", "b.cif"):
        (tmp_path / name).touch()
    assert read_done(tmp_path, 2) == {"a.cif": ROWS[:2], "b.cif": ROWS[2:]}
    text = table_of(ROWS)
    assert (tmp_path / "sequences.csv").read_text() == text
    for lost in range(1, len(text.splitlines()[-1]) + 1):
        (tmp_path / "sequences.csv").write_text(text[:-1][:-lost])
        assert read_done(tmp_path, 2) == {"a.cif": ROWS[:2]}
    (tmp_path / "sequences.csv").write_text(text)
    (tmp_path / "a.cif").unlink()
    assert read_done(tmp_path, 2) == {"b.cif": ROWS[2:]}


def test_groups_hold_like_lengths_within_what_is_folded_at_once() -> None:
    """Every backbone is in one group; the pairs of all its sequences stay within a batch of the folding network."""
    from helicell.protein.adapters.folding import PAIRS_PER_BATCH

    lengths = np.random.default_rng(1).integers(30, 200, 100).tolist()
    groups = plan_groups(lengths, 4)
    assert sorted(i for group in groups for i in group) == list(range(100))
    assert all(len(g) == 1 or 4 * len(g) * max(lengths[i] for i in g) ** 2 <= PAIRS_PER_BATCH for g in groups)
    assert len(groups) < 40
