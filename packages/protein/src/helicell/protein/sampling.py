"""Sampling into a folder: one file a backbone, a table, and a manifest; a killed job goes on where it stopped.

OUT/sample_000007.cif   one file a backbone, written as soon as its batch is done
OUT/samples.csv         index, file, length, seed, steps, model, sha256 of each
OUT/settings.yaml, manifest.json, log.jsonl   as in every run folder
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write, sha256, write_text
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.settings import Settings
from helicell.core.spaces.quaternions import from_matrix
from helicell.protein.frames import Frames
from helicell.protein.generation import Backbone, Request, SamplingOptions, check_options, plan_batches, sample_batches
from helicell.protein.lengths import make_requests, parse_lengths
from helicell.protein.model import EMBEDDED, BackboneModel, load_model, model_path
from helicell.protein.published.settings import RotationSchedule
from helicell.protein.structures import write_backbone

TABLE = "samples.csv"
NOISE = ("translations", "quaternions")


class SamplingSettings(Settings):
    """What to sample; together with the model it determines every file."""

    length: str | None = Field(None, description="residues: 80, or 60-120, or 60,80,100")
    count: int = Field(16, ge=1, le=10_000_000, description="backbones of each length or range")
    model: str = Field(EMBEDDED, description="name of an embedded model, or a .safetensors file")
    steps: int | None = Field(None, ge=1, le=10_000, description="network evaluations per backbone")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of the job")
    batch_size: int | None = Field(None, ge=1, description="backbones sampled together")
    noise_scale: float = Field(1.0, ge=0, le=10, description="factor on the starting noise of the translations")
    rotation_exponent: float | None = Field(None, gt=0, le=100, description="how far rotations run ahead")
    rotation_speed: float | None = Field(None, gt=0, le=100, description="how much faster orientations settle")
    finer_at_data: float | None = Field(None, gt=0, le=10, description="above 1, steps get shorter towards the data")
    steric_sweeps: int | None = Field(None, ge=0, le=100, description="sweeps of steric guidance a step; 0 for none")
    rotation_schedule: RotationSchedule | None = Field(None, description="pace of the rotations of a published model")
    noise: str | None = Field(None, description="npz file with the starting frames")
    trajectory: bool = Field(default=False, description="keep every step")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    format: Literal["cif", "pdb", "bcif", "npz"] = "cif"
    shard: str = Field("1/1", description="which part of the job: 2/8 is the second of eight")


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


def sample_to_folder(
    settings: SamplingSettings,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[SampleRow]:
    """Sample backbones into a folder.

    Parameters
    ----------
    settings
        What to sample.
    out
        The folder; absent or empty, or with `resume` that of an interrupted job with the same settings.
    resume
        Keep the backbones that are there and whole, and make the others.
    progress
        Called with the number of backbones just done.

    Raises
    ------
    InputError
        If something in the settings, the model or the folder does not fit; nothing is written then.
    """
    noise = read_noise(Path(settings.noise)) if settings.noise else None
    requests = plan_requests(settings, noise)
    model_path(settings.model)
    model = load_model(settings.model, device=settings.device)
    device = next(model.network.parameters()).device.type
    batches = plan_batches(requests, batch_size=settings.batch_size, device=device)
    check_options(model, _options(settings))
    folder = RunFolder.create(out, settings, resume=resume)
    rows = {row.index: row for row in _read_table(folder.path)} if resume else {}
    progress(len(rows))
    folder.log("resumed" if rows else "started", backbones=len(requests), done=len(rows), device=device)
    missing = [batch for batch in batches if not all(request.index in rows for request in batch)]
    for backbone in sample_batches(model, missing, seed=settings.seed, noise=noise, options=_options(settings)):
        if backbone.index not in rows:
            row = rows[backbone.index] = _write(folder.path, backbone, settings, model)
            _append_row(folder.path, row)
            progress(1)
    ordered = [rows[index] for index in sorted(rows)]
    write_text(folder.path / TABLE, _table(ordered))
    inputs = {f"model {model.name}": model.checksum} | ({"noise": sha256(settings.noise)} if settings.noise else {})
    outputs = {row.file: row.sha256 for row in ordered} | {TABLE: sha256(folder.path / TABLE)}
    folder.log("finished", backbones=len(ordered))
    folder.finish(Manifest("protein sample", seed=settings.seed, inputs=inputs, outputs=outputs))
    return ordered


def plan_requests(settings: SamplingSettings, noise: Frames | None = None) -> list[Request]:
    """Return the backbones of this shard of the job."""
    if noise is not None:
        count, length = noise.translations.shape[:2]
        if settings.length not in (None, str(length)):
            message = f"the noise is for {length} residues, but the length asked for is {settings.length}; leave it out"
            raise InputError(message)
        requests = [Request(index, length) for index in range(count)]
    elif settings.length is None:
        message = "say how long the backbones shall be, for example --length 80"
        raise InputError(message)
    else:
        requests = make_requests(parse_lengths(settings.length), count=settings.count, seed=settings.seed)
    part, parts = parse_shard(settings.shard)
    return requests[part - 1 :: parts]


def parse_shard(text: str) -> tuple[int, int]:
    """Read "2/8" as (2, 8).

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        message = f"cannot read the shard {text!r}; write for example 2/8 for the second of eight"
        raise InputError(message)
    return int(part), int(parts)


