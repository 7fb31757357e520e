"""What the commands of all packages share: the options `--quiet` and `--json`, tables, and progress bars.

Only command-line modules import this one; libraries log and take a callback where they can tell of progress.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON, for programs.")]

UNFOLDED_WIDTH = 240


def start_logging(*, quiet: bool) -> None:
    """Send the messages of Helicell to standard error, only warnings when quiet."""
    logger = logging.getLogger("helicell")
    logger.handlers = [_ConsoleHandler()]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class _ConsoleHandler(logging.Handler):
    """Prints messages above a progress bar, if there is one, and never folds them."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        _stderr().print(f"{prefix}{self.format(record)}", markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; numbers stand to the right and are given to four digits."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) or row[position] is None for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    # In a file or a pipe there is no width to fold to.
    Console(width=None if sys.stdout.isatty() else UNFOLDED_WIDTH).print(table)


def print_mapping(title: str, values: Mapping[str, object]) -> None:
    """Print names and values as a table of two columns."""
    print_table(title, ("", "value"), list(values.items()))


@contextmanager
def progress_bar(description: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error, unless quiet or not on a terminal.

    Parameters
    ----------
    description
        What is being done.
    total
        How many steps there are.
    quiet
        Whether to show nothing.

    Yields
    ------
    callable
        To be called with the number of steps just done.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = _stderr()
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)


@cache
def _stderr() -> "Console":
    """One console for messages and progress bars, so that they make room for each other."""
    from rich.console import Console

    return Console(stderr=True)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
