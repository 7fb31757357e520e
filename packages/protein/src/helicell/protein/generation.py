"""Generating backbones in batches: the same seed gives the same backbone in any batch, shard or resumed run.

A job is a list of backbones to make, each with its own random stream. Backbones of like lengths are sampled together,
padded to the longest; padding does not reach the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from helicell.core.dynamics.endpoint import Correction, EndpointStep, Predictor, follow_endpoint, time_grid
from helicell.core.dynamics.rectified import follow_from_noise
from helicell.core.errors import InputError
from helicell.core.paths import GeodesicPath
from helicell.core.runs.devices import choose_precision
from helicell.core.runs.seeds import sample_generator, sample_seed
from helicell.core.runs.settings import Settings
from helicell.core.spaces import Point
from helicell.protein.flow import backbone_path, noise_frames
from helicell.protein.frames import Frames, backbone_from_frames, centred
from helicell.protein.model import BackboneModel
from helicell.protein.networks.compact import FramesBatch
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.sampling import follow_published
from helicell.protein.published.settings import FrameDiffSampling
from helicell.protein.settings import SamplingDefaults
from helicell.protein.sterics import StericGuidance

Number = TypeVar("Number", int, float)

MAX_LENGTH = 2000
# Residues of a batch unless asked otherwise: more is hardly faster on a processor, and keeps a graphics card busy.
RESIDUES_PER_BATCH = {"cpu": 512, "cuda": 16384, "mps": 4096}


@dataclass(frozen=True, slots=True)
class Request:
    """One backbone to make: its number in the job and its length."""

    index: int
    length: int


@dataclass(frozen=True, slots=True)
class Backbone:
    """One generated backbone.

    Attributes
    ----------
    index, length
        Number in the job, number of residues.
    seed
        Seed of its random stream.
    frames
        Residue frames, shape [length, ...], Angstrom, on the CPU.
    trajectory
        Noisy frames before each step and predicted ones, shape [steps, length, ...], if they were asked for.
    """

    index: int
    length: int
    seed: int
    frames: Frames
    trajectory: tuple[Frames, Frames] | None = None

    @property
    def coordinates(self) -> np.ndarray:
        """Atoms N, CA, C, O: float32, shape [length, 4, 3], Angstrom."""
        return backbone_from_frames(self.frames).numpy()


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to sample; what is None is as the model's card says.

    Attributes
    ----------
    steps
        Evaluations of the network per backbone.
    noise_scale
        Factor on the starting noise of the translations.
    rotation_exponent
        p of the rotations' schedule 1 - (1 - t)^p.
    rotation_speed
        How much faster orientations move than their schedule, which the network is told. Above 1 they settle early, as
        if at a lower temperature: more regular secondary structure and better bonds, less variety.
    finer_at_data
        Above 1, steps get shorter towards the data.
    steric_sweeps
        Sweeps of steric guidance a step; 0 for none.
    from_noise
        Start every step at the noise again, as for rectified flows.
    rotation_schedule
        Of published networks, instead of the five above: "clamped", "exponential" or "linear".
    precision
        "auto", "float32" or "bfloat16".
    trajectory
        Keep every step.
    """

    steps: int | None = None
    noise_scale: float = 1.0
    rotation_exponent: float | None = None
    rotation_speed: float | None = None
    finer_at_data: float | None = None
    steric_sweeps: int | None = None
    from_noise: bool | None = None
    rotation_schedule: str | None = None
    precision: str = "auto"
    trajectory: bool = False

    @classmethod
    def of(cls, settings: Settings, *, trajectory: bool = False) -> SamplingOptions:
        """Return the options that the settings of a job name as these do; the others are as the model's card says."""
        values = {field.name: getattr(settings, field.name) for field in fields(cls) if hasattr(settings, field.name)}
        return cls(**values | {"trajectory": trajectory})


COMPACT_OPTIONS = ("rotation_exponent", "rotation_speed", "finer_at_data", "steric_sweeps", "from_noise")
PUBLISHED_OPTIONS = ("rotation_schedule",)


def check_options(model: BackboneModel, options: SamplingOptions) -> None:
    """Refuse options that the sampling of this model does not know.

    Raises
    ------
    InputError
        If there is one.
    """
    published = isinstance(model.sampling, FrameDiffSampling)
    for name in COMPACT_OPTIONS if published else PUBLISHED_OPTIONS:
        if getattr(options, name) is not None:
            known = ", ".join(PUBLISHED_OPTIONS if published else COMPACT_OPTIONS)
            message = f"the model {model.name} is not sampled with {name}; leave it out, or use: {known}"
            raise InputError(message)


