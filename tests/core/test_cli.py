"""The `helicell` command: exit codes, one-line errors, and a start without heavy packages."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest
import typer

from helicell.core import cli
from helicell.core.errors import HelicellError, InputError

HEAVY = ["torch", "scanpy", "anndata", "lightning", "ot", "torch_geometric", "matplotlib", "biotite", "pandas", "scipy"]


def raising(error: BaseException):
    """Return an application of one command, `helicell broken now`, that raises the error."""
    app = typer.Typer()

    @app.command("now")
    def now() -> None:
        raise error

    @app.command("later")
    def later(*, count: int = 1) -> None:
        typer.echo(f"{count} later")

    return app


@pytest.fixture
def run_broken(monkeypatch, run_cli):
    """Return a function that runs `helicell broken now` with a command that raises the given error."""

    def run(error: BaseException, *arguments: str):
        point = EntryPoint(name="broken", value="none:none", group=cli.ENTRY_POINTS)
        monkeypatch.setattr(EntryPoint, "load", lambda self: raising(error))
        monkeypatch.setattr(cli, "entry_points", lambda group: [point])
        return run_cli("broken", *(arguments or ("now",)))

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("the length is 0,\n  expected 1 or more"), 2, "error: the length is 0, expected 1 or more\n"),
        (HelicellError("the job stopped"), 1, "error: the job stopped\n"),
        (FileNotFoundError(2, "No such file", "in"), 1, "error: No such file: in\n"),
        (
            PermissionError(13, "Permission denied", "out"),
            1,
            "error: Permission denied: out; choose another folder, or ask for the right to use this one\n",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_errors_become_one_line_and_an_exit_code(run_broken, error, code, line):
    """Whatever a command raises, the user sees one line on standard error, and scripts see the documented code."""
    result = run_broken(error)
    assert (result.code, result.err, result.out) == (code, line, "")


def test_a_bug_keeps_its_traceback(run_broken):
    """An error that is not the user's is not dressed up as one."""
    with pytest.raises(ZeroDivisionError):
        run_broken(ZeroDivisionError("division by zero"))


@pytest.mark.parametrize(
    "arguments",
    [["broken", "later", "--cuont", "3"], ["broken", "later", "--count", "three"], ["broken", "noow"], ["nothing"]],
)
def test_usage_errors_are_bad_input(run_broken, run_cli, arguments):
    """Misspelt options, wrong values and unknown commands end with code 2 and a line that says where to read on."""
    run_broken(ValueError("never raised"), "later")
    result = run_cli(*arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert "--help" in result.err


def test_a_command_that_ends_well_returns_zero(run_broken):
    """The output of the command is all there is."""
    result = run_broken(ValueError("never raised"), "later", "--count", "3")
    assert (result.code, result.out, result.err) == (0, "3 later\n", "")


def test_a_package_that_cannot_be_imported_leaves_the_others_usable(monkeypatch, run_cli, caplog):
    """One broken add-on does not take the whole command away."""

    def fail(self):
        message = "no module named x"
        raise ImportError(message)

    monkeypatch.setattr(EntryPoint, "load", fail)
    assert run_cli("--version").code == 0
    assert "left out" in caplog.text


def test_version_is_the_installed_one(run_cli):
    """`--version` prints the version that the packaging tools know."""
    result = run_cli("--version")
    assert (result.code, result.out) == (0, f"helicell {version('helicell')}\n")


def test_no_command_shows_the_help(run_cli):
    """A bare `helicell` shows what there is, and is an error for a script."""
    result = run_cli()
    assert result.code == 2
    assert "protein" in result.out
    assert result.err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["protein", "--help"], ["protein", "sample", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    """The help answers at once because no numerical package is imported for it."""
    code = (
        "import sys\n"
        "from helicell.core.cli import main\n"
        f"code = main({arguments!r})\n"
        f"print('HEAVY', *[name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY"


def test_a_reader_that_goes_away_is_no_traceback():
    """`helicell ... | head` ends quietly when `head` has seen enough."""
    helicell = Path(sys.executable).with_name("helicell")
    command = f"set -o pipefail; {helicell} --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_no_help_text_is_taken_for_markup():
    """What stands in square brackets is shown: rich would swallow `[default: ...]` as one of its tags."""
    from rich.text import Text

    def texts(command) -> Iterator[str]:
        yield from (parameter.help for parameter in command.params if getattr(parameter, "help", None))
        for child in getattr(command, "commands", {}).values():
            yield from texts(child)

    found = list(texts(typer.main.get_command(cli.build_app())))
    assert len(found) > 50
    assert [text for text in found if Text.from_markup(text).plain != text] == []
