"""`helicell protein design`: sequences for backbones, by ProteinMPNN."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein design backbones --out designs
  helicell protein design backbones --count 4 --temperature 0.2 --kind soluble --out designs
"""


def command(
    backbones: Annotated[Path, typer.Argument(help="Folder of backbones: PDB, mmCIF or BinaryCIF files.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make: sequences.fasta, .csv, and mmCIF files.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Sequences for each backbone.")] = 8,
    temperature: Annotated[float, typer.Option(help="Of the choice of letters; 0 takes the likeliest.")] = 0.1,
    weights: Annotated[str, typer.Option(help="v_48_002, v_48_010, v_48_020 or v_48_030.")] = "v_48_020",
    kind: Annotated[str, typer.Option(help="vanilla, soluble, or ca for CA atoms only.")] = "vanilla",
    seed: Annotated[int, typer.Option(help="Seed of the job; each backbone has its own stream.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Design sequences for backbones with ProteinMPNN, which comes with the extra helicell[mpnn].

    Each backbone is written with its best scored sequence; the score is the mean negative log-likelihood a residue.
    """
    from helicell.protein.designing import DesignSettings, design_to_folder
    from helicell.protein.evaluation.folder import structure_files

    console.start_logging(quiet=quiet)
    settings = DesignSettings.from_mapping(
        {
            "backbones": str(backbones),
            "count": count,
            "temperature": temperature,
            "weights": weights,
            "kind": kind,
            "seed": seed,
            "device": device,
        },
        source="options",
    )
    with console.progress_bar("designing", len(structure_files(backbones)), quiet=quiet) as advance:
        rows = design_to_folder(settings, out, progress=advance)
    best = [row.score for row in rows if row.rank == 1]
    if as_json:
        console.print_json({"folder": str(out), "sequences": [asdict(row) for row in rows]})
    elif not quiet:
        mean = sum(best) / len(best)
        typer.echo(f"{len(rows)} sequences for {len(best)} backbones in {out}; best scores {mean:.2f} on average")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
