"""`helicell cells train`: a model of responses from a table of cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helicell.core import console

if TYPE_CHECKING:
    from helicell.cells.settings import TrainingSettings

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
    chosen = _settings(settings, columns, options, preprocessing)
    path = train_to_folder(
        chosen, data, out, resume=resume, progress=not quiet, accelerator=choose_device(device).type, devices=1
    )
    metrics = _metrics(out)
    if as_json:
        console.print_json({"model": str(path), "metrics": metrics})
    elif not quiet:
        if metrics:
            names = list(metrics["mmd"])
            rows = [(name, *(metrics[measure][name] for measure in ("w1", "w2", "mmd"))) for name in names]
            console.print_table("held-out populations", ("", "W1", "W2", "MMD"), rows)
        typer.echo(f"model: {path}")


def _settings(
    file: Path | None, columns: dict[str, Any], options: dict[str, Any], preprocessing: str | None
) -> "TrainingSettings":
    """Return the settings of a file with what was given on the command line."""
    import yaml

    from helicell.cells.settings import TrainingSettings
    from helicell.core.errors import InputError

    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            message = f"cannot read the settings file {file}: {' '.join(str(error).split())}"
            raise InputError(message) from error
    if not isinstance(values, dict):
        message = f"{file} holds a {type(values).__name__}, expected a mapping of keys to values"
        raise InputError(message)
    values |= {name: value for name, value in options.items() if value is not None}
    values["columns"] = {
        **values.get("columns", {}),
        **{name: value for name, value in columns.items() if value is not None},
    }
    missing = [f"--{name}" for name in ("donor", "condition", "control") if name not in values["columns"]]
    if missing:
        message = f"give {', '.join(missing)}, or a settings file with the columns"
        raise InputError(message)
    if preprocessing is not None:
        values["preprocessing"] = {**values.get("preprocessing", {}), "kind": preprocessing}
    return TrainingSettings.from_mapping(values, source=str(file) if file is not None else "options")


def _metrics(folder: Path) -> dict[str, Any]:
    import json

    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
