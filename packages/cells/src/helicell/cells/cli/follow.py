"""`helicell cells follow`: velocities, growth and trajectories of measured cells, for scanpy and scvelo."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells follow runs/course --data cells.h5ad --times 0,2,4,8 --out followed.h5ad
"""


def command(
    model: Annotated[Path, typer.Argument(help="Model file, or the run folder of `helicell cells course`.")],
    *,
    data: Annotated[Path, typer.Option(help="The visits: .h5ad or .zarr.")],
    times: Annotated[str | None, typer.Option(help="Times of trajectories, with commas; none by default.")] = None,
    embedding: Annotated[
        str | None, typer.Option(help="Embedding in obsm in which velocities are drawn, such as umap for X_umap.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .h5ad or .zarr.")],
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Write what a model says of measured cells into a copy of their table: velocities, growth, trajectories."""
    from helicell.cells.cli.reading import read_times
    from helicell.cells.tables import check_table_path, read_anndata, write_anndata
    from helicell.cells.timecourse import TimeCourseFlow, followed

    console.start_logging(quiet=quiet)
    check_table_path(out)
    path = model / "model.safetensors" if model.is_dir() else model
    result = followed(
        read_anndata(data), TimeCourseFlow.load(path), times=read_times(times) if times else (), embedding=embedding
    )
    write_anndata(out, result)
    if as_json:
        console.print_json({"followed": str(out), "cells": result.n_obs, "features": result.n_vars})
    elif not quiet:
        typer.echo(f"{result.n_obs} cells: {out}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
