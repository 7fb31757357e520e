"""`helicell samplers sample`: samples of a trained sampler."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell samplers sample runs/gmm25 --count 10000 --out samples.npz
  helicell samplers sample runs/gmm25 --count 1000 --seed 3 --out samples.csv
"""


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a training, or its model.safetensors.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .npz or .csv.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Samples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed; each sample has its own stream.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of a path; as trained unless given.")] = None,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Draw samples with the logarithms of their importance weights.

    The file holds the points, and for each the log weight and the log reward.
    """
    from helicell.core.samplers.results import draw_to_file

    console.start_logging(quiet=quiet)
    draw_to_file(model, out, count=count, seed=seed, steps=steps)
    if as_json:
        console.print_json({"file": str(out), "samples": count})
    elif not quiet:
        typer.echo(f"{count} samples in {out}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
