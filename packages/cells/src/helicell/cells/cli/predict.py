"""`helicell cells predict`: treated cells from control cells."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells predict runs/drug --control cells.h5ad --condition trametinib --out predicted.h5ad
  helicell cells predict model.safetensors --control cells.h5ad --condition A+B@0.5 --dose 1 --out predicted.zarr
"""


def command(
    model: Annotated[Path, typer.Argument(help="Model file, or the run folder of a training.")],
    *,
    control: Annotated[Path, typer.Option(help="Control cells: .h5ad or .zarr; treated cells in it are left out.")],
    condition: Annotated[str, typer.Option(help="Treatment; several joined by +, each with its dose after @.")],
    dose: Annotated[float | None, typer.Option(help="Dose of treatments without one of their own.")] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="CSV of vectors of treatments, one a row after its name, for unseen ones.")
    ] = None,
    donors: Annotated[str | None, typer.Option(help="Only these donors, with commas.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver; by default as trained.")] = None,
    guidance: Annotated[float, typer.Option(help="Above 1, exaggerates what the treatment adds.")] = 1.0,
    noise: Annotated[float, typer.Option(min=0, help="Strength of noise, for models trained with some.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .h5ad or .zarr.")],
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Predict treated cells from control cells, one for each, in the measured features."""
    from helicell.cells.flow import PopulationFlow
    from helicell.cells.predicting import predict_to_file, read_embeddings
    from helicell.cells.tables import check_table_path
    from helicell.core.runs.files import sha256

    console.start_logging(quiet=quiet)
    check_table_path(out)
    path = model / "model.safetensors" if model.is_dir() else model
    cells, features = predict_to_file(
        PopulationFlow.load(path, device=device),
        control,
        condition,
        out,
        dose=dose,
        donors=donors.split(",") if donors is not None else None,
        embeddings=read_embeddings(embeddings) if embeddings is not None else None,
        steps=steps,
        guidance=guidance,
        noise=noise,
        seed=seed,
        facts={"model": path.name, "SHA-256 of the model": sha256(path)},
    )
    if as_json:
        console.print_json({"predicted": str(out), "cells": cells, "features": features})
    elif not quiet:
        typer.echo(f"{cells} cells: {out}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
