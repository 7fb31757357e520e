"""`helicell protein scaffold`: new chains around a motif of a given structure."""

from pathlib import Path
from typing import Annotated

import typer

from helicell.core import console
from helicell.protein.cli import conditioned

EXAMPLES = """\b
Examples:
  helicell protein scaffold --motif 1r69.pdb --contig 20-30/A17-36/20-30 --out scaffolds
  helicell protein scaffold --motif sites.cif --contig 10-30/A25-40/15/B3-9/5-20 --length 80 --count 100 --out sites
"""
SHOWN = ("file", "length", "contig", "motif_rmsd", "valid", "c_n_valid", "ca_clashes", "backbone_clashes")


def command(
    motif: Annotated[Path, typer.Option("--motif", help="PDB, mmCIF or BinaryCIF file that holds the motif.")],
    contig: Annotated[str, typer.Option(help="Pieces of the motif, with new residues: 10-30/A25-40/15/B3-9/5-20.")],
    out: conditioned.Out,
    *,
    length: Annotated[
        str | None, typer.Option("--length", "-l", help="Residues of the whole chain: 80, or 70-90.")
    ] = None,
    guidance: Annotated[
        float, typer.Option(help="Weight of the gradient to the motif; 0 only holds it, in half the time.")
    ] = 2.0,
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
    """Scaffold a motif: new backbones that hold residues of a structure in their places, with their letters.

    A contig says where the pieces of the motif go, under the numbers of their file, and how many new residues lie
    between them. samples.csv tells where each piece went and how near it is to the original.
    """
    from helicell.protein.conditioning.settings import ScaffoldSettings

    values = {
        "motif": str(motif),
        "contig": contig,
        "length": length,
        "guidance": guidance,
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
    conditioned.run(ScaffoldSettings, values, out, resume=resume, quiet=quiet, as_json=as_json, shown=SHOWN)


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
