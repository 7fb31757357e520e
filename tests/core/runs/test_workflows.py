"""Workflows are found by name, take their profile from the shipped ones or any folder, and run in this environment."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helicell.core.errors import InputError, MissingPackageError
from helicell.core.runs import workflows
from helicell.core.runs.workflows import Workflow, find_workflow, run_workflow


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A workflow of one rule that writes down which `helicell` a rule would call."""
    folder = tmp_path / "tiny"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow" / "Snakefile").write_text(
        'rule all:\n    output: config["name"]\n    shell: "command -v helicell > {output}; exit {config[code]}"\n'
    )
    (folder / "profiles" / "default").mkdir(parents=True)
    (folder / "profiles" / "default" / "config.yaml").write_text("cores: 1\nquiet: all\n")
    return Workflow("tiny", folder)


def test_protein_workflow_is_found() -> None:
    """The shipped workflow is known by name, with its files and profiles."""
    workflow = find_workflow("protein")
    assert workflow.snakefile.is_file()
    assert workflow.config_file.is_file()
    assert workflow.profiles == ["default", "slurm"]
    assert workflow.profile("slurm") == workflow.folder / "profiles" / "slurm"


def test_unknown_names_are_one_line_errors() -> None:
    """A misspelt workflow or profile names what exists, and exits with code 2."""
    with pytest.raises(InputError, match=r"unknown workflow 'protien' \(did you mean 'protein'\?\)"):
        find_workflow("protien")
    with pytest.raises(InputError, match=r"unknown profile 'nowhere'.*default, slurm"):
        find_workflow("protein").profile("nowhere")


def test_profile_of_ones_own(tmp_path: Path) -> None:
    """A folder with a config.yaml is a profile."""
    (tmp_path / "config.yaml").write_text("cores: 1\n")
    assert find_workflow("protein").profile(str(tmp_path)) == tmp_path


def test_missing_executor_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Slurm profile without the executor's package names the extra that brings it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r'pip install "helicell\[slurm\]"'):
        find_workflow("protein").profile("slurm")


def test_rules_find_the_command_of_this_environment(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments reach Snakemake, its exit code comes back, and rules see this Python's folder first on the path."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    options = ["--directory", str(tmp_path / "out"), "--config", "name=result.txt"]
    assert run_workflow(workflow, [*options, "code=0"]) == 0
    assert (tmp_path / "out" / "result.txt").read_text().strip() == str(Path(sys.executable).parent / "helicell")
    (tmp_path / "out" / "result.txt").unlink()
    assert run_workflow(workflow, [*options, "code=3"]) == 1


def test_installed_workflows_go_before_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installed package the workflows lie beside the packages, and a broken installation says so."""
    module = tmp_path / "helicell" / "core" / "runs" / "workflows.py"
    monkeypatch.setattr(workflows, "__file__", str(module))
    with pytest.raises(InputError, match="install helicell again"):
        workflows.workflows()
    folder = tmp_path / "helicell" / "workflows" / "protein"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow" / "Snakefile").touch()
    assert find_workflow("protein") == Workflow("protein", folder)


def test_command_line_hands_options_on(tmp_path: Path) -> None:
    """`helicell run protein` takes any option of Snakemake, its targets, and ends with 1 when Snakemake fails."""
    command = [str(Path(sys.executable).parent / "helicell"), "run", "protein"]
    dry = subprocess.run([*command, "-n", "--directory", str(tmp_path)], capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr
    assert "generate" in dry.stdout + dry.stderr
    wrong = subprocess.run(
        [*command, "no-such-target", "-n", "--directory", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("error: the workflow protein did not finish")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--configfile", "FILE"], r"mine.yaml: unknown key 'samplee' \(did you mean 'sample'\?\)"),
        (["-n", "--configfiles=FILE", "--cores", "1"], "unknown key 'samplee'"),
        (["--configfile", "nowhere.yaml"], "cannot read the settings file nowhere.yaml"),
        (["--config", "sample={lenghts: [60]}"], r"unknown key 'sample.lenghts' \(did you mean 'lengths'\?\)"),
        (["--config", "results=out", "sample={count: 0}"], "--config: sample.count is 0"),
        (["-C", "resultss=out"], "--config: unknown key 'resultss'"),
        (["--config", "sample={"], "cannot read the value of sample"),
    ],
)
def test_a_wrong_configuration_is_told_before_anything_starts(
    tmp_path: Path, run_cli: Callable, arguments: list[str], told: str
) -> None:
    """One line, exit code 2, and no folder made, whichever of Snakemake's options the configuration comes by."""
    file = tmp_path / "mine.yaml"
    file.write_text("samplee:\n  count: 2\n")
    given = [argument.replace("FILE", str(file)) for argument in arguments]
    result = run_cli("run", "protein", "--directory", tmp_path / "out", *given)
    assert result.code == 2
    assert re.search(told, result.err)
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
