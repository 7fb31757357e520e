"""The README and the documentation tell the truth: what they show runs, what they name exists."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from helicell.core.cli import build_app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "generated" not in page.parts]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a page shows after `$`."""

    page: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.name}: {' '.join(self.words)}"


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def commands(program: str) -> list[Command]:
    """Return what the pages show of one program, long lines joined and comments left out."""
    shown = []
    for page in PAGES:
        for block in blocks(page, "console"):
            lines = block.replace("\\\n", " ").splitlines()
            for line in (line.removeprefix("$ ") for line in lines if line.startswith("$ ")):
                words = tuple(shlex.split(line, comments=True))
                if words[:1] == (program,):
                    shown.append(Command(page, words))
    return shown


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_examples_run(page, tmp_path, monkeypatch):
    """The Python blocks of a page run one after another, as a reader would type them, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)  # noqa: S102


@pytest.mark.parametrize("command", commands("make"), ids=str)
def test_make_targets_exist(command):
    """Every `make TARGET` that a page shows is in the Makefile."""
    targets = re.findall(r"^([a-z][\w%-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in (word for word in command.words[1:] if "=" not in word and not word.startswith("-")):
        known = any(re.fullmatch(name.replace("%", ".+"), target) for name in targets)
        assert known, f"the Makefile has no target {target}"


@pytest.mark.parametrize("command", commands("helicell"), ids=str)
def test_helicell_commands_and_options_exist(command):
    """Every `helicell` command that a page shows exists and knows the options that it is given."""
    current = typer.main.get_command(build_app())
    words = list(command.words[1:])
    while words and hasattr(current, "commands"):
        if words[0].startswith("-"):
            break
        assert words[0] in current.commands, f"no command {words[0]}"
        current = current.commands[words.pop(0)]
    if current.context_settings.get("ignore_unknown_options"):
        return  # What this command does not know, it hands on to another program.
    known = {option for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    assert given <= known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Every file that a page links to or shows exists."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    missing = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_opens_with_the_two_commands():
    """A stranger sees first how to try Helicell, and how to test it."""
    first = blocks(ROOT / "README.md", "console")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["$ make demo", "$ make test"]
