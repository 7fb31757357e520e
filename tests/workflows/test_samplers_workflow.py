"""The samplers' workflow: its configuration is documented and checked, and a small run passes through every stage."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helicell.core.errors import InputError
from helicell.core.samplers.pipeline import PipelineSettings, schema_text

DIRECTIVES = {"log", "benchmark", "threads", "retries", "resources"}
SMALL = {
    "policy": {"hidden": 8},
    "process": {"steps": 4},
    "training": {"batch": 16, "warm_up": 1},
    "evaluation": {"samples": 50},
}


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of the workflow."""
    return root / "workflows" / "samplers"


@pytest.fixture
def snakemake(folder: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs Snakemake in an empty folder and gives what it printed."""

    def run(*arguments: str | Path) -> str:
        snakefile = folder / "workflow" / "Snakefile"
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cores", "1", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run


def test_schema_is_made_from_the_settings(folder: Path) -> None:
    """The committed schema is what the settings classes give today (`make schemas` writes it)."""
    assert (folder / "workflow" / "schemas" / "config.schema.yaml").read_text() == schema_text()


def test_configuration_names_every_key_with_its_default(folder: Path) -> None:
    """config.yaml holds exactly the keys of the settings, at their defaults, and a comment stands above each."""
    text = (folder / "config" / "config.yaml").read_text()
    assert yaml.safe_load(text) == PipelineSettings().to_mapping()
    lines = text.splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r"\w+:", line)]
    assert len(keys) == len(PipelineSettings().to_mapping())
    assert [lines[index] for index in keys if not lines[index - 1].startswith("#")] == []
    with pytest.raises(InputError, match="did you mean 'seeds'"):
        PipelineSettings.from_mapping({"seed": [1]})
    with pytest.raises(InputError, match="name"):
        PipelineSettings.from_mapping({"tasks": [{"name": "a/b", "energy": "gmm9"}]})


def test_every_rule_is_complete(folder: Path) -> None:
    """Each rule that does something logs, is timed, and says what it needs; each calls the command line only."""
    text = "".join(file.read_text() for file in (folder / "workflow" / "rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    assert set(rules) == {"train", "table"}
    for name, body in rules.items():
        present = set(re.findall(r"^    (\w+):", body, re.MULTILINE))
        assert present >= DIRECTIVES, name
        assert {"mem_mb", "runtime", "gpu"} <= set(re.findall(r"^        (\w+)=", body, re.MULTILINE)), name
        assert re.search(r'shell:\n        "helicell samplers \w+ ', body), name
        assert not present & {"run", "script", "notebook"}, name


def test_options_reach_the_commands(snakemake: Callable[..., str], tmp_path: Path) -> None:
    """A training for every task, objective and seed; switches and settings appear where they are given."""
    (tmp_path / "own.yaml").write_text("objective: db\n")
    (tmp_path / "mine.yaml").write_text(
        "tasks: [{name: wells, energy: many-well, dim: 4, settings: own.yaml}, {name: ring, energy: 'rings:ring'}]\n"
        "objectives: [vargrad, db]\nseeds: [3, 4]\nlangevin: true\nlocal_search: false\niterations: null\n"
    )
    text = snakemake("-n", "-p", "--configfile", "mine.yaml")
    trainings = re.findall(r"helicell samplers train .*", text)
    assert len(trainings) == 8
    assert all("--langevin --no-local-search --out" in command for command in trainings)
    assert not any("--iterations" in command for command in trainings)
    (one,) = (command for command in trainings if "wells.db.4" in command)
    assert "train own.yaml --energy many-well --objective db --seed 4 --dim=4 " in one
    assert sum("--energy rings:ring" in command for command in trainings) == 4
    (table,) = re.findall(r"helicell samplers table .*", text)
    assert table.count("results/runs/") == 8


def test_lint_is_clean(folder: Path, tmp_path: Path) -> None:
    """`snakemake --lint` finds nothing to say."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", folder / "workflow" / "Snakefile", "--lint"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_small_run(
    snakemake: Callable[..., str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings, table and figures are there, with a row for each training; a second run finds nothing to do."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    configuration = folder / ".test" / "config" / "config.yaml"
    snakemake("--configfile", configuration)
    results = tmp_path / "results"
    rows = list(csv.DictReader((results / "table.csv").read_text().splitlines()))
    assert [(row["run"], row["objective"]) for row in rows] == [("nine.tb.0", "tb"), ("nine.subtb.0", "subtb")]
    for row in rows:
        metrics = json.loads((results / "runs" / row["run"] / "metrics.json").read_text())
        assert float(row["log_z_rw_error"]) == metrics["log_z_rw_error"]
        assert "<svg" in (results / "runs" / row["run"] / "samples.svg").read_text()
    assert "nine.tb.0" in (results / "trainings.svg").read_text()
    assert "Nothing to be done" in snakemake("--configfile", configuration)
