"""`helicell cells train`: a model of responses from a table of cells."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.cells.cli.reading import read_metrics, read_values, tell_trained
from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell cells train cells.h5ad --donor patient --condition drug --control DMSO --holdout donor=P7 --out runs/drug
  helicell cells train cells.h5ad --donor patient --condition drug --control DMSO --settings mine.yaml --out runs/mine
"""


def command(
    data: Annotated[Path, typer.Argument(help="The cells: .h5ad or .zarr.")],
    *,
    donor: Annotated[str | None, typer.Option(help="Column of the donor, patient, sample or cell line.")] = None,
    condition: Annotated[str | None, typer.Option(help="Column of the treatment.")] = None,
    control: Annotated[str | None, typer.Option(help="Value of that column of untreated cells.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Column of the cell type, to tell populations apart.")] = None,
    dose: Annotated[str | None, typer.Option(help="Column of the dose.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the measurements; X by default.")] = None,
    features: Annotated[str | None, typer.Option(help="Features to use, with commas; all by default.")] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option(help="Test populations: donor=A,B, condition=X or combination=donor:A+condition:X; repeatable."),
    ] = None,
    preprocessing: Annotated[str | None, typer.Option(help="none, arcsinh or counts.")] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="CSV of vectors of treatments, one a row after its name: treatments are known by them."),
    ] = None,
    minimum_cells: Annotated[int | None, typer.Option(help="Leave out populations with fewer cells a side.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (YAML); options given here win.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything; 0 by default.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make; model.safetensors ends up in it.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Train a model that predicts how populations of cells respond, and test it on held-out populations.

    The metrics of the test, beside those of the baselines, are in metrics.json of the run folder.
    """
    from helicell.cells.settings import TrainingSettings
    from helicell.cells.training import train_to_folder
    from helicell.core.runs.devices import choose_device

    console.start_logging(quiet=quiet)
    columns = {
        "donor": donor,
        "condition": condition,
        "control": control,
        "cell_type": cell_type,
        "dose": dose,
        "layer": layer,
        "features": features.split(",") if features is not None else None,
    }
    options = {"seed": seed, "holdout": holdout or None, "minimum_cells": minimum_cells}
    values = read_values(
        settings,
        columns=columns,
        options=options,
        preprocessing=preprocessing,
        needed=("donor", "condition", "control"),
    )
    path = train_to_folder(
        TrainingSettings.from_mapping(values, source=str(settings) if settings is not None else "options"),
        data,
        out,
        resume=resume,
        progress=not quiet,
        embeddings=embeddings,
        accelerator=choose_device(device).type,
        devices=1,
    )
    metrics = read_metrics(out)
    if as_json:
        console.print_json({"model": str(path), "metrics": metrics})
    elif not quiet:
        tell_trained(path, metrics, title="held-out populations")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
