"""What the commands that meet a condition share: `scaffold`, `assemble`, `vary` and `steer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helicell.core import console

if TYPE_CHECKING:
    from helicell.protein.conditioning.settings import ConditionSettings

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to make: one file a sample and samples.csv.")]
Count = Annotated[int, typer.Option("--count", "-n", help="Samples, of each length where there are several.")]
Reward = Annotated[
    list[str] | None,
    typer.Option(
        "--reward",
        help="Lead to compactness, helix, strand, balance, contacts or module:function, with a weight: strand=3. "
        "May be given several times.",
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", help="Embedded model or .safetensors file.")]
Steps = Annotated[int | None, typer.Option(help="Network evaluations a sample; the model's by default.")]
Seed = Annotated[int, typer.Option(help="Seed of the job; each sample has its own stream.")]
BatchSize = Annotated[int | None, typer.Option(help="Samples at once; does not change them.")]
NoiseScale = Annotated[float, typer.Option(help="Factor on the starting noise; below 1 less varied.")]
StericSweeps = Annotated[
    int | None, typer.Option(help="Sweeps of steric guidance a step, 0 for none; the model's by default.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
FileFormat = Annotated[str, typer.Option("--format", help="cif, pdb or bcif.")]
Shard = Annotated[str, typer.Option(help="Part of the job: 2/8 makes the second of eight shares.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted job in the same folder.")]


def run(
    settings_type: "type[ConditionSettings]",
    values: dict[str, Any],
    out: Path,
    *,
    resume: bool,
    quiet: bool,
    as_json: bool,
    shown: tuple[str, ...],
) -> None:
    """Check the options, sample, and print a table of what came out.

    Parameters
    ----------
    settings_type
        The settings of the command.
    values
        The options by the names of the settings, `reward` among them.
    out
        The folder.
    resume, quiet, as_json
        As given on the command line.
    shown
        Columns of the printed table.
    """
    from helicell.protein.conditioning.folder import condition_to_folder, planned_count

    console.start_logging(quiet=quiet)
    rewards = tuple(values.pop("reward") or ())
    settings = settings_type.from_mapping({**values, "rewards": rewards}, source="options")
    with console.progress_bar("sampling", planned_count(settings), quiet=quiet) as advance:
        rows = condition_to_folder(settings, out, resume=resume, progress=advance)
    valid = sum(row["valid"] == "1" for row in rows)
    if as_json:
        console.print_json({"folder": str(out), "valid": valid, "samples": [dict(row) for row in rows]})
    elif not quiet:
        console.print_table("", shown, [[row[column] for column in shown] for row in rows[:MOST_SHOWN]])
        more = f" (the first {MOST_SHOWN} are shown)" if len(rows) > MOST_SHOWN else ""
        typer.echo(f"{len(rows)} samples in {out}, {valid} valid{more}")


MOST_SHOWN = 32
