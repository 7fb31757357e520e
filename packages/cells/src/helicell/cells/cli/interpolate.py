"""`helicell cells interpolate`: populations at times at which nobody looked."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells interpolate runs/course --data cells.h5ad --times 8 --out day8.h5ad
  helicell cells interpolate runs/course --data cells.h5ad --times 1,2.5,4 --donors P7 --cells 1000 --out P7.zarr
"""


def command(
    model: Annotated[Path, typer.Argument(help="Model file, or the run folder of `helicell cells course`.")],
    *,
    data: Annotated[Path, typer.Option(help="The visits: .h5ad or .zarr.")],
    times: Annotated[str, typer.Option(help="Times, with commas, each between the first and the last visit.")],
    donors: Annotated[str | None, typer.Option(help="Only these donors, with commas.")] = None,
    transport: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the cells from linear transport instead of the flow.")
    ] = 0.0,
    cells: Annotated[int | None, typer.Option(min=1, help="Cells of each population; by default as measured.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of draws.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .h5ad or .zarr.")],
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Predict what populations were between their visits, in the measured features."""
    from helicell.cells.cli.reading import read_times
    from helicell.cells.tables import check_table_path, write_anndata
    from helicell.cells.timecourse import TimeCourseFlow
    from helicell.cells.timecourse.predicting import interpolate
    from helicell.core.runs.files import sha256

    console.start_logging(quiet=quiet)
    check_table_path(out)
    path = model / "model.safetensors" if model.is_dir() else model
    predicted = interpolate(
        TimeCourseFlow.load(path),
        data,
        read_times(times),
        donors=donors.split(",") if donors is not None else None,
        transport=transport,
        count=cells,
        seed=seed,
        facts={"model": path.name, "SHA-256 of the model": sha256(path)},
    )
    write_anndata(out, predicted)
    if as_json:
        console.print_json({"predicted": str(out), "cells": predicted.n_obs, "features": predicted.n_vars})
    elif not quiet:
        typer.echo(f"{predicted.n_obs} cells: {out}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