def generate(
    model: BackboneModel,
    lengths: int | Sequence[int],
    *,
    count: int = 1,
    seed: int = 0,
    batch_size: int | None = None,
    noise: Frames | None = None,
    options: SamplingOptions | None = None,
) -> list[Backbone]:
    """Generate backbones.

    Parameters
    ----------
    model
        From `load_model`.
    lengths
        Number of residues, or several.
    count
        Backbones of each length.
    seed
        Of the job; each backbone has its own stream, derived from it and the backbone's number.
    batch_size
        Backbones sampled together; chosen by length unless given. It does not change the result.
    noise
        Starting frames, shape [backbones, length, ...], instead of drawn ones; all lengths must equal theirs.
    options
        Steps and schedules.

    Returns
    -------
    list of Backbone
        In order of their number: all of the first length, then all of the second.

    Raises
    ------
    InputError
        If a length, count or option is out of range.

    Examples
    --------
    >>> from helicell.protein import generate, load_model
    >>> backbones = generate(load_model(device="cpu"), 40, count=2, options=SamplingOptions(steps=2))
    >>> backbones[0].coordinates.shape
    (40, 4, 3)
    """
    wanted = [lengths] if isinstance(lengths, int) else list(lengths)
    if count < 1:
        message = f"count must be at least 1, got {count}"
        raise InputError(message)
    requests = [Request(i, length) for i, length in enumerate(np.repeat(wanted, count).tolist())]
    batches = plan_batches(requests, batch_size=batch_size, device=_device(model).type)
    done = sample_batches(model, batches, seed=seed, noise=noise, options=options)
    return sorted(done, key=lambda backbone: backbone.index)


def plan_batches(
    requests: Sequence[Request], *, batch_size: int | None = None, device: str = "cpu"
) -> list[list[Request]]:
    """Cut a job into batches of like lengths.

    The plan depends on the whole job only, never on what is done already, so that a resumed job computes its missing
    backbones in the same company and to the same bits.
    """
    if not requests:
        return []
    for request in requests:
        if not 1 <= request.length <= MAX_LENGTH:
            message = f"the length of a backbone must be 1 to {MAX_LENGTH} residues, got {request.length}"
            raise InputError(message)
    if batch_size is not None and batch_size < 1:
        message = f"the batch size must be at least 1, got {batch_size}"
        raise InputError(message)
    ordered = sorted(requests, key=lambda r: (r.length, r.index))
    if batch_size is not None:
        return [ordered[first : first + batch_size] for first in range(0, len(ordered), batch_size)]
    # As many batches as the residues want, and each of them with its share of the residues: workers end together.
    lengths = np.array([request.length for request in ordered])
    count = max(1, round(lengths.sum() / RESIDUES_PER_BATCH[device]))
    number = ((lengths.cumsum() - lengths / 2) * count / lengths.sum()).astype(int)
    return [[ordered[i] for i in np.flatnonzero(number == n)] for n in np.unique(number)]


def sample_batches(
    model: BackboneModel,
    batches: Sequence[Sequence[Request]],
    *,
    seed: int,
    noise: Frames | None = None,
    options: SamplingOptions | None = None,
) -> Iterator[Backbone]:
    """Sample batch after batch, on the CPU as many at once as torch has threads; see `generate` for the parameters.

    One thread a batch is faster than all threads on one batch, whose many small steps would wait for each other, and
    makes the last bit of a result independent of the number of threads.
    """
    workers = torch.get_num_threads() if _device(model).type == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    running: deque[Future[list[Backbone]]] = deque()
    try:
        for batch in batches:
            running.append(pool.submit(sample_batch, model, batch, seed=seed, noise=noise, options=options))
            if len(running) > workers:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@torch.inference_mode()
def sample_batch(
    model: BackboneModel,
    requests: Sequence[Request],
    *,
    seed: int,
    noise: Frames | None = None,
    options: SamplingOptions | None = None,
) -> list[Backbone]:
    """Sample the backbones of one batch together; see `generate` for the parameters."""
    options = options or SamplingOptions()
    check_options(model, options)
    device = _device(model)
    mask = torch.arange(max(r.length for r in requests)) < torch.tensor([[r.length] for r in requests])
    start = (
        _given_noise(noise, requests)
        if noise is not None
        else _drawn_noise(model, requests, mask, seed=seed, options=options)
    )
    index = torch.arange(mask.shape[1]).expand(mask.shape).to(device)
    noisy, predicted = [], []
    published = isinstance(model.sampling, FrameDiffSampling)
    walk = _published_walk if published else _walk
    for step in walk(model, start.to(device), mask.to(device), index, options):
        endpoint = Frames(*step.endpoint)
        if options.trajectory:
            noisy.append(Frames(*step.x_t).to("cpu"))
            predicted.append(endpoint.to("cpu"))
    # Published networks leave the centre where the noise had it, and so do we.
    final = (endpoint if published else centred(endpoint, mask.to(device))).to("cpu")
    backbones = []
    for row, request in enumerate(requests):
        trajectory = (_one(noisy, row, request), _one(predicted, row, request)) if options.trajectory else None
        frames = Frames(final.translations[row, : request.length], final.quaternions[row, : request.length])
        own_seed = sample_seed(seed, request.index, stream="backbone")
        backbones.append(Backbone(request.index, request.length, own_seed, frames.to(torch.float32), trajectory))
    return backbones


