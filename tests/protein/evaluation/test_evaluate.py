"""Evaluating sets of backbones: summaries, similarity, files and errors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation import Evaluation, ReferenceProfile, evaluate
from helicell.protein.evaluation.similarity import mean_pairwise, tm_matrix, tm_score
from helicell.protein.structures import Chain, write_backbone


def test_summaries_are_means_with_natural_figures_beside(natural: list[Chain]) -> None:
    """Means over the table, intervals around them, and natural figures that real chains agree with."""
    evaluation = evaluate(natural[:12])
    for name, mean in evaluation.overall.means.items():
        low, high = evaluation.overall.intervals.get(name, (mean, mean))
        assert low <= mean <= high
        if name in evaluation.table:
            assert mean == pytest.approx(evaluation.table[name].mean())
    assert evaluation.overall.natural["ca_ca_valid"] == pytest.approx(0.997, abs=0.003)
    assert evaluation.overall.means["rg_ratio_to_natural"] == pytest.approx(1, abs=0.1)
    assert sum(summary.samples for summary in evaluation.by_length.values()) == 12


def test_chains_of_the_reference_are_not_new(natural_store: ChainStore) -> None:
    """The nearest chain to a member of the store is itself; a random walk resembles nothing as much."""
    reference = natural_store.select(np.arange(100))
    walk = np.cumsum(np.random.default_rng(0).normal(size=(60, 1, 3), scale=2.2), axis=0)
    walk = (walk + np.array([[-1.2, 0.8, 0], [0, 0, 0], [1.5, 0, 0], [1.9, 1.1, 0]])).astype(np.float32)
    samples = [reference[3], reference[70], Chain("walk", walk, "A" * 60, "C" * 60)]
    table = evaluate(samples, reference=reference).table
    assert list(table["nearest"][:2]) == [samples[0].name, samples[1].name]
    assert (table["novelty_tm"][:2] > 0.999).all()
    assert table["novelty_tm"][2] < 0.6


def test_scores_are_those_of_tm_align(natural: list[Chain]) -> None:
    """A chain scores 1 with itself, whatever its pose, and pairs are symmetric."""
    ca = [chain.coordinates[:, 1] for chain in natural[:4]]
    assert tm_score(ca[0], ca[0][:, [1, 2, 0]] + 7).by_first == pytest.approx(1, abs=1e-4)
    matrix = tm_matrix(ca)
    np.testing.assert_allclose(matrix, matrix.T)
    assert mean_pairwise(matrix) == pytest.approx(matrix[np.triu_indices(4, 1)].mean())


def test_evaluations_survive_the_disk(natural: list[Chain], tmp_path: Path) -> None:
    """What is written is read back."""
    evaluation = evaluate(natural[:3], unreadable={"bad.cif": "cut"})
    evaluation.write(tmp_path / "metrics.json")
    read = Evaluation.read(tmp_path / "metrics.json")
    assert read.summary == pytest.approx(evaluation.summary)
    assert read.unreadable == {"bad.cif": "cut"}
    assert read.by_length.keys() == evaluation.by_length.keys()
    (tmp_path / "metrics.json").write_text('{"reference": 1}')
    with pytest.raises(InputError, match="evaluate again"):
        Evaluation.read(tmp_path / "metrics.json")


def test_nothing_to_evaluate_is_an_error() -> None:
    """An empty set is refused."""
    with pytest.raises(InputError, match="no backbone"):
        evaluate([])


def test_the_command_counts_what_it_cannot_read(natural: list[Chain], tmp_path: Path, run_cli: Callable) -> None:
    """A broken file among good ones is named, the others are measured."""
    folder = tmp_path / "samples"
    folder.mkdir()
    for i, chain in enumerate(natural[:3]):
        write_backbone(folder / f"s{i}.cif", chain.coordinates)
    (folder / "broken.cif").write_text((folder / "s0.cif").read_text()[:700])
    out = tmp_path / "metrics.json"
    result = run_cli("protein", "evaluate", folder, "--out", out, "--workers", "1", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["samples"] == 3
    assert list(json.loads(out.read_text())["unreadable"]) == ["broken.cif"]
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 4


def test_neither_processes_nor_order_change_the_result(natural: list[Chain]) -> None:
    """The same seed gives the same table whatever the number of processes; each row depends on its sample only."""
    samples = [chain for chain in natural if len(chain) < 80][:5]
    one, two = evaluate(samples, seed=3), evaluate(samples, seed=3, workers=2)
    assert one.table.equals(two.table)
    assert one.overall == two.overall
    backwards = evaluate(samples[::-1]).table.set_index("file").drop(columns="pairwise_tm")
    assert one.table.set_index("file").drop(columns="pairwise_tm").equals(backwards.loc[one.table["file"]])


def test_a_profile_can_stand_for_nature(natural: list[Chain], tmp_path: Path, run_cli: Callable) -> None:
    """The command takes a profile where it takes a store; then there are natural figures but no novelty."""
    ReferenceProfile.shipped().save(tmp_path / "profile.npz")
    write_backbone(tmp_path / "samples" / "a.pdb", natural[0].coordinates, format="pdb")
    options = ("--out", tmp_path / "m.json", "--reference", tmp_path / "profile.npz", "--workers", "1")
    result = run_cli("protein", "evaluate", tmp_path / "samples", *options)
    assert result.code == 0, result.err
    assert ReferenceProfile.shipped().description in result.out
    assert "nearest" not in (tmp_path / "m.csv").read_text()


@pytest.mark.parametrize(("name", "reason"), [("folder", "is a folder"), ("metrics.csv", "does not end in .json")])
def test_outputs_that_cannot_be_are_refused_before_the_work(
    tmp_path: Path, run_cli: Callable, name: str, reason: str
) -> None:
    """A folder, or the name of the table, is no place for the summaries."""
    (tmp_path / "folder").mkdir()
    result = run_cli("protein", "evaluate", tmp_path, "--out", tmp_path / name)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert reason in result.err


ALA = """\
ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N
ATOM      2  CA  ALA A   1      11.639   6.071  -5.147  1.00  0.00           C
ATOM      3  C   ALA A   1      12.959   5.307  -5.124  1.00  0.00           C
ATOM      4  O   ALA A   1      13.021   4.163  -5.578  1.00  0.00           O
END
"""
CA_ONLY = "ATOM      1  CA  ALA A   1      11.104   6.134  -6.504  1.00  0.00           C\nEND\n"


@pytest.mark.parametrize(
    ("name", "content"), [(None, ""), ("a.pdb", CA_ONLY), ("a.cif", "data_x\n_atom_site.id"), ("a.bcif", "x")]
)
def test_bad_folders_are_one_line_errors(tmp_path: Path, run_cli: Callable, name: str | None, content: str) -> None:
    """An empty folder, CA atoms alone, a single residue and truncated files: exit code 2, one line, nothing written."""
    folder = tmp_path / "samples"
    folder.mkdir()
    if name:
        (folder / name).write_text(content)
    result = run_cli("protein", "evaluate", folder, "--out", tmp_path / "metrics.json", "--quiet")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert not (tmp_path / "metrics.json").exists()
