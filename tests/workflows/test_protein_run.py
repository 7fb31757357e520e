"""The whole protein workflow, as `helicell run protein` runs it: generate, evaluate, report."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helicell.core.errors import HelicellError
from helicell.core.reports.browser import Browser

HELICELL = Path(sys.executable).parent / "helicell"


def run(folder: Path, *arguments: str | Path) -> str:
    """Run the workflow in a folder and return what it printed."""
    command = [HELICELL, "run", "protein", "--directory", folder, "--cores", "2", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def results(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the smallest run that passes through every stage."""
    folder = tmp_path_factory.mktemp("run")
    printed = run(folder, "--configfile", root / "workflows" / "protein" / ".test" / "config" / "config.yaml")
    assert f"Report: {(folder / 'results' / 'report.html').resolve()}" in printed
    return folder / "results"


def test_every_stage_leaves_its_results(results: Path) -> None:
    """Both shards together hold each backbone once; the measures have a row for each; every job left log and times."""
    tables = [file.read_text().splitlines() for file in sorted(results.glob("samples/*/samples.csv"))]
    assert len(tables) == 2
    samples = {int(row["index"]): row for table in tables for row in csv.DictReader(table)}
    assert {index: int(row["length"]) for index, row in samples.items()} == {0: 40, 1: 40, 2: 48, 3: 48}
    measures = list(csv.DictReader((results / "metrics.csv").read_text().splitlines()))
    assert sorted(int(row["length"]) for row in measures) == [40, 40, 48, 48]
    assert json.loads((results / "metrics.json").read_text())
    jobs = {"evaluate", "report", "generate/1_of_2", "generate/2_of_2"}
    assert {str(file.relative_to(results / "logs").with_suffix("")) for file in results.glob("logs/**/*.log")} == jobs
    assert {
        str(file.relative_to(results / "benchmarks").with_suffix("")) for file in results.glob("benchmarks/**/*.tsv")
    } == jobs


def test_nothing_is_done_twice(results: Path, root: Path) -> None:
    """A second run finds everything done and leaves it alone."""
    before = (results / "report.html").stat().st_mtime_ns
    printed = run(results.parent, "--configfile", root / "workflows" / "protein" / ".test" / "config" / "config.yaml")
    assert "Nothing to be done" in printed
    assert (results / "report.html").stat().st_mtime_ns == before


def test_report_is_one_file_of_everything(results: Path) -> None:
    """The page names every sample, holds the galleries of the configured size, and loads nothing."""
    page = (results / "report.html").read_text()
    for index in range(4):
        assert f"sample_{index:06d}" in page
    assert len(re.findall(r'<button type="button" data-structure=', page)) == 2 * 2
    assert page.count("<svg") >= 5
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []


@pytest.mark.browser
def test_report_draws_the_backbones(results: Path) -> None:
    """In a real browser the first structure's atoms are on the canvas and all four have a picture."""
    try:
        browser = Browser.find()
    except HelicellError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    document = browser.document(results / "report.html")
    (status,) = re.findall(r'<output class="status"([^>]*)>', document)
    assert dict(re.findall(r'data-(\w+)="([^"]*)"', status)) == {
        "state": "complete",
        "atoms": str(4 * 40),
        "pictures": "4",
    }
