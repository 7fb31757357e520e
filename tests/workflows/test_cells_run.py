"""The whole cells workflow, as `helicell run cells` runs it: prepare, train, predict, evaluate, report."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HELICELL = Path(sys.executable).parent / "helicell"


def run(root: Path, folder: Path, *arguments: str) -> str:
    """Run the workflow in a folder and return what it printed."""
    configuration = root / "workflows" / "cells" / ".test" / "config" / "config.yaml"
    options = ["--directory", folder, "--cores", "2", "--configfile", configuration]
    ended = subprocess.run(
        [HELICELL, "run", "cells", *options, *arguments], capture_output=True, text=True, check=False, timeout=290
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def results(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the smallest run that passes through every stage."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(root / "workflows" / "cells" / ".test" / "config" / "training.yaml", folder)
    printed = run(root, folder)
    assert f"Report: {(folder / 'results' / 'report.html').resolve()}" in printed
    return folder / "results"


def test_every_stage_leaves_its_results(results: Path) -> None:
    """Two drugs are predicted for the held-out donor and measured beside the baselines; jobs left log and times."""
    rows = list(csv.DictReader((results / "metrics.csv").read_text().splitlines()))
    assert {(row["donor"], row["condition"]) for row in rows} == {("donor2", "drug1"), ("donor2", "drug2")}
    names = {"model", "identity", "global_shift", "nearest_shift", "own_shift", "floor"}
    assert {row["predictor"] for row in rows} == names
    metrics = json.loads((results / "metrics.json").read_text())
    trained = json.loads((results / "run" / "metrics.json").read_text())
    assert set(metrics["mmd"]) == set(trained["mmd"]) == names
    # What training measured of its own model, prediction through files repeats to their rounding.
    assert metrics["w2"] == pytest.approx(trained["w2"], rel=1e-3)
    jobs = {"prepare", "train", "evaluate", "report", "predict/1", "predict/2"}
    for place, suffix in (("logs", "log"), ("benchmarks", "tsv")):
        found = {
            str(file.relative_to(results / place).with_suffix("")) for file in results.glob(f"{place}/**/*.{suffix}")
        }
        assert found == jobs


def test_report_is_one_file_of_everything(results: Path) -> None:
    """The page names both populations, has the ways of the cells, and loads nothing."""
    page = (results / "report.html").read_text()
    for drug in ("drug1", "drug2"):
        assert page.count(drug) > 3
    assert "From control to prediction" in page
    assert page.count("<svg") >= 7
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []


def test_only_what_changed_is_done_again(results: Path, root: Path) -> None:
    """A second run finds everything done; another title makes the report anew and leaves the training alone."""
    before = (results / "run" / "model.safetensors").stat().st_mtime_ns
    assert "Nothing to be done" in run(root, results.parent)
    planned = run(root, results.parent, "--config", "report={title: Other}", "-n")
    assert re.findall(r"^rule (\w+):|^localrule (\w+):", planned, re.MULTILINE)
    assert "helicell cells report" in planned
    assert "helicell cells train" not in planned
    assert (results / "run" / "model.safetensors").stat().st_mtime_ns == before