def read_noise(path: Path) -> Frames:
    """Read starting frames: `translations` [B, N, 3] in Angstrom and `quaternions` [B, N, 4], scalar first.

    The names and the form of published programs are understood too: `trans_0` and matrices `rotmats_0` [B, N, 3, 3].

    Raises
    ------
    InputError
        If the file is no such archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "trans_0" in archive:
                translations, matrices = (np.asarray(archive[k], np.float32) for k in ("trans_0", "rotmats_0"))
                quaternions = from_matrix(torch.from_numpy(matrices)).numpy()
            else:
                translations, quaternions = (np.asarray(archive[k], np.float32) for k in NOISE)
    except (OSError, ValueError, KeyError, EOFError) as error:
        message = f"cannot read noise from {path}: it must be an .npz with translations [B,N,3] and quaternions [B,N,4]"
        raise InputError(message) from error
    fits = translations.ndim == 3 and translations.shape[-1] == 3 and quaternions.shape == (*translations.shape[:2], 4)
    if not fits or not translations.size:
        message = (
            f"the noise in {path} has shapes {translations.shape} and {quaternions.shape}; "
            "expected translations [B,N,3] and quaternions [B,N,4]"
        )
        raise InputError(message)
    norms = np.linalg.norm(quaternions, axis=-1)
    if not np.isfinite(translations).all() or not np.allclose(norms, 1, atol=1e-2):
        message = f"the noise in {path} must be finite, with quaternions of unit length"
        raise InputError(message)
    return Frames(torch.from_numpy(translations), torch.from_numpy(quaternions / norms[..., None]))


def _options(settings: SamplingSettings) -> SamplingOptions:
    return SamplingOptions(
        steps=settings.steps,
        noise_scale=settings.noise_scale,
        rotation_exponent=settings.rotation_exponent,
        rotation_speed=settings.rotation_speed,
        finer_at_data=settings.finer_at_data,
        steric_sweeps=settings.steric_sweeps,
        rotation_schedule=settings.rotation_schedule,
        precision=settings.precision,
        trajectory=settings.trajectory,
    )


def _write(folder: Path, backbone: Backbone, settings: SamplingSettings, model: BackboneModel) -> SampleRow:
    path = folder / f"sample_{backbone.index:06d}.{settings.format}"
    if settings.format == "npz":
        _write_arrays(path, asdict_arrays(backbone.frames))
    else:
        write_backbone(path, backbone.coordinates, format=settings.format)
    if backbone.trajectory is not None:
        noisy, predicted = (asdict_arrays(frames) for frames in backbone.trajectory)
        predictions = {f"predicted_{name}": value for name, value in predicted.items()}
        _write_arrays(path.with_name(f"{path.stem}_trajectory.npz"), {**noisy, **predictions})
    steps = settings.steps or model.sampling.steps
    return SampleRow(backbone.index, path.name, backbone.length, backbone.seed, steps, model.name, sha256(path))


def asdict_arrays(frames: Frames) -> dict[str, np.ndarray]:
    """Return frames as named arrays."""
    return {"translations": frames.translations.numpy(), "quaternions": frames.quaternions.numpy()}


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _table(rows: Sequence[SampleRow], *, header: bool = True) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(SampleRow.__dataclass_fields__), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def _append_row(folder: Path, row: SampleRow) -> None:
    """Add a row to the table of a running job, in the order of finishing; the finished table is sorted."""
    path = folder / TABLE
    header = not path.exists()
    with path.open("a", encoding="utf-8") as handle:
        handle.write(_table([row], header=header))


def _read_table(folder: Path) -> list[SampleRow]:
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
    write_text(path, _table(rows))
    return rows
