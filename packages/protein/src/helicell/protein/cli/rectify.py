"""`helicell protein rectify`: a model that needs few steps, from one that needs many."""

from pathlib import Path
from typing import Annotated, Any

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein rectify compact --pairs 2000 --out runs/rectified
  helicell protein rectify compact --settings mine.yaml --out runs/rectified --resume
"""


def command(
    model: Annotated[
        str | None, typer.Argument(help="Embedded model or .safetensors file; that of the settings by default.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make; model.safetensors ends up in it.")],
    settings: Annotated[
        Path | None, typer.Option(help="Settings file (YAML); the recipe of the embedded model by default.")
    ] = None,
    pairs: Annotated[int | None, typer.Option(help="Pairs to sample, before any is left out.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Chain store, where the settings ask for inverted real chains.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Rectify a model: sample pairs of noise and backbone, and train once more on those that are sound.

    The new model goes nearly straight from noise to backbone, so that ten steps do nearly what fifty did. Without a
    settings file it repeats the recipe of the embedded model `rectified`.
    """
    from helicell.core.runs.devices import choose_device
    from helicell.protein.chains.store import ChainStore
    from helicell.protein.rectification import RECIPE, RectificationSettings, rectify_to_folder

    console.start_logging(quiet=quiet)
    read = RectificationSettings.from_yaml(settings or RECIPE)
    chosen = RectificationSettings.from_mapping(_with(read.to_mapping(), model=model, pairs=pairs), source="options")
    with console.progress_bar("sampling pairs", chosen.pairs.count, quiet=quiet) as advance:
        path = rectify_to_folder(
            chosen,
            out,
            store=ChainStore.open(store) if store else None,
            resume=resume,
            device=device,
            advance=advance,
            progress=not quiet,
            accelerator=choose_device(device).type,
        )
    if as_json:
        console.print_json({"model": str(path)})
    elif not quiet:
        typer.echo(f"model: {path}")


def _with(settings: dict[str, Any], *, model: str | None, pairs: int | None) -> dict[str, Any]:
    """Return settings with what the command line says in place."""
    changed = dict(settings)
    if model is not None:
        changed["model"] = model
    if pairs is not None:
        changed["pairs"] = {**settings["pairs"], "count": pairs}
    return changed


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
