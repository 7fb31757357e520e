"""`helicell protein designability`: whether the sequences designed for backbones fold back into them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein designability backbones --out designability
  helicell protein designability backbones --folding weights/esmfold --reference stores/crystal --out designability
"""


def command(
    backbones: Annotated[list[Path], typer.Argument(help="Folders of backbones: PDB, mmCIF or BinaryCIF files.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make: tables, predicted structures, metrics.")],
    sequences: Annotated[int, typer.Option("--sequences", "-n", help="Sequences for each backbone.")] = 8,
    folding: Annotated[
        str | None, typer.Option(help="Weights of ESMFold: a folder, or a name in the cache of the model hub.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of the choice of letters; 0 takes the likeliest.")] = 0.1,
    weights: Annotated[
        str, typer.Option(help="Of ProteinMPNN: v_48_002, v_48_010, v_48_020 or v_48_030.")
    ] = "v_48_020",
    kind: Annotated[str, typer.Option(help="vanilla, soluble, or ca for CA atoms only.")] = "vanilla",
    threshold: Annotated[float, typer.Option(help="A backbone is designable below this RMSD, Angstrom.")] = 2.0,
    reference: Annotated[Path | None, typer.Option(help="Store of natural chains: adds novelty.")] = None,
    foldseek: Annotated[
        Path | None, typer.Option(help="Foldseek database: adds novelty, where that program is installed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the job; each backbone has its own stream.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of ESMFold's language model: auto, float32, float16 or bfloat16.")
    ] = "auto",
    chunk_size: Annotated[int | None, typer.Option(help="Rows of ESMFold's attention at once; less memory.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes for alignments; all cores by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted job in the same folder.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Judge backbones by self-consistency: design sequences, fold them by ESMFold, and compare.

    A backbone is designable where the best of its sequences folds to within 2 A RMSD of it. ProteinMPNN comes with the
    extra helicell[mpnn], ESMFold with helicell[folding]; its weights are yours to get, nothing is downloaded here.
    """
    from helicell.protein.chains.cores import available_cores
    from helicell.protein.designability import DesignabilitySettings, designability_to_folder
    from helicell.protein.evaluation.folder import structure_files

    console.start_logging(quiet=quiet)
    given: dict[str, Any] = {
        "backbones": [str(folder) for folder in backbones],
        "sequences": sequences,
        "temperature": temperature,
        "weights": weights,
        "kind": kind,
        "threshold": threshold,
        "reference": str(reference) if reference else None,
        "foldseek": str(foldseek) if foldseek else None,
        "seed": seed,
        "device": device,
        "precision": precision,
        "chunk_size": chunk_size,
    } | ({"folding": folding} if folding is not None else {})
    settings = DesignabilitySettings.from_mapping(given, source="options")
    total = sum(len(structure_files(folder)) for folder in backbones)
    with console.progress_bar("folding", total, quiet=quiet) as advance:
        metrics = designability_to_folder(
            settings, out, resume=resume, workers=workers or available_cores(), progress=advance
        )
    if as_json:
        console.print_json({"folder": str(out), **metrics})
        return
    for file, reason in metrics["unreadable"].items():
        typer.echo(f"left out: {file}: {reason}", err=True)
    if not quiet:
        print_metrics(metrics)


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print shares and means, over all backbones and for each length."""
    groups = {"all": metrics["overall"], **metrics["by_length"]}
    rows = [
        (
            label,
            figures["backbones"],
            figures["designable"],
            "{:.2f} - {:.2f}".format(*figures["designable_interval"]),
            figures["designable_by_mean_displacement"],
            *(figures[name]["mean"] for name in ("rmsd", "mean_displacement", "tm_score", "plddt")),
        )
        for label, figures in groups.items()
    ]
    columns = (
        "length", "backbones", "designable", "95 % interval", "by mean displacement", "RMSD, A", "mean displacement, A",
        "TM-score", "pLDDT",
    )  # fmt: skip
    console.print_table(f"best of {metrics['sequences']} sequences a backbone", columns, rows)
    folds = metrics["diversity"]["folds"]
    typer.echo(
        f"{metrics['diversity']['compared']} designable backbones compared: folds at TM-score "
        f"{metrics['diversity']['threshold']}: " + ", ".join(f"{count} ({name})" for name, count in folds.items())
    )
    for source, figures in metrics.get("novelty", {}).items():
        told = ", ".join(f"{figures[name]:.2f} ({name})" for name in figures if figures[name] is not None)
        typer.echo(f"TM-score to the nearest of the {source}: {told}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
