"""Samples of a task in a folder: telling tables, resumed jobs with the same bytes, mistakes before anything is made."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helicell.core.errors import InputError
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.status import RunStatus
from helicell.protein.conditioning.folder import condition_to_folder
from helicell.protein.conditioning.settings import AssemblySettings, ScaffoldSettings, SteeringSettings
from helicell.protein.structures import THREE_LETTER, read_residues

SMALL = {"steps": 2, "count": 4, "batch_size": 2, "device": "cpu"}
CONTIG = "3-6/A25-30/6-9/A60-64/2-5"


@pytest.fixture
def settings(globin: Path) -> ScaffoldSettings:
    """Return the settings of four quick scaffolds in two batches."""
    return ScaffoldSettings(motif=str(globin), contig=CONTIG, **SMALL)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the table of a folder."""
    return list(csv.DictReader((folder / "samples.csv").read_text(encoding="utf-8").splitlines()))


def test_the_table_tells_where_the_motif_went(settings: ScaffoldSettings, globin: Path, tmp_path: Path) -> None:
    """At the places that the table tells, files have the letters of the motif's residues; the rest is glycine."""
    condition_to_folder(settings, tmp_path / "out")
    source = read_residues(globin)
    letters = dict(zip(zip(source.chain, source.number, strict=True), source.letters, strict=True))
    for row in rows_of(tmp_path / "out"):
        residues = read_residues(tmp_path / "out" / row["file"])
        assert len(residues.number) == int(row["length"])
        expected = ["G"] * int(row["length"])
        for entry in row["motif"].split():
            piece, _, places = entry.partition(":")
            numbers = range(int(piece[1:].split("-")[0]), int(piece.split("-")[1]) + 1)
            first = int(places.split("-")[0])
            for offset, number in enumerate(numbers):
                expected[first - 1 + offset] = letters[("A", str(number))]
        assert residues.letters.tolist() == expected
        assert set(expected) <= set(THREE_LETTER)
        assert 0 <= float(row["motif_rmsd"]) < 20


def test_a_resumed_job_ends_with_the_same_bytes(settings: ScaffoldSettings, tmp_path: Path) -> None:
    """Killed after three of four, with half a line in its table and a damaged file, it ends as one that was not."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    condition_to_folder(settings, whole)
    condition_to_folder(settings, broken)
    for name in ("manifest.json", "sample_000003.cif"):
        (broken / name).unlink()
    (broken / "sample_000001.cif").write_text("damaged")
    lines = (broken / "samples.csv").read_text().splitlines()
    (broken / "samples.csv").write_text("\n".join(lines[:4]) + "\n" + lines[4][:20])
    done: list[int] = []
    condition_to_folder(settings, broken, resume=True, progress=done.append)
    assert sum(done) == 4
    assert done[0] == 2
    for name in [*Manifest.read(whole).outputs, "manifest.json"]:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert RunStatus.read(broken).state == "finished"


def test_shards_make_the_whole_job(settings: ScaffoldSettings, tmp_path: Path) -> None:
    """Both halves together have the files of the whole, by name and seed."""
    whole = condition_to_folder(settings, tmp_path / "whole")
    halves = [
        row
        for part in ("1/2", "2/2")
        for row in condition_to_folder(settings.model_copy(update={"shard": part}), tmp_path / part[0])
    ]
    key = ("index", "file", "length", "seed", "contig")
    assert sorted([row[k] for k in key] for row in halves) == [[row[k] for k in key] for row in whole]


def test_an_assembly_is_one_file_of_all_chains(tmp_path: Path) -> None:
    """Chains A to D of a dihedral assembly stand in the file, as long as each other."""
    settings = AssemblySettings(symmetry="d2", length="6-9", format="pdb", **SMALL)
    for row in condition_to_folder(settings, tmp_path / "out"):
        residues = read_residues(tmp_path / "out" / row["file"])
        assert row["symmetry"] == "D2"
        assert residues.chain.tolist() == [letter for letter in "ABCD" for _ in range(int(row["length"]))]


def test_nothing_is_made_where_something_does_not_fit(settings: ScaffoldSettings, tmp_path: Path) -> None:
    """Wrong contigs, symmetries, rewards, files and folders are told before a folder is made."""
    wrong = [
        (settings.model_copy(update={"contig": "A1-4"}), "no residue 1 "),
        (settings.model_copy(update={"motif": "absent.pdb"}), "absent.pdb"),
        (settings.model_copy(update={"rewards": ("helxi",)}), "helxi"),
        (settings.model_copy(update={"length": "300"}), "length asked for is 300"),
        (AssemblySettings(symmetry="Q4", length="10", **SMALL), "unknown symmetry"),
        (SteeringSettings(length="1e3", rewards=("helix",), **SMALL), "cannot read the length"),
    ]
    for one, said in wrong:
        with pytest.raises(InputError, match=said):
            condition_to_folder(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="rewards"):
        SteeringSettings.from_mapping({"length": "10"})


def test_the_commands_print_what_came_out(run_cli: Callable, globin: Path, tmp_path: Path) -> None:
    """Each of the four commands samples into its folder and tells, as a table or as JSON; mistakes are one line."""
    quick = ("--steps", 2, "--count", 2, "--device", "cpu")
    result = run_cli("protein", "scaffold", "--motif", globin, "--contig", CONTIG, "--out", tmp_path / "s", *quick)
    assert result.code == 0, result.err
    assert "motif_rmsd" in result.out
    assert "2 samples" in result.out
    result = run_cli("protein", "assemble", "-s", "C2", "-l", 8, "--out", tmp_path / "a", *quick, "--json")
    assert [row["chains"] for row in json.loads(result.out)["samples"]] == ["2", "2"]
    result = run_cli("protein", "vary", tmp_path / "s" / "sample_000000.cif", "--out", tmp_path / "v", *quick)
    assert "rmsd_to_given" in result.out
    reward = ("--reward", "helix=2", "--reward", "contacts=0.1")
    result = run_cli("protein", "steer", "-l", 8, *reward, "--out", tmp_path / "r", *quick, "--quiet")
    assert result.out == ""
    assert "reward" in rows_of(tmp_path / "r")[0]
    result = run_cli("protein", "scaffold", "--motif", globin, "--contig", "A40-25", "--out", tmp_path / "w", *quick)
    assert result.code == 2
    assert result.err.strip() == "error: A40-25 in the contig runs backwards; write A25-40"
