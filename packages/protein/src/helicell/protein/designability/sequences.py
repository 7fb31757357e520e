"""Sequences of some backbones, folded and compared: the rows that everything else is made of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from helicell.core.errors import HelicellError
from helicell.core.runs.files import write_text
from helicell.protein.adapters.folding import PAIRS_PER_BATCH, ESMFold, Fold
from helicell.protein.adapters.proteinmpnn import DesignedSequence, SequenceDesigner
from helicell.protein.designability.settings import SelfConsistencySettings
from helicell.protein.designing import native_sequence, stream_number
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.self_consistency import agreement, overlay
from helicell.protein.structures import Chain, write_backbone

SEQUENCES = "sequences.csv"
DIGITS = 4


@dataclass(frozen=True, slots=True)
class SequenceRow:
    """A row of the table: one sequence. `rank` is 1 for the best scored of its backbone."""

    file: str
    rank: int
    length: int
    score: float
    recovery: float | None
    rmsd: float
    mean_displacement: float
    tm_score: float
    plddt: float
    sequence: str


class Judge:
    """Designs, folds and compares; the two networks are loaded once.

    Parameters
    ----------
    settings
        How to judge.
    """

    def __init__(self, settings: SelfConsistencySettings) -> None:
        self.settings = settings
        self.designer = SequenceDesigner(settings.weights, kind=settings.kind, device=settings.device)
        self.folder = ESMFold(
            settings.folding, device=settings.device, precision=settings.precision, chunk_size=settings.chunk_size
        )

    def judge(self, chains: Sequence[Chain], names: Sequence[str], out: Path) -> Iterator[list[SequenceRow]]:
        """Judge some backbones together, and write the predicted structure of the best sequence of each.

        Parameters
        ----------
        chains
            The backbones.
        names
            Names of the files to write, which choose the random streams.
        out
            The folder to write to.

        Yields
        ------
        list of SequenceRow
            The sequences of each backbone, the best scored first.
        """
        designs = self.designer.design(
            [chain.coordinates for chain in chains],
            count=self.settings.sequences,
            temperature=self.settings.temperature,
            seed=self.settings.seed,
            indices=[stream_number(name) for name in names],
            native=[native_sequence(chain) for chain in chains],
        )
        folds = iter(self.folder.fold([design.letters for own in designs for design in own]))
        for chain, name, own in zip(chains, names, designs, strict=True):
            predicted = [next(folds) for _ in own]
            rows = [
                _row(name, rank, chain, design, fold)
                for rank, (design, fold) in enumerate(zip(own, predicted, strict=True), start=1)
            ]
            best = min(rows, key=lambda row: row.rmsd)
            atoms, backbone = predicted[best.rank - 1].coordinates, chain.coordinates[:, CA]
            write_backbone(out / name, overlay(backbone, atoms[:, CA], atoms), sequence=best.sequence)
            yield rows


def plan_groups(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Group backbones, given by length, whose sequences are folded together, the longest first.

    Examples
    --------
    >>> plan_groups([100, 300, 110], 8)
    [[1], [2, 0]]
    """
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if groups and (len(groups[-1]) + 1) * count * lengths[groups[-1][0]] ** 2 <= PAIRS_PER_BATCH:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def table_of(rows: Sequence[SequenceRow], *, header: bool = True) -> str:
    """Return rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=[field.name for field in fields(SequenceRow)], lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def append_rows(folder: Path, rows: Sequence[SequenceRow]) -> None:
    """Add the rows of a backbone to the table of a running job, in the order of finishing."""
    path = folder / SEQUENCES
    header = not path.exists()
    with path.open("a", encoding="utf-8") as handle:
        handle.write(table_of(rows, header=header))


def read_done(folder: Path, count: int) -> dict[str, list[SequenceRow]]:
    """Return the rows of the backbones that are done, by file, and leave only these in the table."""
    path = folder / SEQUENCES
    if not path.is_file():
        return {}
    found: dict[str, list[SequenceRow]] = {}
    for entry in csv.DictReader(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        row = _read_row(entry)
        if row is not None:
            found.setdefault(row.file, []).append(row)
    ranks = list(range(1, count + 1))
    done = {file: rows for file, rows in found.items() if [r.rank for r in rows] == ranks and (folder / file).is_file()}
    write_text(path, table_of([row for rows in done.values() for row in rows]))
    return done


def _row(name: str, rank: int, chain: Chain, design: DesignedSequence, fold: Fold) -> SequenceRow:
    if not np.isfinite(fold.coordinates).all():
        message = f"the predicted structure of a sequence of {name} is not finite; choose the precision float32"
        raise HelicellError(message)
    found = agreement(chain.coordinates[:, CA], fold.coordinates[:, CA])
    return SequenceRow(
        file=name,
        rank=rank,
        length=len(chain),
        score=round(design.score, DIGITS),
        recovery=None if design.recovery is None else round(design.recovery, DIGITS),
        rmsd=round(found.rmsd, DIGITS),
        mean_displacement=round(found.mean_displacement, DIGITS),
        tm_score=round(found.tm_score, DIGITS),
        plddt=round(float(fold.plddt.mean()), DIGITS),
        sequence=design.letters,
    )


def _read_row(entry: dict[str, str]) -> SequenceRow | None:
    """Read one line; a killed job may have left half of one."""
    try:
        row = SequenceRow(
            file=entry["file"],
            rank=int(entry["rank"]),
            length=int(entry["length"]),
            score=float(entry["score"]),
            recovery=float(entry["recovery"]) if entry["recovery"] else None,
            rmsd=float(entry["rmsd"]),
            mean_displacement=float(entry["mean_displacement"]),
            tm_score=float(entry["tm_score"]),
            plddt=float(entry["plddt"]),
            sequence=entry["sequence"] or "",
        )
    except (KeyError, TypeError, ValueError):
        return None
    return row if len(row.sequence) == row.length else None
