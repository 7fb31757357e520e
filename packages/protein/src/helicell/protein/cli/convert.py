"""`helicell protein convert`: a published checkpoint into a model of this package."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console

EXAMPLES = """\b
Examples:
  helicell protein convert reqflow_pdb.ckpt --out reqflow.safetensors
  helicell protein convert reqflow_pdb.ckpt --config config.yaml --out reqflow.safetensors
  helicell protein sample --model reqflow.safetensors --length 100 --steps 20 --out backbones
"""


def command(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint (.ckpt) of FrameFlow, QFlow or ReQFlow.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model file (.safetensors) to write.")],
    config: Annotated[
        Path | None,
        typer.Option(help="Its config.yaml; by default that inside the checkpoint, or config.yaml beside it."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights, for the card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Convert a published checkpoint of protein backbones into a model.

    The file is read without running anything in it; a pickle that asks for more than tensors and settings is refused,
    and so is one with a tensor that is missing, unknown or of another shape.
    """
    from helicell.core.errors import InputError
    from helicell.protein.published.conversion import LICENCE, convert_checkpoint

    console.start_logging(quiet=quiet)
    if out.exists() and not overwrite:
        message = f"{out} is already there; give another --out, or --overwrite"
        raise InputError(message)
    converted = convert_checkpoint(checkpoint, out, config=config, licence=licence or LICENCE)
    if as_json:
        console.print_json({**asdict(converted), "model": str(out), "network": converted.network.to_mapping()})
    elif not quiet:
        typer.echo(f"{out}: {converted.tensors} tensors, {converted.parameters} parameters")


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
