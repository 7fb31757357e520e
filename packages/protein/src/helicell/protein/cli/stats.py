"""`helicell protein stats`: what is in a store of chains."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helicell.core import console

if TYPE_CHECKING:
    from helicell.protein.chains.statistics import Group

COLUMNS = ("chains", "residues", "clusters", "globular", "predicted", "helix", "strand", "coil", "rg")


def command(
    store: Annotated[Path, typer.Argument(help="Store of chains.")],
    *,
    plots: Annotated[
        Path | None, typer.Option(help="Folder of the figures (SVG); the folder plots in the store by default.")
    ] = None,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Draw no figures.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Print what is in a store of chains, and draw it.

    The figures show lengths, secondary structure, the radius of gyration against the length, and the Ramachandran map.
    """
    from dataclasses import asdict

    from helicell.protein.chains.statistics import describe_store
    from helicell.protein.chains.store import ChainStore

    console.start_logging(quiet=quiet)
    opened = ChainStore.open(store)
    with console.progress_bar("reading", len(opened), quiet=quiet) as advance:
        statistics = describe_store(opened, progress=advance)
    files = []
    if not no_plots:
        from helicell.protein.chains.figures import write_figures

        files = write_figures(statistics, plots or store / "plots")
    if as_json:
        groups = {"by_length": statistics.by_length, "by_source": statistics.by_source}
        listed = {name: [asdict(group) for group in groups[name]] for name in groups}
        facts = {"store": str(store), "fingerprint": opened.fingerprint, "total": asdict(statistics.total), **listed}
        console.print_json({**facts, "plots": [str(file) for file in files]})
        return
    _print_groups(f"{store}: by length", "residues", [*statistics.by_length, statistics.total])
    if statistics.by_source:
        _print_groups("By source", "source", statistics.by_source)
    for file in files:
        typer.echo(file)


def _print_groups(title: str, first: str, groups: Sequence["Group"]) -> None:
    """Print a row a group; columns that the store lacks are left out."""
    known = [name for name in COLUMNS if any(getattr(group, name) is not None for group in groups)]
    labels = [{"rg": "mean Rg (A)"}.get(name, name) for name in known]
    rows = [(group.name, *(getattr(group, name) for name in known)) for group in groups]
    console.print_table(title, (first, *labels), rows)
