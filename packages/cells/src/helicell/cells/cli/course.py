"""`helicell cells course`: a flow through time from a table of cells."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.cells.cli.reading import read_metrics, read_values, tell_trained
from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells course cells.h5ad --donor patient --time day --preprocessing arcsinh --out runs/course
  helicell cells course cells.h5ad --donor patient --time day --holdout combination=donor:P7+time:8 --out runs/test
"""


def command(
    data: Annotated[Path, typer.Argument(help="The cells: .h5ad or .zarr.")],
    *,
    donor: Annotated[str | None, typer.Option(help="Column of the donor, patient, sample or cell line.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time, a number.")] = None,
    condition: Annotated[str | None, typer.Option(help="Column of the treatment, to tell courses apart.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Column of the cell type, to tell courses apart.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the measurements; X by default.")] = None,
    features: Annotated[str | None, typer.Option(help="Features to use, with commas; all by default.")] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option(help="Inner visits to test on: time=8 or combination=donor:A+time:8; repeatable."),
    ] = None,
    preprocessing: Annotated[str | None, typer.Option(help="none, arcsinh or counts.")] = None,
    minimum_cells: Annotated[int | None, typer.Option(help="A visit with fewer cells is an error.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (YAML); options given here win.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything; 0 by default.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make; model.safetensors ends up in it.")],
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Learn how populations move and grow from visits at many times, and test it on visits that are held out.

    The metrics of the test, beside interpolation without training, are in metrics.json of the run folder.
    """
    from helicell.cells.timecourse.training import TimeTrainingSettings, train_to_folder

    console.start_logging(quiet=quiet)
    columns = {
        "donor": donor,
        "time": time,
        "condition": condition,
        "cell_type": cell_type,
        "layer": layer,
        "features": features.split(",") if features is not None else None,
    }
    options = {"seed": seed, "holdout": holdout or None, "minimum_cells": minimum_cells}
    values = read_values(
        settings, columns=columns, options=options, preprocessing=preprocessing, needed=("donor", "time")
    )
    chosen = TimeTrainingSettings.from_mapping(values, source=str(settings) if settings is not None else "options")
    path = train_to_folder(chosen, data, out, progress=not quiet)
    metrics = read_metrics(out)
    if as_json:
        console.print_json({"model": str(path), "metrics": metrics})
    elif not quiet:
        tell_trained(path, metrics, title="held-out visits")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
