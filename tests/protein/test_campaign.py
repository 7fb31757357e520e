"""Sampling until enough pass: which backbones are kept depends on their numbers alone, whatever happens on the way."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helicell.core.runs.manifest import Manifest
from helicell.protein.chains.store import write_store
from helicell.protein.evaluation.measures import measure_chain
from helicell.protein.evaluation.reference import ReferenceProfile
from helicell.protein.filtering import OWN_MEASURES, BackboneFilter
from helicell.protein.structures import Chain, read_backbone

FILTER = "rg < 9.5 and length >= 12"
OPTIONS = ("protein", "sample", "--length", "12,10-14", "--steps", "2", "--device", "cpu", "--quiet")
UNTIL = (*OPTIONS, "--filter", FILTER, "--until", "12")


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files but the log and the status, which hold times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("log.jsonl", "status.json")
    }


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a table."""
    return list(csv.DictReader((folder / name).read_text().splitlines()))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished search for twelve backbones."""
    from helicell.core.cli import main

    folder = tmp_path_factory.mktemp("search") / "out"
    assert main([*UNTIL, "--out", str(folder)]) == 0
    return folder


def test_the_first_that_pass_are_kept(kept: Path) -> None:
    """Every candidate up to the last kept one is in the table; those that pass, measured again, have the only files."""
    tried = table(kept, "tried.csv")
    assert [int(row["index"]) for row in tried] == list(range(len(tried)))
    assert tried[-1]["passed"] == "1"
    passed = [row for row in tried if row["passed"] == "1"]
    assert len(passed) == 12 < len(tried)
    assert [row["passed"] == "1" for row in tried] == [float(r["rg"]) < 9.5 and int(r["length"]) >= 12 for r in tried]
    samples = table(kept, "samples.csv")
    assert [row["index"] for row in samples] == [row["index"] for row in passed]
    assert sorted(path.name for path in kept.glob("sample_*")) == [row["file"] for row in samples]
    for row, entry in zip(samples, passed, strict=True):
        ca = read_backbone(kept / row["file"]).coordinates[:, 1]
        radius = np.sqrt(np.sum((ca - ca.mean(axis=0)) ** 2, axis=1).mean())
        assert radius == pytest.approx(float(entry["rg"]), abs=2e-3)
    manifest = Manifest.read(kept)
    assert set(manifest.outputs) == {row["file"] for row in samples} | {"samples.csv", "tried.csv"}
    assert manifest.changed_outputs(kept) == []


def test_candidates_are_those_of_any_job(kept: Path, tmp_path: Path, run_cli: Callable) -> None:
    """With another batch size the same candidates pass, with coordinates equal to 1e-3 A."""
    assert run_cli(*UNTIL, "--batch-size", "5", "--out", tmp_path / "out").code == 0
    assert [r["index"] for r in table(tmp_path / "out", "samples.csv")] == [
        r["index"] for r in table(kept, "samples.csv")
    ]
    for path in kept.glob("*.cif"):
        ours, theirs = (read_backbone(file).coordinates for file in (path, tmp_path / "out" / path.name))
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("lost", ["file", "rows", "line"])
def test_a_killed_search_goes_on_to_the_same_bytes(kept: Path, tmp_path: Path, run_cli: Callable, lost: str) -> None:
    """Whatever of the tables or files is missing or cut, resuming gives the folder of an uninterrupted search."""
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(kept, folder)
    (folder / "manifest.json").unlink()
    lines = (folder / "tried.csv").read_text().splitlines()
    if lost == "file":
        next(folder.glob("sample_*")).unlink()
    elif lost == "rows":
        (folder / "tried.csv").write_text("\n".join(lines[:7]) + "\n")
    else:
        (folder / "tried.csv").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:9])
    assert run_cli(*UNTIL, "--resume", "--out", folder).code == 0
    assert contents(folder) == contents(kept)


def test_a_search_can_be_extended(kept: Path, tmp_path: Path, run_cli: Callable) -> None:
    """A finished search resumed with a greater number ends as one that was asked for it at once."""
    few = (*OPTIONS, "--filter", FILTER, "--until", "5")
    assert run_cli(*few, "--out", tmp_path / "out").code == 0
    assert [r["index"] for r in table(tmp_path / "out", "samples.csv")] == [
        r["index"] for r in table(kept, "samples.csv")
    ][:5]
    assert run_cli(*UNTIL, "--resume", "--out", tmp_path / "out").code == 0
    assert contents(tmp_path / "out") == contents(kept)


def test_shards_share_the_search(kept: Path, tmp_path: Path, run_cli: Callable) -> None:
    """Each of three shards keeps a third, of its own candidates, which are those of the whole search."""
    whole = {row["index"]: row for row in table(kept, "tried.csv")}
    found = []
    for part in (1, 2, 3):
        folder = tmp_path / str(part)
        assert run_cli(*UNTIL, "--shard", f"{part}/3", "--out", folder).code == 0
        tried = table(folder, "tried.csv")
        assert {int(row["index"]) % 3 for row in tried} == {part - 1}
        assert all(row["seed"] == whole[row["index"]]["seed"] for row in tried if row["index"] in whole)
        found += [int(row["index"]) for row in table(folder, "samples.csv")]
    assert len(found) == len(set(found)) == 12


def test_a_hopeless_search_stops_and_can_go_on(tmp_path: Path, run_cli: Callable) -> None:
    """Exit code 1 with what was found kept; the status says why; with a greater bound it goes on where it stopped."""
    options = (*OPTIONS, "--filter", "rg < 1", "--until", "2", "--out", tmp_path / "out")
    result = run_cli(*options, "--at-most", "3")
    assert result.code == 1
    assert result.err == (
        "error: only 0 of 2 backbones passed 'rg < 1' among 3 tried; loosen the filter, or go on with --resume and a "
        "greater --at-most\n"
    )
    assert len(table(tmp_path / "out", "tried.csv")) == 3
    status = json.loads((tmp_path / "out" / "status.json").read_text())
    assert (status["state"], status["done"], status["tried"]) == ("failed", 0, 3)
    assert "only 0 of 2" in status["message"]
    assert run_cli(*options, "--at-most", "5", "--resume").code == 1
    assert len(table(tmp_path / "out", "tried.csv")) == 5


def test_a_filter_without_an_end_keeps_what_passes(tmp_path: Path, run_cli: Callable) -> None:
    """With a number of backbones instead, all of them are tried, and those that pass are the ones with files."""
    options = (*OPTIONS, "--count", "4", "--filter", "length == 12", "--out", tmp_path / "out", "--json")
    result = run_cli(*options)
    assert result.code == 0
    tried = table(tmp_path / "out", "tried.csv")
    assert len(tried) == 8
    assert len(json.loads(result.out)["samples"]) == sum(row["length"] == "12" for row in tried) < 8


def test_novelty_is_searched_for_where_it_matters(tmp_path: Path, run_cli: Callable) -> None:
    """Against a store of its own samples nothing is new; where the filter fails before, novelty is left empty."""
    base = ("protein", "sample", "--length", "20-24", "--count", "6", "--steps", "2", "--device", "cpu", "--quiet")
    assert run_cli(*base, "--out", tmp_path / "first").code == 0
    chains = [read_backbone(path) for path in sorted((tmp_path / "first").glob("*.cif"))]
    write_store(tmp_path / "store", chains, columns={"globular": [True] * len(chains)})
    result = run_cli(
        *base,
        "--filter",
        "length > 21 and novelty < 0.99",
        "--reference",
        tmp_path / "store",
        "--out",
        tmp_path / "two",
    )
    assert result.code == 0, result.err
    tried = table(tmp_path / "two", "tried.csv")
    assert [row["passed"] for row in tried] == ["0"] * 6
    assert all((row["novelty_tm"] == "") == (int(row["length"]) <= 21) for row in tried)
    assert all(float(row["novelty_tm"]) > 0.99 for row in tried if row["novelty_tm"])


BAD = {
    "unknown measure": (["--filter", "clashs == 0"], "'clashs' (did you mean 'clashes'?); known: clashes, novelty"),
    "a number": (["--filter", "helix"], "a number and not yes or no"),
    "a call": (["--filter", "__import__('os').system('x') == 0"], "allowed are names, numbers"),
    "until alone": (["--until", "3"], "--filter"),
    "at most alone": (["--at-most", "3", "--filter", "rg < 3"], "--until"),
    "no store": (["--filter", "novelty < 0.5"], "--reference"),
    "missing store": (["--filter", "novelty < 0.5", "--reference", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_filters_are_one_line_and_write_nothing(tmp_path: Path, run_cli: Callable, case: str) -> None:
    """Exit code 2, one line that says what to do, and no output folder."""
    options, expected = BAD[case]
    result = run_cli("protein", "sample", "--length", "9", *options, "--out", tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert expected in result.err
    assert not (tmp_path / "out").exists()


def test_a_filter_knows_all_that_one_backbone_tells() -> None:
    """The names of a filter are the measures of one backbone, in their order, besides those that compare backbones."""
    profile = ReferenceProfile.shipped()
    rng = np.random.default_rng(0)
    chain = Chain("x", np.cumsum(rng.normal(size=(20, 4, 3)), axis=0).astype(np.float32), "G" * 20, "C" * 20)
    measured = measure_chain(chain, ramachandran=profile.ramachandran, natural_rg=10.0)
    assert tuple(name for name in measured if name != "length") == OWN_MEASURES
    assert BackboneFilter("helix > 0").columns == OWN_MEASURES


def test_a_job_is_never_continued_with_another_model(tmp_path: Path, run_cli: Callable) -> None:
    """A model that changed under its name is noticed; --replace makes everything anew."""
    from helicell.protein.model import WEIGHTS

    model = tmp_path / "own.safetensors"
    model.write_bytes((WEIGHTS / "compact.safetensors").read_bytes())
    options = (*OPTIONS, "--count", "2", "--model", model, "--out", tmp_path / "out")
    assert run_cli(*options).code == 0
    before = contents(tmp_path / "out")
    inputs = json.loads((tmp_path / "out" / "inputs.json").read_text())
    assert inputs == {"model own": hashlib.sha256(model.read_bytes()).hexdigest()}
    (tmp_path / "out" / "inputs.json").write_text(json.dumps({"model own": "0" * 64}))
    refused = run_cli(*options, "--resume")
    assert refused.code == 2
    assert "inputs (model own has changed since)" in refused.err
    (tmp_path / "out" / "stray").mkdir()
    assert run_cli(*options, "--resume", "--replace").code == 0
    assert contents(tmp_path / "out") == before
