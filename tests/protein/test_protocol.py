"""The published evaluation as a settings file, and the run from a model to its figures, resumed to the same bytes."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from folding import save_random_fold
from helicell.core.runs.manifest import Manifest
from helicell.protein.protocol import PUBLISHED_PROTOCOL, ProtocolSettings
from helicell.protein.sampling import plan_requests


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files below a folder but logs and status files, which hold times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("log.jsonl", "status.json")
    }


def test_the_published_protocol() -> None:
    """Fifty backbones of each of five lengths, eight sequences at temperature 0.1, two Angstrom."""
    settings = ProtocolSettings.from_yaml(PUBLISHED_PROTOCOL)
    lengths = [request.length for request in plan_requests(settings.sampling)]
    assert {length: lengths.count(length) for length in lengths} == dict.fromkeys((100, 150, 200, 250, 300), 50)
    judged = settings.designability
    assert (judged.sequences, judged.temperature, judged.weights, judged.kind) == (8, 0.1, "v_48_020", "vanilla")
    assert (judged.folding, judged.threshold) == ("facebook/esmfold_v1", 2.0)
    # What the file leaves to the defaults is what a run without a file takes.
    assert settings == ProtocolSettings()


def test_a_run_from_model_to_figures(tmp_path: Path, run_cli: Callable) -> None:
    """One small run; killed while it folds, and moved elsewhere, it ends with the same bytes."""
    pytest.importorskip("transformers")
    pytest.importorskip("protein_mpnn_utils")
    folding = save_random_fold(tmp_path / "weights")
    settings = {
        "sampling": {"length": "20,26", "count": 2, "steps": 3, "device": "cpu"},
        "designability": {"sequences": 2, "folding": str(folding), "device": "cpu"},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    given = ("protein", "benchmark", "--settings", tmp_path / "mine.yaml", "--workers", "1")
    done = run_cli(*given, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["overall"]["backbones"] == 4
    assert set(told["by_length"]) == {"20", "26"}
    assert {"helix", "strand", "pairwise_tm"} <= set(told["backbones"])
    run = tmp_path / "run"
    assert json.loads((run / "metrics.json").read_text()) == {k: v for k, v in told.items() if k != "folder"}
    assert Manifest.read(run).changed_outputs(run) == []
    killed = shutil.copytree(run, tmp_path / "killed")
    table = killed / "designability" / "sequences.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    for name in ("manifest.json", "metrics.json", "evaluation.json", "evaluation.csv", "designability/manifest.json"):
        (killed / name).unlink()
    shown = run_cli(*given, "--out", killed, "--resume")
    assert shown.code == 0, shown.err
    assert "best of 2 sequences a backbone" in shown.out
    # The settings of the part hold where its backbones lie.
    own = "designability/settings.yaml"
    assert contents(killed) | {own: ""} == contents(run) | {own: ""}


def test_absent_weights_are_told_before_sampling(tmp_path: Path, run_cli: Callable) -> None:
    """A run that could not be judged makes no backbone."""
    pytest.importorskip("transformers")
    pytest.importorskip("protein_mpnn_utils")
    done = run_cli("protein", "benchmark", "--folding", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert (done.code, "hf download" in done.err) == (2, True)
    assert not (tmp_path / "run").exists()
