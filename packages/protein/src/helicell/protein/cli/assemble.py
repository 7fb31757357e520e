"""`helicell protein assemble`: copies of a new chain, packed in a point group."""

from typing import Annotated

import typer

from helicell.core import console
from helicell.protein.cli import conditioned

EXAMPLES = """\b
Examples:
  helicell protein assemble --symmetry C3 --length 60 --out trimers
  helicell protein assemble --symmetry D2 --length 40-80 --count 100 --out tetramers
  helicell protein assemble --symmetry T --length 30 --count 4 --out cages
"""
SHOWN = ("file", "symmetry", "length", "valid", "c_n_valid", "ca_clashes", "chain_backbone_clashes", "chain_contacts")


def command(
    symmetry: Annotated[str, typer.Option("--symmetry", "-s", help="C2, C3 ...; D2, D3 ...; T, O or I.")],
    length: Annotated[str, typer.Option("--length", "-l", help="Residues of one chain: 60, or 40-80, or 40,60,80.")],
    out: conditioned.Out,
    *,
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
    """Assemble symmetric complexes: copies of one new chain about axes of rotation, as chains A, B, C ... of a file.

    The copies are exact. The time grows with the square of all residues together, so large groups want short chains.
    """
    from helicell.protein.conditioning.settings import AssemblySettings

    values = {
        "symmetry": symmetry,
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
    conditioned.run(AssemblySettings, values, out, resume=resume, quiet=quiet, as_json=as_json, shown=SHOWN)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
