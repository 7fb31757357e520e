"""The files of generated backbones: one a backbone, written as soon as it is made, and the table that names them.

A row is added to the table after its file is whole, so a killed job has lost at most what it was computing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from helicell.core.runs.files import atomic_write, sha256, write_text
from helicell.protein.frames import Frames
from helicell.protein.generation import Backbone
from helicell.protein.structures import write_backbone

TABLE = "samples.csv"


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A row of the table of samples."""

    index: int
    file: str
    length: int
    seed: int
    steps: int
    model: str
    sha256: str


def write_sample(folder: Path, backbone: Backbone, *, format: str, steps: int, model: str) -> SampleRow:  # noqa: A002
    """Write a backbone, and its trajectory where it has one, and return its row."""
    path = folder / f"sample_{backbone.index:06d}.{format}"
    if format == "npz":
        _write_arrays(path, frames_as_arrays(backbone.frames))
    else:
        write_backbone(path, backbone.coordinates, format=format)
    if backbone.trajectory is not None:
        noisy, predicted = (frames_as_arrays(frames) for frames in backbone.trajectory)
        predictions = {f"predicted_{name}": value for name, value in predicted.items()}
        _write_arrays(path.with_name(f"{path.stem}_trajectory.npz"), {**noisy, **predictions})
    return SampleRow(backbone.index, path.name, backbone.length, backbone.seed, steps, model, sha256(path))


def frames_as_arrays(frames: Frames) -> dict[str, np.ndarray]:
    """Return frames as named arrays."""
    return {"translations": frames.translations.numpy(), "quaternions": frames.quaternions.numpy()}


def write_table(folder: Path, rows: Sequence[SampleRow]) -> None:
    """Write the finished table, in the order of the rows."""
    write_text(folder / TABLE, _text(rows))


def append_row(folder: Path, row: SampleRow) -> None:
    """Add a row to the table of a running job, in the order of finishing; the finished table is sorted."""
    path = folder / TABLE
    header = not path.exists()
    with path.open("a", encoding="utf-8") as handle:
        handle.write(_text([row], header=header))


def read_table(folder: Path) -> list[SampleRow]:
    """Return the rows whose files are there and whole, and leave only these in the table."""
    path = folder / TABLE
    if not path.is_file():
        return []
    rows = []
    for entry in csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        # A killed job may have left half a line.
        if len(entry) != len(SampleRow.__dataclass_fields__) or not entry[0].isdecimal():
            continue
        index, file, length, seed, steps, model, checksum = entry
        row = SampleRow(int(index), file, int(length), int(seed), int(steps), model, checksum)
        if (folder / row.file).is_file() and sha256(folder / row.file) == row.sha256:
            rows.append(row)
    write_text(path, _text(rows))
    return rows


def _text(rows: Sequence[SampleRow], *, header: bool = True) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(SampleRow.__dataclass_fields__), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
