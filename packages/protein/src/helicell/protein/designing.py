"""Sequences for the backbones of a folder, into a folder.

OUT/sequences.fasta   all sequences, the best of each backbone first, with score and recovery in the header
OUT/sequences.csv     the same as a table
OUT/sample_000007.cif each backbone with its best sequence, under its own name
OUT/settings.yaml, manifest.json   as in every run folder
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256, write_text
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.settings import Settings
from helicell.protein.adapters.proteinmpnn import DesignedSequence, SequenceDesigner, weights_path
from helicell.protein.evaluation.folder import structure_files
from helicell.protein.structures import Chain, file_stem, read_backbone, write_backbone

FASTA, TABLE = "sequences.fasta", "sequences.csv"
# Backbones that are read, designed and written before the next ones.
BACKBONES_AT_ONCE = 64


class DesignSettings(Settings):
    """What to design."""

    backbones: str = Field(description="folder of backbones: PDB, mmCIF or BinaryCIF files")
    count: int = Field(8, ge=1, le=10_000, description="sequences for each backbone")
    temperature: float = Field(0.1, ge=0, le=10, description="of the choice of letters; 0 takes the likeliest")
    weights: str = Field("v_48_020", description="weights of ProteinMPNN, named by neighbours and noise in training")
    kind: Literal["vanilla", "soluble", "ca"] = Field("vanilla", description="soluble proteins only, or CA atoms only")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of the job")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, slots=True)
class DesignRow:
    """A row of the table: one sequence. `rank` is 1 for the best scored of its backbone."""

    file: str
    rank: int
    length: int
    score: float
    recovery: float | None
    sequence: str


def design_to_folder(
    settings: DesignSettings, out: str | Path, *, progress: Callable[[int], None] = lambda _: None
) -> list[DesignRow]:
    """Design sequences for all backbones of a folder.

    Parameters
    ----------
    settings
        What to design.
    out
        The folder to make.
    progress
        Called with the number of backbones just done.

    Returns
    -------
    list of DesignRow
        In order of the files, the best sequence of each first.

    Raises
    ------
    InputError
        If the backbones cannot be read, there are no such weights, or the folder holds other results.
    MissingPackageError
        If ProteinMPNN is not installed.
    """
    files = structure_files(settings.backbones)
    weights = weights_path(settings.weights, settings.kind)
    chains = [read_backbone(file) for file in files]
    names = [f"{file_stem(file)}.cif" for file in files]
    if len(set(names)) < len(names):
        message = f"several files in {settings.backbones} differ in their suffix only; give them names of their own"
        raise InputError(message)
    designer = SequenceDesigner(settings.weights, kind=settings.kind, device=settings.device)
    folder = RunFolder.create(out, settings)
    rows: list[DesignRow] = []
    for first in range(0, len(chains), BACKBONES_AT_ONCE):
        some = range(first, min(first + BACKBONES_AT_ONCE, len(chains)))
        designs = designer.design(
            [chains[i].coordinates for i in some],
            count=settings.count,
            temperature=settings.temperature,
            seed=settings.seed,
            indices=[stream_number(names[i]) for i in some],
            native=[native_sequence(chains[i]) for i in some],
        )
        for i, own in zip(some, designs, strict=True):
            write_backbone(folder.path / names[i], chains[i].coordinates, sequence=own[0].letters)
            rows += [_row(names[i], rank, design) for rank, design in enumerate(own, start=1)]
            progress(1)
    write_text(folder.path / TABLE, _table(rows))
    write_text(folder.path / FASTA, fasta(rows))
    outputs = {name: sha256(folder.path / name) for name in (*names, TABLE, FASTA)}
    inputs = {file.name: sha256(file) for file in files} | {f"weights {settings.kind} {weights.stem}": sha256(weights)}
    folder.finish(Manifest("protein design", seed=settings.seed, inputs=inputs, outputs=outputs))
    return rows


def stream_number(file: str) -> int:
    """Return which random stream is that of a backbone: it depends on its name alone, not on what lies beside it.

    Examples
    --------
    >>> stream_number("sample_000007.cif") == stream_number("sample_000007.pdb.gz")
    True
    """
    return zlib.crc32(file_stem(Path(file)).encode())


def native_sequence(chain: Chain) -> str | None:
    """Return the sequence that a backbone comes with, or None for a stand-in such as glycine throughout."""
    return chain.sequence if len(set(chain.sequence)) > 1 else None


def fasta(rows: list[DesignRow]) -> str:
    """Return sequences as FASTA."""
    entries = []
    for row in rows:
        recovery = "" if row.recovery is None else f" recovery={row.recovery:.4f}"
        entries.append(f">{Path(row.file).stem}_{row.rank} score={row.score:.4f}{recovery}\n{row.sequence}\n")
    return "".join(entries)


def _row(file: str, rank: int, design: DesignedSequence) -> DesignRow:
    recovery = None if design.recovery is None else round(design.recovery, 4)
    return DesignRow(file, rank, len(design.letters), round(design.score, 4), recovery, design.letters)


def _table(rows: list[DesignRow]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(DesignRow.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()
