"""`helicell protein import`: real chains into a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helicell.core import console

if TYPE_CHECKING:
    from helicell.protein.chains.importing import ImportSettings, ImportSummary


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of PDB, mmCIF or BinaryCIF files (also .gz), one such file, cgdms, "
            "promod3's structure_db.dat, or an .npz archive."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the store to make.")],
    *,
    settings: Annotated[Path | None, typer.Option(help="Settings file (YAML); options given here win.")] = None,
    min_length: Annotated[int | None, typer.Option(help="Fewest residues; 40 by default.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Most residues; 512 by default.")] = None,
    max_coil: Annotated[float | None, typer.Option(help="Largest share of coil, 0 to 1.")] = None,
    max_rg_ratio: Annotated[float | None, typer.Option(help="Largest Rg over 2.2 A * length^0.38.")] = None,
    min_contacts: Annotated[float | None, typer.Option(help="Fewest long-range contacts per residue.")] = None,
    max_distorted: Annotated[
        float | None, typer.Option(help="Largest share of misbuilt residues; 0.1 by default.")
    ] = None,
    globular: Annotated[bool, typer.Option("--globular", help="Keep compact folds only.")] = False,
    experimental: Annotated[bool, typer.Option("--experimental", help="Leave out predictions.")] = False,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Keep chains of equal sequence.")] = False,
    cluster: Annotated[
        str | None, typer.Option(help="Sequence clusters: auto (default), mmseqs (30 % identity), words, none.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read structure files; all cores by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is already there.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Import real chains into a store that trainings and evaluations read.

    Chains are cut at breaks; of each file the first model and the first alternative locations are taken.
    What cannot be read or does not pass the filters is counted in the summary; skipped.csv in the store names files.
    """
    from dataclasses import asdict

    from helicell.protein.chains.importing import import_chains
    from helicell.protein.chains.sources import open_source

    console.start_logging(quiet=quiet)
    limits = {
        "min_length": min_length,
        "max_length": max_length,
        "max_coil": max_coil,
        "max_rg_ratio": max_rg_ratio,
        "min_contacts": min_contacts,
        "max_distorted": max_distorted,
        "globular_only": globular or None,
        "experimental_only": experimental or None,
    }
    options = {"cluster": cluster, "workers": workers, "unique": False if duplicates else None}
    chosen = _settings(settings, limits, options)
    opened = open_source(source, workers=chosen.workers)
    with console.progress_bar("importing", opened.total, quiet=quiet) as advance:
        summary = import_chains(opened, out, settings=chosen, overwrite=overwrite, progress=advance)
    if as_json:
        console.print_json({"store": str(out), **asdict(summary)})
    else:
        _print_summary(summary, out)


def _settings(file: Path | None, limits: dict[str, Any], options: dict[str, Any]) -> "ImportSettings":
    """Return the settings of the file, or the defaults, with the given options in place."""
    from helicell.protein.chains.cores import available_cores
    from helicell.protein.chains.importing import ImportSettings

    settings = (ImportSettings.from_yaml(file) if file else ImportSettings(workers=available_cores())).to_mapping()
    settings["filter"] |= {name: value for name, value in limits.items() if value is not None}
    settings |= {name: value for name, value in options.items() if value is not None}
    return ImportSettings.from_mapping(settings, source="options")


def _print_summary(summary: "ImportSummary", out: Path) -> None:
    how = {"source": "from the source", "none": "not clustered"}.get(summary.cluster_method, summary.cluster_method)
    console.print_mapping(
        "Imported",
        {
            "store": out,
            f"items of {summary.kind}": summary.items,
            "chains": summary.chains,
            "residues": summary.residues,
            f"clusters ({how})": summary.clusters,
            "seconds": round(summary.seconds, 1),
        },
    )
    rows = [("skipped", reason, count) for reason, count in summary.skipped.items()]
    rows += [("filtered", reason, count) for reason, count in summary.filtered.items()]
    if rows:
        console.print_table("Left out", ("", "reason", "number"), rows)
