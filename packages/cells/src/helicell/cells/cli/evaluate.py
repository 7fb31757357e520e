"""`helicell cells evaluate`: predicted cells measured against the treated ones, beside the baselines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helicell.core import console

if TYPE_CHECKING:
    from helicell.cells.columns import Columns
    from helicell.cells.evaluation import Evaluation
    from helicell.cells.preprocessing import Preprocessing, PreprocessingSettings

EXAMPLES = """\b
Examples:
  helicell cells evaluate predicted.h5ad --reference data.h5ad --out metrics.json
  helicell cells evaluate drug1.h5ad drug2.h5ad --reference data.h5ad --model runs/drugs --out metrics.json
  helicell cells evaluate others.h5ad --reference data.h5ad --donor patient --condition drug --control DMSO -o m.json
"""
# Measures of the table that is printed; all are in the file.
SHOWN = ("w1", "w2", "mmd", "energy", "mean_error", "correlation", "pearson_delta")


def command(
    predicted: Annotated[list[Path], typer.Argument(help="Predicted cells: .h5ad or .zarr, one file or several.")],
    *,
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The data: controls and treated cells.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; the table goes beside it as .csv.")],
    model: Annotated[
        Path | None, typer.Option(help="Model or run folder that predicted; by default its settings, fitted again.")
    ] = None,
    donor: Annotated[str | None, typer.Option(help="Column of the donor; by default as the predictions say.")] = None,
    condition: Annotated[str | None, typer.Option(help="Column of the treatment.")] = None,
    control: Annotated[str | None, typer.Option(help="Value of that column of untreated cells.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Column of the cell type.")] = None,
    dose: Annotated[str | None, typer.Option(help="Column of the dose.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the data that holds the measurements.")] = None,
    preprocessing: Annotated[
        Path | None, typer.Option(help="Settings file (YAML) of the space to measure in, without a model.")
    ] = None,
    cells: Annotated[int, typer.Option(min=2, help="At most so many cells of each population are compared.")] = 500,
    minimum_cells: Annotated[
        int | None, typer.Option(min=1, help="Leave out populations with fewer cells a side.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often the compared cells are drawn.")] = 1,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Evaluate predicted cells: every measure beside identity, shifts of the training populations, and the floor.

    Columns, training populations and preprocessing are taken from the predictions, where they say so.
    """
    from helicell.cells.evaluation.evaluating import check_output
    from helicell.cells.results import evaluate_results, read_results

    console.start_logging(quiet=quiet)
    check_output(out)
    results = read_results(
        predicted,
        reference,
        columns=_columns(donor, condition, control, cell_type=cell_type, dose=dose, layer=layer),
        preprocessing=_preprocessing(model, preprocessing),
        minimum_cells=minimum_cells,
    )
    spaces = 1 if results.feature_space is None else 2
    with console.progress_bar("evaluating", spaces * len(results.model_space.held_out), quiet=quiet) as advance:
        evaluation = evaluate_results(results, cells=cells, seeds=range(seeds), advance=advance)
    evaluation.write(out)
    if as_json:
        console.print_json({"metrics": str(out), **evaluation.metrics()})
    elif not quiet:
        _print(evaluation, out)


def _columns(
    donor: str | None,
    condition: str | None,
    control: str | None,
    *,
    cell_type: str | None,
    dose: str | None,
    layer: str | None,
) -> "Columns | None":
    """The columns that were given; None where they are the predictions' own."""
    from helicell.cells.columns import Columns
    from helicell.core.errors import InputError

    given = {"donor": donor, "condition": condition, "control": control}
    others = {"cell_type": cell_type, "dose": dose, "layer": layer}
    if not any((*given.values(), *others.values())):
        return None
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        message = f"columns that are given replace all that the predictions say: give {' and '.join(missing)} as well"
        raise InputError(message)
    return Columns.from_mapping({**given, **others}, source="options")


def _preprocessing(model: Path | None, settings: Path | None) -> "Preprocessing | PreprocessingSettings | None":
    from helicell.core.errors import InputError

    if model is not None and settings is not None:
        message = "a model brings its own preprocessing; give either --model or --preprocessing"
        raise InputError(message)
    if settings is not None:
        from helicell.cells.preprocessing import PreprocessingSettings

        return PreprocessingSettings.from_yaml(settings)
    if model is None:
        return None
    from helicell.cells.flow import PopulationFlow

    return PopulationFlow.load(model / "model.safetensors" if model.is_dir() else model).preprocessing


def _print(evaluation: "Evaluation", out: Path) -> None:
    from helicell.cells.evaluation.measures import MEASURES

    shown = [name for name in SHOWN if name in evaluation.measures]
    summary = evaluation.summary()
    rows = [(name, *(summary[measure][name] for measure in shown)) for name in evaluation.predictors]
    title = f"{evaluation.populations} populations, at most {evaluation.cells} cells of each"
    console.print_table(title, ("", *(MEASURES[name].label for name in shown)), rows)
    typer.echo(f"metrics: {out} and {out.with_suffix('.csv').name}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
