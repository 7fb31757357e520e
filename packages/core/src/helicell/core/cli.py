"""The `helicell` command: it gathers the commands of the packages and turns errors into one line and an exit code.

A package adds its commands by an entry point of the group `helicell.cli`, whose value is a typer application.
Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from helicell.core import cli_run, cli_runs
from helicell.core.errors import HelicellError

ENTRY_POINTS = "helicell.cli"
FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

# What to do about errors of the system that stop a job in its output folder.
ADVICE = {
    errno.ENOSPC: "make room there and go on, with --resume where the command has it",
    errno.EDQUOT: "make room there or ask for more, and go on, with --resume where the command has it",
    errno.EROFS: "choose another output folder",
    errno.EACCES: "choose another folder, or ask for the right to use this one",
}

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        What stands after `helicell`; those of this process by default.
    """
    # Threads of torch that wait shall sleep: where cores are shared, spinning costs up to ten times the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        result = build_app()(args=arguments, prog_name="helicell", standalone_mode=False)
    except HelicellError as error:
        return _report(str(error), error.exit_code)
    except typer.TyperException as error:
        return _report(_with_hint(error), BAD_INPUT)
    except (typer.Abort, KeyboardInterrupt):
        return _report("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe went away; what Python still wants to flush at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _report(_describe(error), FAILED)
    if result == INTERRUPTED:
        return _report("interrupted", INTERRUPTED)
    return result if isinstance(result, int) else 0


def build_app() -> typer.Typer:
    """Return the application with the commands of every installed package."""
    app = typer.Typer(
        help="Generative dynamics of proteins and cells.",
        epilog="Exit codes: 0 done, 1 failed, 2 bad input.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    app.command("run", context_settings=cli_run.CONTEXT)(cli_run.command)
    app.add_typer(cli_runs.app, name="runs")
    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        try:
            group = entry.load()
        except ImportError as error:
            log.warning("the commands of %s are left out: %s", entry.name, error)
            continue
        app.add_typer(group, name=entry.name)
    return app


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"helicell {version('helicell')}")
        raise typer.Exit


def _global_options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _print_version(wanted=value),
            is_eager=True,
            help="Print the version and end.",
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _with_hint(error: typer.TyperException) -> str:
    """Return the message of a usage error, and where to read on."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if not message or context is None:
        return message
    return f"{message.rstrip('.')}; see: {context.command_path} --help"


def _describe(error: OSError) -> str:
    """Return what the system says, of which file, and what can be done about it."""
    told = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    advice = ADVICE.get(error.errno or 0)
    return f"{told}; {advice}" if advice else told


def _report(message: str, code: int) -> int:
    """Print the message, if there is one, as a single line, and return the exit code."""
    line = " ".join(message.split())
    if line:
        typer.echo(f"error: {line}", err=True)
    return code
