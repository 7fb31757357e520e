"""`helicell cells report`: predicted cells, and what was measured on them, as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells report predicted.h5ad --reference data.h5ad --metrics metrics.json --model runs/drug --out report.html
"""


def command(
    predicted: Annotated[list[Path], typer.Argument(help="Predicted cells, the same files as for `evaluate`.")],
    *,
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The data: controls and treated cells.")],
    metrics: Annotated[Path, typer.Option("--metrics", "-m", help="What `helicell cells evaluate` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")],
    model: Annotated[
        Path | None, typer.Option(help="Model or run folder that predicted; draws the ways of the cells.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Predicted responses of cell populations",
    populations: Annotated[int, typer.Option(min=1, max=24, help="Populations that are drawn one by one.")] = 6,
    minimum_cells: Annotated[
        int | None, typer.Option(min=1, help="Leave out populations with fewer cells a side.")
    ] = None,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Write a report: cells, baselines, ways and tables in one self-contained HTML file."""
    from helicell.cells.evaluation import Evaluation
    from helicell.cells.flow import PopulationFlow
    from helicell.cells.report import write_cells_report
    from helicell.cells.results import read_results

    console.start_logging(quiet=quiet)
    evaluation = Evaluation.read(metrics)
    loaded = PopulationFlow.load(model / "model.safetensors" if model.is_dir() else model) if model else None
    results = read_results(
        predicted, reference, preprocessing=loaded.preprocessing if loaded else None, minimum_cells=minimum_cells
    )
    path = write_cells_report(results, evaluation, out, model=loaded, title=title, populations=populations)
    if as_json:
        console.print_json({"report": str(path), "populations": evaluation.populations})
    else:
        typer.echo(path)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
