"""`helicell protein conformers`: the Boltzmann distribution of a peptide's torsions."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein conformers --sequence A --out runs/alanine
  helicell protein conformers --sequence AAAAA --iterations 3000 --out runs/ala5
  helicell protein conformers --sequence GYG --reference none --samples 5000 --out runs/gyg
"""


def command(
    settings: Annotated[Path | None, typer.Argument(help="Settings file (YAML); options override it.")] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make.")],
    sequence: Annotated[str | None, typer.Option(help="One-letter codes; caps are added at both ends.")] = None,
    solvent: Annotated[str | None, typer.Option(help="gbn2, obc2 or vacuum.")] = None,
    temperature: Annotated[float | None, typer.Option(help="In kelvin.")] = None,
    reference: Annotated[str | None, typer.Option(help="auto, quadrature (two torsions), tempering, or none.")] = None,
    samples: Annotated[int | None, typer.Option(help="Conformations to draw.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations of the training.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is random.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Learn the Boltzmann distribution of a peptide's torsions, and hold it against a reference.

    Needs OpenMM, which comes with the extra helicell[openmm]. The force field is AMBER ff14SB with implicit solvent.
    The folder holds samples.npz, conformers.pdb, ramachandran.svg, metrics.json and the trained sampler.
    """
    from helicell.protein.conformers import ConformerSettings, study_conformers

    console.start_logging(quiet=quiet)
    given = (ConformerSettings.from_yaml(settings) if settings else ConformerSettings()).to_mapping()
    options = {
        "sequence": sequence,
        "solvent": solvent,
        "temperature": temperature,
        "samples": samples,
        "reference.method": reference,
        "sampler.seed": seed,
        "sampler.training.iterations": iterations,
    }
    for name, value in options.items():
        if value is not None:
            *parts, key = name.split(".")
            place = given
            for part in parts:
                place = place[part]
            place[key] = value
    chosen = ConformerSettings.from_mapping(given, source="options")
    with console.progress_bar("training", chosen.sampler.training.iterations, quiet=quiet) as advance:
        metrics = study_conformers(chosen, out, resume=resume, report=lambda _, __: advance(1))
    if as_json:
        console.print_json({"folder": str(out), **metrics})
    elif not quiet:
        shown = {key: value for key, value in metrics.items() if isinstance(value, float | int | str)}
        console.print_mapping(str(out), shown)
        for row in metrics["residues"]:
            shares = ", ".join(f"{name} {share:.3f}" for name, share in row["sampler"].items())
            distances = ", ".join(f"{key} {value:.4f}" for key, value in row.items() if isinstance(value, float))
            typer.echo(f"residue {row['residue']}: {shares}{'; ' + distances if distances else ''}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
