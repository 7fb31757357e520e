"""`helicell protein report`: samples and what was measured on them as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein report samples --metrics metrics.json --out report.html
  helicell protein report shard1 shard2 --metrics metrics.json --reference stores/chains --out report.html
"""


def command(
    folders: Annotated[list[Path], typer.Argument(help="Folders of backbones, the same as for `evaluate`.")],
    *,
    metrics: Annotated[Path, typer.Option("--metrics", "-m", help="What `helicell protein evaluate` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")],
    reference: Annotated[
        Path | None, typer.Option(help="Store of natural chains for the figures; those of the package by default.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Generated protein backbones",
    structures: Annotated[int, typer.Option(min=1, max=64, help="Structures in each gallery of the viewer.")] = 8,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Write a report: tables, figures and a 3D viewer in one self-contained HTML file."""
    from helicell.protein.chains.store import ChainStore
    from helicell.protein.report import write_protein_report
    from helicell.protein.results import read_results

    console.start_logging(quiet=quiet)
    results = read_results(folders, metrics)
    store = ChainStore.open(reference) if reference else None
    path = write_protein_report(results, out, reference=store, title=title, structures=structures)
    if as_json:
        console.print_json({"report": str(path), "samples": len(results.paths)})
    else:
        typer.echo(path)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
