"""`helicell protein steer`: new backbones, led to differentiable rewards."""

from typing import Annotated

import typer

from helicell.core import console
from helicell.protein.cli import conditioned

EXAMPLES = """\b
Examples:
  helicell protein steer --length 80 --reward strand=3 --out strands
  helicell protein steer --length 80 --reward compactness=0.2 --reward rewards.py:mine=2 --out mine
"""
SHOWN = ("file", "length", "reward", "valid", "c_n_valid", "ca_clashes", "backbone_clashes")


def command(
    length: Annotated[str, typer.Option("--length", "-l", help="Residues: 80, or 60-120, or 60,80,100.")],
    reward: conditioned.Reward,
    out: conditioned.Out,
    *,
    count: conditioned.Count = 16,
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
    """Steer generation by rewards: samples with more of what they count become likelier.

    A function of your own takes coordinates [batch, residues, 4, 3] (N, CA, C, O; Angstrom) and a mask
    [batch, residues], both of torch, and returns differentiable numbers [batch].
    """
    from helicell.protein.conditioning.settings import SteeringSettings

    values = {
        "length": length,
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
    conditioned.run(SteeringSettings, values, out, resume=resume, quiet=quiet, as_json=as_json, shown=SHOWN)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
