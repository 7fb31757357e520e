"""What the commands of all packages share: the options `--quiet` and `--json`, tables, and progress bars.

Only command-line modules import this one; libraries log and take a callback where they can tell of progress.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON, for programs.")]


def start_logging(*, quiet: bool) -> None:
    """Send the messages of Helicell to standard error, only warnings when quiet."""
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False, show_level=False)
    logger = logging.getLogger("helicell")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; numbers stand to the right and are given to four digits."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) or row[position] is None for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