def _walk(
    model: BackboneModel, start: Frames, mask: Tensor, index: Tensor, options: SamplingOptions
) -> Iterator[EndpointStep]:
    """Sample as the compact network was trained for."""
    defaults = cast(SamplingDefaults, model.sampling)
    times = time_grid(
        _or(options.steps, defaults.steps), finer_at_data=_or(options.finer_at_data, defaults.finer_at_data)
    )
    exponent = _or(options.rotation_exponent, defaults.rotation_exponent)
    path = backbone_path(exponent * _or(options.rotation_speed, defaults.rotation_speed))
    predict = endpoint_predictor(model, mask, index, backbone_path(exponent), precision=options.precision)
    correct = _steric_correction(_or(options.steric_sweeps, defaults.steric_sweeps), mask, index)
    from_noise = defaults.from_noise if options.from_noise is None else options.from_noise
    follow = follow_from_noise if from_noise else follow_endpoint
    return follow(predict, (start.translations, start.quaternions), times, path=path, correct=correct)


def _published_walk(
    model: BackboneModel, start: Frames, mask: Tensor, index: Tensor, options: SamplingOptions
) -> Iterator[EndpointStep]:
    """Sample as the authors of the published network do."""
    defaults = cast(FrameDiffSampling, model.sampling)
    dtype = choose_precision(options.precision, mask.device)

    def predict(x: Point, t: Tensor, previous: Point | None) -> Point:
        batch = FramesBatch(Frames(*x), mask, index, t.to(mask.device).expand(len(mask), 2))
        known = Frames(*previous) if previous is not None else None
        frames = cast(FrameDiffNetwork, model.network)(batch, known, pair_dtype=dtype)[-1]
        return frames.translations, frames.quaternions

    return follow_published(
        predict,
        (start.translations, start.quaternions),
        steps=_or(options.steps, defaults.steps),
        schedule=options.rotation_schedule or defaults.rotation_schedule,
        rate=defaults.rotation_rate,
        least_time=defaults.least_time,
    )


def endpoint_predictor(
    model: BackboneModel, mask: Tensor, index: Tensor, path: GeodesicPath, *, precision: str
) -> Predictor:
    """Return the compact network as a function of a state, its time, and the previous prediction.

    Parameters
    ----------
    model
        A compact model.
    mask, index
        Which residues there are, and their numbers, shape [batch, residues].
    path
        Gives the times of translations and rotations that the network is told.
    precision
        "auto", "float32" or "bfloat16".
    """
    dtype = choose_precision(precision, mask.device)
    schedules = path.schedule if isinstance(path.schedule, tuple) else (path.schedule, path.schedule)

    def predict(x: Point, t: Tensor, previous: Point | None) -> Point:
        times = torch.stack([schedule.value(t) for schedule in schedules]).float().to(mask.device)
        batch = FramesBatch(Frames(*x), mask, index, times.expand(len(mask), 2))
        with torch.autocast(mask.device.type, dtype=dtype, enabled=dtype != torch.float32):
            frames = model.network(batch, Frames(*previous) if previous is not None else None)[-1]
        return frames.translations, frames.quaternions

    return predict


def _steric_correction(sweeps: int, mask: Tensor, index: Tensor) -> Correction:
    guidance = StericGuidance(sweeps)

    def correct(x: Point, endpoint: Point, t: float, s: float) -> Point:
        moved = guidance.displacement(Frames(*endpoint), mask, index, t=t)
        return x if moved is None else (x[0] + s * moved, x[1])

    return correct


def _drawn_noise(
    model: BackboneModel, requests: Sequence[Request], mask: Tensor, *, seed: int, options: SamplingOptions
) -> Frames:
    translations = torch.zeros(*mask.shape, 3)
    quaternions = torch.zeros(*mask.shape, 4)
    quaternions[..., 0] = 1
    for row, request in enumerate(requests):
        generator = sample_generator(seed, request.index, stream="backbone")
        scale = model.sampling.noise_scale * options.noise_scale
        own = noise_frames(torch.ones(1, request.length, dtype=torch.bool), scale=scale, generator=generator)
        translations[row, : request.length] = own.translations[0]
        quaternions[row, : request.length] = own.quaternions[0]
    return Frames(translations, quaternions)


def _given_noise(noise: Frames, requests: Sequence[Request]) -> Frames:
    rows, length = noise.translations.shape[:2]
    for request in requests:
        if request.index >= rows or request.length != length:
            message = (
                f"the noise is for {rows} backbones of {length} residues, "
                f"but backbone {request.index} has {request.length}"
            )
            raise InputError(message)
    rows_wanted = [request.index for request in requests]
    return Frames(noise.translations[rows_wanted], noise.quaternions[rows_wanted])


def _one(steps: list[Frames], row: int, request: Request) -> Frames:
    return Frames(
        torch.stack([s.translations[row, : request.length] for s in steps]),
        torch.stack([s.quaternions[row, : request.length] for s in steps]),
    )


def _or(value: Number | None, default: Number) -> Number:
    return default if value is None else value


def _device(model: BackboneModel) -> torch.device:
    return next(model.network.parameters()).device
