"""`helicell samplers evaluate`: how good a trained sampler is."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell samplers evaluate runs/gmm25 --samples 10000
  helicell samplers evaluate runs/gmm25 --steps 20 --json
"""


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a training, or its model.safetensors.")],
    *,
    samples: Annotated[int, typer.Option(min=2, help="Paths, and exact samples where there are any.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of a path; as trained unless given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the metrics as JSON.")] = None,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Measure a sampler: bounds of log Z, effective sample size, distances beside their floor, modes, calls.

    What cannot be known for an energy is left empty.
    """
    from helicell.core.runs.files import write_json
    from helicell.core.samplers.metrics import evaluate
    from helicell.core.samplers.results import json_ready
    from helicell.core.samplers.sampler import load_sampler

    console.start_logging(quiet=quiet)
    metrics = json_ready(evaluate(load_sampler(model), samples=samples, seed=seed, steps=steps).to_mapping())
    if out is not None:
        write_json(out, metrics)
    if as_json:
        console.print_json(metrics)
    elif not quiet:
        console.print_mapping(str(model), metrics)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
