"""`helicell samplers table`: the metrics of several runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell samplers table runs/*/ --out table.csv
"""


def command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trainings or baselines.")],
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the table as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw the training of the runs, as SVG.")] = None,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Put the settings and metrics of runs into one table, a row a run."""
    from helicell.core.samplers.plots import write_comparison
    from helicell.core.samplers.results import COLUMNS, read_runs, write_table

    console.start_logging(quiet=quiet)
    rows = read_runs(runs)
    if out is not None:
        write_table(rows, out)
    if plot is not None:
        write_comparison(runs, plot)
    if as_json:
        console.print_json(rows)
    elif not quiet:
        console.print_table("runs", COLUMNS, [[row.get(column) for column in COLUMNS] for row in rows])


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
