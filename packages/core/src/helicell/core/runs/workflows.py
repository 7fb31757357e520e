"""The Snakemake workflows that come with Helicell: where they lie, and how they are run.

A workflow is a folder with ``workflow/Snakefile``, ``config/config.yaml`` and ``profiles/NAME/config.yaml``. In a
checkout the folders lie in ``workflows/`` at its root, in an installed package beside the packages. Where the package
of a workflow's name has a module ``pipeline`` with ``PipelineSettings``, a configuration is checked by it before
Snakemake starts, so that a misspelt key is one line and leaves nothing behind.
"""

import importlib
import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from helicell.core.errors import InputError, MissingPackageError, unknown_option
from helicell.core.runs.settings import Settings

__all__ = ["Workflow", "container_image", "find_workflow", "run_workflow", "workflows"]

DEFAULT_PROFILE = "default"
# The image that `containers/helicell.def` makes, as it is called there, and the variable that names another.
IMAGE = "helicell.sif"
IMAGE_VARIABLE = "HELICELL_IMAGE"
# Snakemake's options that give a configuration.
CONFIG_FILE_OPTIONS = ("--configfile", "--configfiles")
CONFIG_OPTIONS = ("--config", "-C")
# From packages/core/src/helicell/core/runs/ up to the root of a checkout.
LEVELS_TO_CHECKOUT = 6

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow by its name, and the folder that holds it."""

    name: str
    folder: Path

    @property
    def snakefile(self) -> Path:
        """The file that Snakemake starts from."""
        return self.folder / "workflow" / "Snakefile"

    @property
    def config_file(self) -> Path:
        """The configuration with every key, its default and its meaning."""
        return self.folder / "config" / "config.yaml"

    @property
    def profiles(self) -> list[str]:
        """The names of the profiles that come with the workflow."""
        return sorted(file.parent.name for file in self.folder.glob("profiles/*/config.yaml"))

    def profile(self, name: str) -> Path:
        """Find a profile: one of the workflow's own by name, or any other folder by its path.

        Raises
        ------
        InputError
            If there is neither.
        MissingPackageError
            If the profile's executor is a plugin of Snakemake that is not installed.
        """
        shipped = self.folder / "profiles" / name
        folder = shipped if name in self.profiles else Path(name)
        file = folder / "config.yaml" if folder.is_dir() else folder
        if not file.is_file():
            raise unknown_option("profile", name, [*self.profiles, "or a folder that holds a config.yaml"])
        _check_executor(file)
        return folder.resolve()


def workflows() -> dict[str, Workflow]:
    """Find all workflows, by name."""
    folder = _workflows_folder()
    found = sorted(file.parents[1] for file in folder.glob("*/workflow/Snakefile"))
    return {path.name: Workflow(path.name, path) for path in found}


def container_image() -> str:
    """Return the image that jobs run in where Snakemake is asked to use containers.

    It is `helicell.sif` in the working directory, or what the environment variable HELICELL_IMAGE names.
    """
    return os.environ.get(IMAGE_VARIABLE) or IMAGE


def find_workflow(name: str) -> Workflow:
    """Find a workflow by its name.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those that exist.
    """
    known = workflows()
    if name not in known:
        raise unknown_option("workflow", name, known)
    return known[name]


def run_workflow(workflow: Workflow, arguments: Sequence[str] = (), *, profile: str = DEFAULT_PROFILE) -> int:
    """Run a workflow by Snakemake, in the environment of this process.

    Parameters
    ----------
    workflow
        What to run.
    arguments
        Anything else for Snakemake: targets and options.
    profile
        Name of a profile of the workflow, or the folder of another.

    Returns
    -------
    int
        The exit code of Snakemake.

    Raises
    ------
    InputError
        If the configuration in the arguments has a wrong key or value, or there is no such profile.
    """
    _check_configuration(workflow, arguments)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(workflow.snakefile)),
        *("--profile", str(workflow.profile(profile))),
        *arguments,
    ]
    log.info("running workflow %s; its configuration is documented in %s", workflow.name, workflow.config_file)
    with subprocess.Popen(command, env=_environment()) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Snakemake got the interrupt as well and ends its jobs in order; it decides when it is done.
                continue


def _check_configuration(workflow: Workflow, arguments: Sequence[str]) -> None:
    """Check what the arguments say about the configuration by the settings of the workflow, if it has any."""
    package = f"helicell.{workflow.name}"
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(f"{package}.pipeline") is None:
        return
    settings: type[Settings] = importlib.import_module(f"{package}.pipeline").PipelineSettings
    for file in _values_of(CONFIG_FILE_OPTIONS, arguments):
        settings.from_yaml(file)
    pairs = [value.partition("=") for value in _values_of(CONFIG_OPTIONS, arguments)]
    for key, _, text in pairs:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            message = f"--config: cannot read the value of {key}: {text}"
            raise InputError(message) from error
        settings.from_mapping({key: value}, source="--config")


def _values_of(options: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the values of options that may take several, up to the next option."""
    values: list[str] = []
    taking = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            taking = name in options
            values += [value] if taking and equals else []
        elif taking:
            values.append(argument)
    return values


def _workflows_folder() -> Path:
    here = Path(__file__).resolve()
    installed = here.parents[2] / "workflows"
    checkout = here.parents[LEVELS_TO_CHECKOUT] / "workflows" if len(here.parents) > LEVELS_TO_CHECKOUT else installed
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    message = f"the workflows are missing from this installation ({installed}); install helicell again"
    raise InputError(message)


def _environment() -> dict[str, str]:
    """The environment with the folder of this Python first, so that rules find the `helicell` beside it."""
    programs = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])}


def _check_executor(file: Path) -> None:
    """Fail early, and with the way to mend it, when the executor of a profile is not installed."""
    settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    executor = settings.get("executor", "local")
    package = f"snakemake_executor_plugin_{executor.replace('-', '_')}"
    if executor == "slurm" and importlib.util.find_spec(package) is None:
        raise MissingPackageError(package, extra="slurm", purpose="running workflows on Slurm")
