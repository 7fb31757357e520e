"""`helicell cells simulate`: populations whose response is known, as AnnData."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helicell.core import console

if TYPE_CHECKING:
    from anndata import AnnData

    from helicell.cells.columns import Columns

EXAMPLES = """\b
Examples:
  helicell cells simulate donors --donors 24 --out donors.h5ad
  helicell cells simulate letters --letters ABDEGHKMQRSWXY --out letters.h5ad
"""


def command(
    what: Annotated[str, typer.Argument(help="donors: cells that signal to each other. letters: points of the plane.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .h5ad or .zarr.")],
    *,
    settings: Annotated[Path | None, typer.Option(help="Settings file (YAML); options given here win.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything; 0 by default.")] = None,
    cells: Annotated[int | None, typer.Option(help="Cells of a population; 1000, or all pixels of a letter.")] = None,
    noise: Annotated[float | None, typer.Option(help="Standard deviation of the measurement's noise.")] = None,
    donors: Annotated[int | None, typer.Option(help="Donors: how many; 24 by default.")] = None,
    drugs: Annotated[int | None, typer.Option(help="Donors: how many drugs; 3 by default.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Donors: also every pair of drugs.")] = False,
    doses: Annotated[str | None, typer.Option(help="Donors: doses of every drug, such as 0.1,1,10.")] = None,
    signalling: Annotated[float | None, typer.Option(help="Donors: strength of the signals; 0 for none.")] = None,
    measurement: Annotated[str | None, typer.Option(help="Donors: cytometry (default) or counts.")] = None,
    letters: Annotated[str | None, typer.Option(help="Letters: which; A to Z by default.")] = None,
    rotations: Annotated[int | None, typer.Option(help="Letters: populations of each; 10 by default.")] = None,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Letters: both populations are drawn independently.")
    ] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Simulate populations of cells whose response to treatment is known."""
    from helicell.cells.tables import check_table_path, write_anndata

    console.start_logging(quiet=quiet)
    check_table_path(out)
    options: dict[str, Any] = {
        "seed": seed,
        "cells": cells,
        "noise": noise,
        "donors": donors,
        "drugs": drugs,
        "pairs": pairs or None,
        "doses": _numbers(doses),
        "signalling": signalling,
        "measurement": measurement,
        "letters": letters,
        "rotations": rotations,
        "paired": False if unpaired else None,
    }
    adata, columns = _simulated(what, settings, {name: value for name, value in options.items() if value is not None})
    write_anndata(out, adata)
    summary = {
        "file": str(out),
        "cells": adata.n_obs,
        "features": adata.n_vars,
        "donors": int(adata.obs[columns.donor].nunique()),
        "conditions": int((adata.obs[columns.condition].unique() != columns.control).sum()),
    }
    if as_json:
        console.print_json(summary | {"columns": columns.to_mapping()})
    elif not quiet:
        console.print_mapping(f"Simulated {what}", summary)
        named: dict[str, str | None] = {
            "donor": columns.donor,
            "condition": columns.condition,
            "control": columns.control,
            "cell-type": columns.cell_type,
            "dose": columns.dose,
        }
        options_of_train = " ".join(f"--{option} {value}" for option, value in named.items() if value is not None)
        typer.echo(f"Next: helicell cells train {out} {options_of_train} --out RUN")


def _simulated(what: str, file: Path | None, options: dict[str, Any]) -> "tuple[AnnData, Columns]":
    """Run the simulation of this name with the settings of the file and the options in their place."""
    from helicell.cells.simulate.donors import DonorSettings, DonorSimulation
    from helicell.cells.simulate.letters import COLUMNS, LetterSettings, letters_anndata
    from helicell.core.errors import unknown_option

    if what == "donors":
        chosen = DonorSettings.from_yaml(file) if file else DonorSettings()
        simulation = DonorSimulation.create(
            DonorSettings.from_mapping(chosen.to_mapping() | options, source="options of donors")
        )
        return simulation.anndata(), simulation.columns
    if what == "letters":
        drawn = LetterSettings.from_yaml(file) if file else LetterSettings()
        drawn = LetterSettings.from_mapping(drawn.to_mapping() | options, source="options of letters")
        return letters_anndata(drawn.simulate()), COLUMNS
    raise unknown_option("simulation", what, ["donors", "letters"])


def _numbers(text: str | None) -> list[str] | None:
    return None if text is None else text.split(",")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
