"""Sampling into a folder: one file a backbone, a table, and a manifest; a killed job goes on where it stopped.

OUT/sample_000007.cif   one file a backbone, written as soon as its batch is done
OUT/samples.csv         index, file, length, seed, steps, model, sha256 of each
OUT/tried.csv           where there is a filter: see `helicell.protein.campaign`
OUT/settings.yaml, inputs.json, status.json, manifest.json, log.jsonl   as in every run folder
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.runs.settings import Settings
from helicell.core.runs.shards import parse_shard
from helicell.core.runs.status import StatusFile
from helicell.core.spaces.quaternions import from_matrix
from helicell.protein.campaign import HOPELESS, ROUND, Campaign, shard_candidates, share
from helicell.protein.evaluation.folder import TRIED
from helicell.protein.filtering import BackboneFilter
from helicell.protein.frames import Frames
from helicell.protein.generation import Backbone, Request, SamplingOptions, check_options, plan_batches, sample_batches
from helicell.protein.lengths import candidate, make_requests, parse_lengths
from helicell.protein.model import EMBEDDED, load_model, model_path
from helicell.protein.published.settings import RotationSchedule
from helicell.protein.sample_files import TABLE, SampleRow, append_row, read_table, write_sample, write_table

KIND = "protein sample"
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
    filter: str | None = Field(None, description="condition on the measures of a backbone that is kept")
    until: int | None = Field(None, ge=1, description="go on until so many passed the filter, instead of count")
    at_most: int | None = Field(None, ge=1, description="backbones to try before giving up; 100 times until by default")
    reference: str | None = Field(None, description="store of chains, where the filter names novelty")


# How far a job goes can be changed when it is resumed.
MAY_DIFFER = ("until", "at_most")


def sample_to_folder(
    settings: SamplingSettings,
    out: str | Path,
    *,
    resume: bool = False,
    replace: bool = False,
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
    replace
        Make the job anew in a folder of a job that was started with other settings or another model.
    progress
        Called with the number of backbones just done.

    Raises
    ------
    InputError
        If something in the settings, the model or the folder does not fit; nothing is written then.
    HelicellError
        If too few backbones passed the filter.
    """
    noise = read_noise(Path(settings.noise)) if settings.noise else None
    requests = [] if settings.until is not None else plan_requests(settings, noise)
    _check_filter(settings)
    model_path(settings.model)
    judge = BackboneFilter(settings.filter, settings.reference) if settings.filter is not None else None
    model = load_model(settings.model, device=settings.device)
    device = next(model.network.parameters()).device.type
    batches = plan_batches(requests, batch_size=settings.batch_size, device=device)
    check_options(model, _options(settings))
    inputs = {f"model {model.name}": model.checksum} | ({"noise": sha256(settings.noise)} if settings.noise else {})
    inputs |= judge.inputs if judge is not None else {}
    folder = RunFolder.create(out, settings, resume=resume, replace=replace, inputs=inputs, may_differ=MAY_DIFFER)

    def sample(planned: list[list[Request]], known: Container[int]) -> Iterator[Backbone]:
        missing = [batch for batch in planned if not all(request.index in known for request in batch)]
        return sample_batches(model, missing, seed=settings.seed, noise=noise, options=_options(settings))

    def write(backbone: Backbone) -> SampleRow:
        steps = settings.steps or model.sampling.steps
        return write_sample(folder.path, backbone, format=settings.format, steps=steps, model=model.name)

    def sample_round(round_: list[Request], known: Container[int]) -> Iterator[Backbone]:
        return sample(plan_batches(round_, batch_size=settings.batch_size, device=device), known)

    if judge is None:
        rows = {row.index: row for row in read_table(folder.path)}
        progress(len(rows))
        folder.log("resumed" if rows else "started", backbones=len(requests), done=len(rows), device=device)
        with StatusFile(folder.path, KIND, total=len(requests), done=len(rows)) as status:
            for backbone in sample(batches, rows):
                if backbone.index not in rows:
                    row = rows[backbone.index] = write(backbone)
                    append_row(folder.path, row)
                    status.advance()
                    progress(1)
            return _finish(folder, settings, list(rows.values()), inputs)
    campaign = _campaign(settings, folder, judge, requests)
    wanted = len(requests) if campaign.until is None else campaign.until
    progress(campaign.found)
    state = {"done": campaign.found, "tried": len(campaign.tried)}
    folder.log("resumed" if campaign.tried else "started", backbones=wanted, device=device, **state)
    with StatusFile(folder.path, KIND, total=wanted, **state) as status:
        kept = campaign.run(sample_round, write, round_size=ROUND[device], status=status, progress=progress)
        return _finish(folder, settings, kept, inputs)


