"""Samples of a task into a folder: one file a sample, a table, and a manifest; a killed job goes on where it stopped.

OUT/sample_000007.cif   one file a sample, all chains of an assembly in it, written as soon as its batch is done
OUT/samples.csv         index, file, length, seed, steps, model, what the task measures, and the sha256 of each file
OUT/settings.yaml, inputs.json, status.json, manifest.json, log.jsonl   as in every run folder
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from helicell.core.runs.files import sha256, write_text
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.shards import parse_shard
from helicell.core.runs.status import StatusFile
from helicell.protein.conditioning.rewards import parse_rewards
from helicell.protein.conditioning.sampling import check_model, condition_batches
from helicell.protein.conditioning.settings import ConditionSettings
from helicell.protein.conditioning.task import ConditionedBackbone
from helicell.protein.conditioning.walking import walk_times
from helicell.protein.generation import plan_batches
from helicell.protein.model import BackboneModel, load_model, model_path
from helicell.protein.sample_files import TABLE
from helicell.protein.structures import write_assembly

Row = Mapping[str, str]


def condition_to_folder(
    settings: ConditionSettings,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Sample for a task into a folder.

    Parameters
    ----------
    settings
        What to sample: `ScaffoldSettings`, `AssemblySettings`, `VariationSettings` or `SteeringSettings`.
    out
        The folder; absent or empty, or with `resume` that of an interrupted job with the same settings.
    resume
        Keep the samples that are there and whole, and make the others.
    progress
        Called with the number of samples just done.

    Returns
    -------
    list of mappings
        The rows of the table, as they stand there.

    Raises
    ------
    InputError
        If something in the settings, the files, the model or the folder does not fit; nothing is written then.
    """
    part, parts = parse_shard(settings.shard)
    task = settings.task()
    reward = parse_rewards(settings.rewards)
    requests = task.requests(count=settings.count, seed=settings.seed, part=part, parts=parts)
    model_path(settings.model)
    model = load_model(settings.model, device=settings.device)
    check_model(model)
    device = next(model.network.parameters()).device.type
    batches = plan_batches(requests, batch_size=settings.batch_size, device=device)
    inputs = {f"model {model.name}": model.checksum} | {path.name: sha256(path) for path in settings.files()}
    folder = RunFolder.create(out, settings, resume=resume, inputs=inputs)
    rows = {int(row["index"]): row for row in _read_table(folder.path)}
    progress(len(rows))
    folder.log("resumed" if rows else "started", samples=len(requests), done=len(rows), device=device)
    missing = [batch for batch in batches if not all(request.index in rows for request in batch)]
    with StatusFile(folder.path, settings.kind, total=len(requests), done=len(rows)) as status:
        for backbone in condition_batches(
            model, task, missing, seed=settings.seed, reward=reward, options=settings.options()
        ):
            if backbone.index not in rows:
                row = rows[backbone.index] = _write(folder.path, backbone, settings, model)
                _append_row(folder.path, row)
                status.advance()
                progress(1)
    ordered = [rows[index] for index in sorted(rows)]
    write_text(folder.path / TABLE, _text(ordered))
    outputs = {row["file"]: row["sha256"] for row in ordered} | {TABLE: sha256(folder.path / TABLE)}
    folder.log("finished", samples=len(ordered))
    folder.finish(Manifest(settings.kind, seed=settings.seed, inputs=inputs, outputs=outputs))
    return ordered


def planned_count(settings: ConditionSettings) -> int:
    """Return how many samples the job makes in this shard.

    Raises
    ------
    InputError
        If something in the settings or the files does not fit.
    """
    part, parts = parse_shard(settings.shard)
    return len(settings.task().requests(count=settings.count, seed=settings.seed, part=part, parts=parts))


def _write(folder: Path, backbone: ConditionedBackbone, settings: ConditionSettings, model: BackboneModel) -> Row:
    path = folder / f"sample_{backbone.index:06d}.{settings.format}"
    write_assembly(path, backbone.chains, sequence=backbone.sequence, format=settings.format)
    start_time = 1 - getattr(settings, "noise_level", 1.0)
    steps = len(walk_times(model, settings.options(), start_time=start_time)) - 1
    row = {
        "index": backbone.index,
        "file": path.name,
        "length": backbone.length,
        "seed": backbone.seed,
        "steps": steps,
        "model": model.name,
        **backbone.measures,
        "sha256": sha256(path),
    }
    return {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in row.items()}


def _text(rows: Sequence[Row], *, header: bool = True) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _append_row(folder: Path, row: Row) -> None:
    """Add a row to the table of a running job, in the order of finishing; the finished table is sorted."""
    path = folder / TABLE
    header = not path.exists()
    with path.open("a", encoding="utf-8") as handle:
        handle.write(_text([row], header=header))


def _read_table(folder: Path) -> list[Row]:
    """Return the rows whose files are there and whole, and leave only these in the table."""
    path = folder / TABLE
    if not path.is_file():
        return []
    found = csv.DictReader(path.read_text(encoding="utf-8", errors="replace").splitlines())
    # A killed job may have left half a line.
    rows = [row for row in found if None not in row and None not in row.values() and row["index"].isdecimal()]
    whole: list[Row] = [
        row for row in rows if (folder / row["file"]).is_file() and sha256(folder / row["file"]) == row["sha256"]
    ]
    if whole:
        write_text(path, _text(whole))
    else:
        path.unlink()
    return whole
