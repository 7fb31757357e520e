"""The recipes of the containers: they can be parsed, copy what is needed, and install the pinned versions.

No container engine is needed, so the images themselves are not built here.
"""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "containers"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
SECTIONS = {
    "appenv", "appfiles", "apphelp", "appinstall", "applabels", "apprun", "apptest", "arguments", "environment",
    "files", "help", "labels", "post", "pre", "runscript", "setup", "startscript", "test",
}  # fmt: skip
# Of the apptainer sections, those that are programs of the shell.
PROGRAMS = ("environment", "post", "runscript", "test")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, lines joined."""
    lines = [line for line in (CONTAINERS / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, arguments.strip()) for name, _, arguments in pairs]


def definition() -> tuple[dict[str, str], dict[str, str]]:
    """Return the header and the sections of the apptainer definition."""
    text = "\n".join(
        line for line in (CONTAINERS / "helicell.def").read_text().splitlines() if not line.startswith("#")
    )
    head, *parts = re.split(r"^%", text, flags=re.MULTILINE)
    header = dict(line.split(": ", 1) for line in head.splitlines() if line.strip())
    sections = {part.split(maxsplit=1)[0]: part.partition("\n")[2] for part in parts}
    assert len(sections) == len(parts)
    return header, sections


def shell_understands(program: str) -> bool:
    """Whether the shell can parse a program."""
    return subprocess.run(["sh", "-n"], input=program, text=True, check=False, capture_output=True).returncode == 0


def test_the_dockerfile_has_known_instructions() -> None:
    """Each line is an instruction of Docker, the first names the base, and RUN holds what a shell can read."""
    parsed = instructions()
    assert {name for name, _ in parsed} <= INSTRUCTIONS
    assert parsed[0][0] == "FROM"
    assert all(shell_understands(arguments) for name, arguments in parsed if name == "RUN")
    for name, arguments in parsed:
        if name in ("ENV", "LABEL", "ARG"):
            assert all("=" in word for word in shlex.split(arguments)), arguments


def test_the_definition_has_known_sections() -> None:
    """Header and sections are those of apptainer; with arguments filled in, the shell can read the programs."""
    header, sections = definition()
    assert header["Bootstrap"] == "docker"
    assert set(sections) <= SECTIONS
    arguments = dict(line.strip().split("=", 1) for line in sections["arguments"].splitlines() if line.strip())
    filled = {
        name: re.sub(r"\{\{ (\w+) \}\}", lambda match: arguments[match[1]], text) for name, text in sections.items()
    }
    assert all(shell_understands(filled[name]) for name in PROGRAMS)
    assert "{{" not in "".join(filled.values())


def test_both_are_the_same_image() -> None:
    """One base, one set of copied files, one set of extras, one program that is run."""
    parsed = instructions()
    header, sections = definition()
    assert dict(parsed)["FROM"] == header["From"]
    copied = [word for name, arguments in parsed if name == "COPY" for word in shlex.split(arguments)[:-1]]
    assert copied == [line.split()[0] for line in sections["files"].splitlines() if line.strip()]
    assert re.search(r'EXTRAS="([\w,]+)"', str(parsed))[1] == re.search(r"extras=([\w,]+)", sections["arguments"])[1]
    assert dict(parsed)["ENTRYPOINT"] == '["helicell"]'
    assert sections["runscript"].strip() == 'exec helicell "$@"'


def test_what_is_copied_suffices() -> None:
    """All that is copied is there and let into the build, and all that the package's build needs is copied."""
    copied = [word for name, arguments in instructions() if name == "COPY" for word in shlex.split(arguments)[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    let_in = {line[1:] for line in (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied) == let_in
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "packages", "workflows"} <= set(copied)


def test_versions_are_those_of_continuous_integration() -> None:
    """Both install the pinned torch first and everything else under the constraints; the base is new enough."""
    runs = [arguments for name, arguments in instructions() if name == "RUN"]
    for text in (" ".join(runs), definition()[1]["post"]):
        installs = [line for line in re.split(r"\n|&&|(?<=\") (?=pip)", text) if "pip install" in line]
        assert len(installs) == 2
        assert "grep '^torch==' /opt/helicell/constraints.txt" in installs[0]
        assert "--constraint /opt/helicell/constraints.txt" in installs[1]
    base = re.fullmatch(r"python:(3\.\d+)-slim-bookworm", dict(instructions())["FROM"])
    assert base is not None
    assert f">={base[1]}" == PROJECT["requires-python"]
    extras = re.search(r'EXTRAS="([\w,]+)"', str(instructions()))[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_workflows_run_in_that_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every workflow names the image that the definition says to build, and another one by the environment variable."""
    from helicell.core.runs.workflows import container_image, workflows

    assert f"apptainer build {container_image()} containers/helicell.def" in (CONTAINERS / "helicell.def").read_text()
    for workflow in workflows().values():
        assert re.search(r"^container: container_image\(\)$", workflow.snakefile.read_text(), re.MULTILINE)
    monkeypatch.setenv("HELICELL_IMAGE", "/shared/images/helicell.sif")
    assert container_image() == "/shared/images/helicell.sif"
