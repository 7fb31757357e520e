"""`helicell protein sample`: new backbones from a trained model."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein sample --length 80 --count 16 --out backbones
  helicell protein sample --length 80 --steps 10 --out quick
  helicell protein sample --length 60-120 --count 1000 --shard 2/8 --out part2
  helicell protein sample --length 80-100 --until 96 --filter "clashes == 0 and strand > 0.1" --out kept
  helicell protein sample --model reqflow.safetensors --length 100 --steps 20 --out published
"""


def command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make: one file a backbone and samples.csv.")],
    *,
    length: Annotated[str | None, typer.Option("--length", "-l", help="Residues: 80, or 60-120, or 60,80,100.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Backbones of each length or range.")] = 16,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Embedded model or .safetensors file; compact, or rectified for few steps, if not said.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Network evaluations a backbone; the model's by default.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the job; each backbone has its own stream.")] = 7,
    batch_size: Annotated[int | None, typer.Option(help="Backbones at once; does not change them.")] = None,
    noise_scale: Annotated[float, typer.Option(help="Factor on the starting noise; below 1 less varied.")] = 1.0,
    rotation_exponent: Annotated[
        float | None,
        typer.Option(help="How far rotations run ahead of translations, 1: not at all; the model's by default."),
    ] = None,
    rotation_speed: Annotated[
        float | None, typer.Option(help="Above 1 orientations settle earlier: more regular; the model's by default.")
    ] = None,
    finer_at_data: Annotated[
        float | None, typer.Option(help="Above 1, steps get shorter towards the data; the model's by default.")
    ] = None,
    steric_sweeps: Annotated[
        int | None, typer.Option(help="Sweeps of steric guidance a step, 0 for none; the model's by default.")
    ] = None,
    rotation_schedule: Annotated[
        str | None,
        typer.Option(
            help="Of published models: clamped, exponential or linear pace of the rotations; clamped by default."
        ),
    ] = None,
    noise: Annotated[
        Path | None, typer.Option(help=".npz with starting frames: translations [B,N,3] A, quaternions [B,N,4].")
    ] = None,
    trajectory: Annotated[bool, typer.Option("--trajectory", help="Also keep every step, as .npz.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    file_format: Annotated[str, typer.Option("--format", help="cif, pdb, bcif, or npz for frames.")] = "cif",
    shard: Annotated[str, typer.Option(help="Part of the job: 2/8 makes the second of eight shares.")] = "1/1",
    filter_: Annotated[
        str | None, typer.Option("--filter", help='Keep what passes, as "clashes == 0 and novelty < 0.6".')
    ] = None,
    until: Annotated[
        int | None, typer.Option(help="Go on until so many have passed the filter; --count is not used then.")
    ] = None,
    at_most: Annotated[
        int | None, typer.Option(help="With --until: give up after so many were tried; 100 times as many by default.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Store of chains, where the filter names novelty.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted job in the same folder.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Start anew in the folder of a job with other settings or another model.")
    ] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Generate protein backbones: N, CA, C, O of chain A, one file each."""
    from helicell.protein.model import default_model
    from helicell.protein.sampling import SamplingSettings, planned_count, sample_to_folder

    console.start_logging(quiet=quiet)
    settings = SamplingSettings.from_mapping(
        {
            "length": length,
            "count": count,
            "model": model if model is not None else default_model(steps),
            "steps": steps,
            "seed": seed,
            "batch_size": batch_size,
            "noise_scale": noise_scale,
            "rotation_exponent": rotation_exponent,
            "rotation_speed": rotation_speed,
            "finer_at_data": finer_at_data,
            "steric_sweeps": steric_sweeps,
            "rotation_schedule": rotation_schedule,
            "noise": str(noise) if noise else None,
            "trajectory": trajectory,
            "device": device,
            "precision": precision,
            "format": file_format,
            "shard": shard,
            "filter": filter_,
            "until": until,
            "at_most": at_most,
            "reference": str(reference) if reference else None,
        },
        source="options",
    )
    with console.progress_bar("sampling", planned_count(settings), quiet=quiet) as advance:
        rows = sample_to_folder(settings, out, resume=resume, replace=replace, progress=advance)
    if as_json:
        console.print_json({"folder": str(out), "samples": [asdict(row) for row in rows]})
    elif not quiet:
        typer.echo(f"{len(rows)} backbones in {out}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
