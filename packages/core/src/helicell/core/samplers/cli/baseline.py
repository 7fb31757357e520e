"""`helicell samplers baseline`: samplers that need no training, with the same metrics."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell samplers baseline smc --energy many-well --count 2000 --out runs/smc
  helicell samplers baseline tempering --energy gmm25 --steps 2000 --out runs/tempering
"""


def command(
    method: Annotated[str, typer.Argument(help="smc, ais, mala or tempering.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    energy: Annotated[str, typer.Option(help="Name of an energy, or module:attribute.")] = "gmm25",
    dim: Annotated[int | None, typer.Option(help="Dimensions, where they can be chosen.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=2, help="Particles or chains.")] = 2000,
    steps: Annotated[int, typer.Option(min=2, help="Stages of annealing, or steps of a chain.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Sample by annealing or by Markov chains, and measure the samples as those of a trained sampler.

    smc and ais estimate log Z; mala and tempering (replica exchange) do not.
    """
    from helicell.core.samplers.results import baseline_to_folder
    from helicell.core.samplers.settings import BaselineSettings

    console.start_logging(quiet=quiet)
    settings = BaselineSettings.from_mapping(
        {"method": method, "energy": energy, "dim": dim, "count": count, "steps": steps, "seed": seed},
        source="options",
    )
    metrics = baseline_to_folder(settings, out)
    if as_json:
        console.print_json({"folder": str(out), **metrics})
    elif not quiet:
        console.print_mapping(str(out), metrics)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
