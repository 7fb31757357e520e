"""`helicell protein train`: a model from a store of chains."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein train --store stores/chains --out runs/compact
  helicell protein train mine.yaml --store stores/chains --out runs/mine --resume
  srun --nodes 2 --ntasks-per-node 4 helicell protein train --store stores/chains --out runs/big --nodes 2 --devices 4
"""


def command(
    settings: Annotated[
        Path | None, typer.Argument(help="Settings file (YAML); the published recipe by default.")
    ] = None,
    *,
    store: Annotated[Path, typer.Option(help="Chain store, from `helicell protein import`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make; model.safetensors ends up in it.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices, or processes on the CPU, per node.")] = 1,
    nodes: Annotated[int, typer.Option(help="Nodes of a cluster job.")] = 1,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Train a model of protein backbones.

    Without a settings file it repeats the recipe of the embedded model.
    """
    from helicell.core.runs.devices import choose_device
    from helicell.core.runs.processes import is_first_process
    from helicell.protein.chains.store import ChainStore
    from helicell.protein.settings import TrainingSettings
    from helicell.protein.training import RECIPE, train_to_folder

    console.start_logging(quiet=quiet)
    path = train_to_folder(
        TrainingSettings.from_yaml(settings or RECIPE),
        ChainStore.open(store),
        out,
        resume=resume,
        progress=not quiet and is_first_process(),
        accelerator=choose_device(device).type,
        devices=devices,
        num_nodes=nodes,
    )
    if as_json and is_first_process():
        console.print_json({"model": str(path)})
    elif not quiet and is_first_process():
        typer.echo(f"model: {path}")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
