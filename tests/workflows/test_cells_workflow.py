"""The cells workflow: its configuration is documented and checked, its jobs depend on each other as they should."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helicell.cells.pipeline import PipelineSettings, donors_of, schema_text
from helicell.cells.settings import TrainingSettings
from helicell.core.errors import InputError

DIRECTIVES = ("log", "benchmark", "threads", "retries", "resources")


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of the workflow."""
    return root / "workflows" / "cells"


@pytest.fixture
def plan(root: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that gives the jobs which Snakemake would run in an empty folder, with their commands."""

    def run(*arguments: str) -> str:
        snakefile = root / "workflows" / "cells" / "workflow" / "Snakefile"
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cores", "1", "-n", "-p", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    return run


def commands(plan: str, name: str) -> list[str]:
    """The planned calls of one `helicell cells` command."""
    return re.findall(rf"helicell cells {name} .*", plan)


def test_schema_is_made_from_the_settings(folder: Path) -> None:
    """The committed schema is what the settings classes give today (`make schemas` writes it)."""
    assert (folder / "workflow" / "schemas" / "config.schema.yaml").read_text() == schema_text()


def test_configuration_names_every_key_with_its_default(folder: Path) -> None:
    """config.yaml holds exactly the keys of the settings, at their defaults, and a comment stands above each."""
    text = (folder / "config" / "config.yaml").read_text()
    assert yaml.safe_load(text) == PipelineSettings().to_mapping()
    lines = text.splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r"\s+\w+:", line)]
    assert len(keys) == sum(len(part) for part in PipelineSettings().to_mapping().values() if isinstance(part, dict))
    assert [lines[index] for index in keys if not lines[index - 1].lstrip().startswith("#")] == []


def test_files_beside_the_configuration_are_valid(folder: Path) -> None:
    """The configuration for continuous integration and both trainings hold known keys only."""
    assert PipelineSettings.from_yaml(folder / ".test" / "config" / "config.yaml").simulate.donors == 4
    with pytest.raises(InputError, match=r"unknown key 'predict\.condition'"):
        PipelineSettings.from_mapping({"predict": {"condition": ["x"]}})
    for file in (folder / "config" / "training.yaml", folder / ".test" / "config" / "training.yaml"):
        columns = {"columns": {"donor": "d", "condition": "c", "control": "n"}}
        settings = TrainingSettings.from_mapping({**yaml.safe_load(file.read_text()), **columns}, source=str(file))
        assert settings.model.optimiser.steps <= 600


def test_every_rule_is_complete(folder: Path) -> None:
    """Each rule that does something logs, is timed, and says what it needs; each calls the command line only."""
    text = "".join(file.read_text() for file in (folder / "workflow" / "rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    assert set(rules) == {"prepare", "train", "predict", "evaluate", "report"}
    for name, body in rules.items():
        present = set(re.findall(r"^    (\w+):", body, re.MULTILINE))
        assert set(DIRECTIVES) <= present, name
        assert {"mem_mb", "runtime", "gpu"} <= set(re.findall(r"^        (\w+)=", body, re.MULTILINE)), name
        assert re.search(r'shell:\n        "helicell cells \w+ ', body), name
        assert not present & {"run", "script", "notebook"}, name


def test_lint_is_clean(folder: Path, tmp_path: Path) -> None:
    """`snakemake --lint` finds nothing to say."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", folder / "workflow" / "Snakefile", "--lint"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "in a good condition" in ended.stdout + ended.stderr


def test_simulated_donors_fit_the_defaults(plan: Callable[..., str]) -> None:
    """Without data, donors are simulated first; the held-out ones are predicted, a job for each drug."""
    text = plan()
    order = [text.index(f"helicell cells {name} ") for name in ("simulate", "train", "predict", "evaluate", "report")]
    assert order == sorted(order)
    (train,) = commands(text, "train")
    assert "results/data.h5ad --donor=donor --condition=condition --control=control --preprocessing=arcsinh" in train
    assert "--holdout=donor=donor03,donor07,donor11 --settings " in train
    first, second = sorted(commands(text, "predict"))
    assert "--condition=drug1 --donors=donor03,donor07,donor11" in first
    assert "--condition=drug2 --donors=donor03,donor07,donor11" in second
    for name in ("evaluate", "report"):
        (command,) = commands(text, name)
        assert "results/predicted/1.h5ad results/predicted/2.h5ad --reference results/data.h5ad" in command
        assert "--model results/run" in command


def test_data_of_ones_own(plan: Callable[..., str], tmp_path: Path) -> None:
    """Columns, treatments with doses and odd names reach the commands; nothing is simulated."""
    (tmp_path / "my screen.h5ad").touch()
    (tmp_path / "mine.yaml").write_text(
        "data: my screen.h5ad\n"
        "columns: {donor: patient, condition: drug, control: DMSO 1%, cell_type: type, dose: uM,"
        " features: [CD3, CD4]}\n"
        'train: {holdout: ["combination=donor:P1+condition:A+B"], minimum_cells: 60, preprocessing: counts}\n'
        "predict: {conditions: [A+B, C], doses: [0.5, 2], steps: 12}\n"
        'report: {title: "Bob\'s"}\n'
    )
    text = plan("--configfile", "mine.yaml")
    assert commands(text, "simulate") == []
    (train,) = commands(text, "train")
    assert "'my screen.h5ad' --donor=patient --condition=drug '--control=DMSO 1%' --cell-type=type --dose=uM" in train
    assert "--features=CD3,CD4 --preprocessing=counts --minimum-cells=60" in train
    assert "--holdout=combination=donor:P1+condition:A+B" in train
    predict = commands(text, "predict")
    assert sorted(re.findall(r"--condition=(\S+) --dose=(\S+)", command)[0] for command in predict) == [
        ("A+B", "0.5"),
        ("A+B", "2.0"),
        ("C", "0.5"),
        ("C", "2.0"),
    ]
    assert all("--donors=P1 --steps=12" in command for command in predict)
    for name in ("evaluate", "report"):
        assert "--minimum-cells=60" in commands(text, name)[0]
    assert """--title 'Bob'"'"'s'""" in commands(text, "report")[0]


@pytest.mark.parametrize(
    ("holdout", "donors"),
    [
        (["donor=A,B", "donor=C"], ["A", "B", "C"]),
        (["combination=condition:X+donor:A", "donor=A"], ["A"]),
        (["combination=donor:A+condition:X+Y,donor:B+cell_type:T"], ["A", "B"]),
        (["condition=X", "cell_type=T"], []),
    ],
)
def test_donors_of_holdouts(holdout: list[str], donors: list[str]) -> None:
    """The donors that are predicted are those that the hold-out names, as `train` reads it."""
    assert donors_of(holdout) == donors
