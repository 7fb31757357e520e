"""`helicell protein vary`: new backbones near a given one."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console
from helicell.protein.cli import conditioned

EXAMPLES = """\b
Examples:
  helicell protein vary backbone.cif --out variations
  helicell protein vary backbone.cif --noise-level 0.6 --count 100 --out farther
"""
SHOWN = ("file", "length", "rmsd_to_given", "valid", "c_n_valid", "ca_clashes", "backbone_clashes")


def command(
    backbone: Annotated[Path, typer.Argument(help="Structure file with one chain: PDB, mmCIF or BinaryCIF.")],
    out: conditioned.Out,
    *,
    noise_level: Annotated[float, typer.Option(help="How far back to noise: near 0 hardly changed, 1 all new.")] = 0.3,
    count: conditioned.Count = 16,
    reward: conditioned.Reward = None,
    model: conditioned.Model = "compact",
    steps: conditioned.Steps = None,
    seed: conditioned.Seed = 7,
    batch_size: conditioned.BatchSize = None,
    noise_scale: conditioned.NoiseScale = 1.0,
    steric_sweeps: conditioned.StericSweeps = None,
    device: conditioned.Device = "auto",
    precision: conditioned.Precision = "auto",
    file_format: conditioned.FileFormat = "cif",
    shard: conditioned.Shard = "1/1",
    resume: conditioned.Resume = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Vary a backbone: part of the way back to noise, and forth again, with fresh noise for every sample."""
    from helicell.protein.conditioning.settings import VariationSettings

    values = {
        "backbone": str(backbone),
        "noise_level": noise_level,
        "count": count,
        "reward": reward,
        "model": model,
        "steps": steps,
        "seed": seed,
        "batch_size": batch_size,
        "noise_scale": noise_scale,
        "steric_sweeps": steric_sweeps,
        "device": device,
        "precision": precision,
        "format": file_format,
        "shard": shard,
    }
    conditioned.run(VariationSettings, values, out, resume=resume, quiet=quiet, as_json=as_json, shown=SHOWN)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
