"""What the commands that train share: settings from a file, in which options of the command line win."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_values(
    file: Path | None,
    *,
    columns: dict[str, Any],
    options: dict[str, Any],
    preprocessing: str | None,
    needed: Sequence[str],
) -> dict[str, Any]:
    """Return the mapping of a settings file with what was given on the command line.

    Parameters
    ----------
    file
        The file, YAML; none if None.
    columns, options
        Values of the command line by name; None where not given.
    preprocessing
        The kind of the preprocessing, if given.
    needed
        Columns that have to be named in one of the two places.

    Raises
    ------
    InputError
        If the file cannot be read or is no mapping, or a column is named nowhere.
    """
    import yaml

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
    missing = [f"--{name}" for name in needed if name not in values["columns"]]
    if missing:
        message = f"give {', '.join(missing)}, or a settings file with the columns"
        raise InputError(message)
    if preprocessing is not None:
        values["preprocessing"] = {**values.get("preprocessing", {}), "kind": preprocessing}
    return values


def read_times(text: str) -> list[float]:
    """Return the times that a text lists, in order.

    Raises
    ------
    InputError
        If one of them is no number.

    Examples
    --------
    >>> read_times("4,1.5")
    [1.5, 4.0]
    """
    from helicell.core.errors import InputError

    try:
        return sorted(float(part) for part in text.split(","))
    except ValueError as error:
        message = f"the times are {text!r}, expected numbers with commas between them"
        raise InputError(message) from error


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what a run folder says was measured."""
    import json

    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def tell_trained(path: Path, metrics: dict[str, Any], *, title: str) -> None:
    """Print the distances of a training's test as a table, and where the model is."""
    import typer

    from helicell.core import console

    if metrics:
        rows = [(name, *(metrics[measure][name] for measure in ("w1", "w2", "mmd"))) for name in metrics["mmd"]]
        console.print_table(title, ("", "W1", "W2", "MMD"), rows)
    typer.echo(f"model: {path}")
