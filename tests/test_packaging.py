"""Packaging: the pins, the bounds and the scripts belong together."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(requirement.name): next(iter(requirement.specifier)).version
    for requirement in map(Requirement, (ROOT / "constraints.txt").read_text().splitlines()[1:])
}
# What runs on a GPU only, continuous integration cannot have passed with.
EXTRAS = {name: needed for name, needed in PROJECT["optional-dependencies"].items() if name != "gpu"}
REQUIREMENTS = sorted({*PROJECT["dependencies"], *(name for extra in EXTRAS.values() for name in extra)})


@pytest.mark.parametrize("requirement", [Requirement(text) for text in REQUIREMENTS], ids=str)
def test_the_pins_lie_within_the_bounds(requirement):
    """Everything that a user or developer installs is pinned to what continuous integration passed with."""
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= set(PROJECT["optional-dependencies"])
    else:
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_users_are_held_to_no_exact_version():
    """Exact pins are for constraints.txt; a library that has them cannot be installed beside others."""
    exact = [text for text in PROJECT["dependencies"] if "==" in text or "~=" in text]
    assert exact == []


def test_the_extras_that_messages_name_exist():
    """What an error tells users to install can be installed."""
    sources = (ROOT / "packages").rglob("*.py")
    named = {extra for source in sources for extra in re.findall(r'Error\(.*\bextra="(\w+)"', source.read_text())}
    assert named <= set(PROJECT["optional-dependencies"])


def test_nothing_drags_in_another_torch():
    """Packages that would replace the CPU build of torch, or cap numpy, are not among what gets installed."""
    assert not {"torchvision", "torchdyn", "torchcfm", "torchgfn", "pertpy"} & set(PINS)


def test_commands_of_the_packages_are_found():
    """The installed package announces the commands that pyproject.toml names; a stale installation would not."""
    announced = {entry.name: entry.value for entry in entry_points(group="helicell.cli")}
    assert announced == PROJECT["entry-points"]["helicell.cli"]


def test_continuous_integration_can_start():
    """The script can be executed, and its shell understands it."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
