"""`helicell protein evaluate`: backbones measured, beside natural chains."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein evaluate samples --out metrics.json
  helicell protein evaluate shard1 shard2 --reference stores/crystal --out metrics.json
"""


def command(
    folders: Annotated[list[Path], typer.Argument(help="Folders of backbones: PDB, mmCIF or BinaryCIF files.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; the table goes beside it as .csv.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="Store of natural chains (adds novelty), or a profile; that of the package by default."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses which samples are compared where there are many.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes for alignments; all cores by default.")] = None,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Evaluate backbones: bonds, angles, clashes, size, secondary structure, variety and novelty.

    Every file in the folders is one sample. A file that cannot be read is named and counted, never dropped in silence.
    """
    from helicell.protein.chains.cores import available_cores
    from helicell.protein.chains.store import ChainStore
    from helicell.protein.evaluation import ReferenceProfile, evaluate
    from helicell.protein.evaluation.evaluating import check_output
    from helicell.protein.evaluation.folder import read_folders, structure_files
    from helicell.protein.evaluation.measures import MEASURES

    console.start_logging(quiet=quiet)
    check_output(out)
    natural: ChainStore | ReferenceProfile | None = None
    if reference is not None:
        natural = ReferenceProfile.load(reference) if reference.is_file() else ChainStore.open(reference)
    total = sum(len(structure_files(folder)) for folder in folders) * (3 if isinstance(natural, ChainStore) else 2)
    with console.progress_bar("evaluating", total, quiet=quiet) as advance:
        samples = read_folders(folders, advance=advance)
        evaluation = evaluate(
            samples.chains,
            names=samples.files,
            reference=natural,
            unreadable={file.file: file.reason for file in samples.unreadable},
            seed=seed,
            workers=workers or available_cores(),
            advance=advance,
        )
    evaluation.write(out)
    if as_json:
        console.print_json({"metrics": str(out), "samples": len(evaluation.table), "summary": evaluation.summary})
        return
    for file, reason in evaluation.unreadable.items():
        typer.echo(f"left out: {file}: {reason}", err=True)
    if not quiet:
        overall = evaluation.overall
        rows = [
            (
                m.label,
                m.unit,
                overall.means[m.name],
                _interval(overall.intervals.get(m.name)),
                overall.natural.get(m.name),
            )
            for m in MEASURES
            if m.name in overall.means
        ]
        title = f"{len(evaluation.table)} backbones; natural: {evaluation.reference}"
        console.print_table(title, ("measure", "unit", "samples", "95 % interval", "natural"), rows)


def _interval(interval: tuple[float, float] | None) -> str:
    return "{:.3g} - {:.3g}".format(*interval) if interval else ""


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