def _finish(
    folder: RunFolder, settings: SamplingSettings, rows: list[SampleRow], inputs: dict[str, str]
) -> list[SampleRow]:
    """Write the table in order, and the manifest of everything."""
    ordered = sorted(rows, key=lambda row: row.index)
    write_table(folder.path, ordered)
    tables = [TABLE, *([TRIED] if settings.filter is not None else [])]
    outputs = {row.file: row.sha256 for row in ordered} | checksums(folder.path, tables)
    folder.log("finished", backbones=len(ordered))
    folder.finish(Manifest(KIND, seed=settings.seed, inputs=inputs, outputs=outputs))
    return ordered


def _campaign(
    settings: SamplingSettings, folder: RunFolder, judge: BackboneFilter, requests: list[Request]
) -> Campaign:
    """Return the search of this shard: among its requests, or, until enough have passed, among endless candidates."""
    if settings.until is None:
        return Campaign(folder.path, judge, iter(requests), until=None, at_most=None)
    part, parts = parse_shard(settings.shard)
    ranges = parse_lengths(_length(settings))
    return Campaign(
        folder.path,
        judge,
        shard_candidates(lambda index: candidate(index, ranges, seed=settings.seed), part=part, parts=parts),
        until=share(settings.until, part=part, parts=parts),
        at_most=share(settings.at_most or HOPELESS * settings.until, part=part, parts=parts),
    )


def _check_filter(settings: SamplingSettings) -> None:
    if settings.until is not None and settings.filter is None:
        message = "--until counts the backbones that pass a --filter, which is missing; --count makes a number of them"
        raise InputError(message)
    if settings.at_most is not None and settings.until is None:
        message = "--at-most ends a search with --until, which is missing"
        raise InputError(message)
    if settings.until is not None and settings.noise is not None:
        message = "--until draws noise without end and cannot start from that of a file; leave out --noise"
        raise InputError(message)
    if settings.until is not None:
        parse_lengths(_length(settings))
        parse_shard(settings.shard)


def planned_count(settings: SamplingSettings) -> int:
    """Return how many backbones this shard of the job is to give, without planning each."""
    if settings.until is not None:
        part, parts = parse_shard(settings.shard)
        return share(settings.until, part=part, parts=parts)
    return len(plan_requests(settings, read_noise(Path(settings.noise)) if settings.noise else None))


def plan_requests(settings: SamplingSettings, noise: Frames | None = None) -> list[Request]:
    """Return the backbones of this shard of the job."""
    part, parts = parse_shard(settings.shard)
    if noise is not None:
        count, length = noise.translations.shape[:2]
        if settings.length not in (None, str(length)):
            message = f"the noise is for {length} residues, but the length asked for is {settings.length}; leave it out"
            raise InputError(message)
        return [Request(index, length) for index in range(part - 1, count, parts)]
    ranges = parse_lengths(_length(settings))
    return make_requests(ranges, count=settings.count, seed=settings.seed, part=part, parts=parts)


def _length(settings: SamplingSettings) -> str:
    if settings.length is None:
        message = "say how long the backbones shall be, for example --length 80"
        raise InputError(message)
    return settings.length


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
    return SamplingOptions.of(settings, trajectory=settings.trajectory)
