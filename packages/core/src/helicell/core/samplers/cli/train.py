"""`helicell samplers train`: a sampler of one energy."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell samplers train --energy gmm25 --langevin --local-search --iterations 2000 --out runs/gmm25
  helicell samplers train mine.yaml --energy mymodule:energy --out runs/mine --resume
"""


def command(
    settings: Annotated[Path | None, typer.Argument(help="Settings file (YAML); options override it.")] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make.")],
    energy: Annotated[
        str | None,
        typer.Option(help="gmm9, gmm25, funnel, easy-funnel, many-well, cox, digits, von-mises, or module:attribute."),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Dimensions, where they can be chosen.")] = None,
    objective: Annotated[
        str | None, typer.Option(help="tb, vargrad, db, subtb, fl-db, fl-subtb, mle, pis, dds or dis.")
    ] = None,
    langevin: Annotated[
        bool | None, typer.Option("--langevin/--no-langevin", help="Let the energy's gradient enter the drift.")
    ] = None,
    local_search: Annotated[
        bool | None, typer.Option("--local-search/--no-local-search", help="Learn from what parallel MALA finds.")
    ] = None,
    exploration: Annotated[
        float | None, typer.Option(help="Share by which steps vary more at the start; falls to zero.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of a path.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations, each of one batch of paths.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is random.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Train a sampler and measure it.

    The folder holds model.safetensors, metrics.json, the log, and plots as SVG.
    """
    from helicell.core.runs.devices import choose_device
    from helicell.core.samplers.plots import write_plots
    from helicell.core.samplers.sampler import load_sampler
    from helicell.core.samplers.settings import SamplerSettings
    from helicell.core.samplers.training import train_to_folder

    console.start_logging(quiet=quiet)
    given = SamplerSettings.from_yaml(settings).to_mapping() if settings else {}
    options = {
        "energy": energy,
        "dim": dim,
        "objective": objective,
        "seed": seed,
        "policy.langevin": langevin,
        "search.enabled": local_search,
        "training.exploration": exploration,
        "training.iterations": iterations,
        "process.steps": steps,
    }
    for name, value in options.items():
        if value is not None:
            part, _, key = name.rpartition(".")
            place = given.setdefault(part, {}) if part else given
            place[key] = value
    chosen = SamplerSettings.from_mapping(given, source="options")
    with console.progress_bar("training", chosen.training.iterations, quiet=quiet) as advance:
        metrics = train_to_folder(
            chosen, out, resume=resume, device=choose_device(device), report=lambda _, __: advance(1)
        )
    write_plots(load_sampler(out), out)
    if as_json:
        console.print_json({"folder": str(out), **metrics.to_mapping()})
    elif not quiet:
        console.print_mapping(str(out), metrics.to_mapping())


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
