"""The conditioned walk from noise to backbones: what is asked of them is met on the way.

Four things can be asked, in any combination. *Symmetry*: the network sees all copies of a chain, one of which is
moved. *Hold*: of every prediction some frames are replaced before the state moves towards it, as those of a motif are.
*Reward*: the state is pushed up the gradient of a reward of the prediction, through the network. *A later start*: the
walk begins with a noisy version of a given backbone.

Every chain of a batch is moved for itself, so a sample does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Bool
from torch import Tensor

from helicell.core.dynamics.endpoint import Correction, EndpointStep, Predictor, follow_endpoint, time_grid
from helicell.core.dynamics.guidance import RewardGradient
from helicell.core.paths.interpolants import one_sided_linear
from helicell.core.spaces import Point
from helicell.protein.conditioning.rewards import Reward
from helicell.protein.conditioning.symmetry import Copies
from helicell.protein.flow import backbone_path
from helicell.protein.frames import Frames, centred
from helicell.protein.generation import SamplingOptions, endpoint_predictor
from helicell.protein.model import BackboneModel
from helicell.protein.settings import SamplingDefaults
from helicell.protein.sterics import StericGuidance

Hold = Callable[[Frames], Frames]
"""predicted frames [batch, residues, ...] -> the same with some of them replaced."""

# Predictions are held until this time. After it the network is left to close the chain around what was held, which
# by then it hardly moves any more.
HOLD_UNTIL = 0.9
# Rewards push between these times: before, the prediction is a blur, and after, only bonds are left to be settled.
REWARD_TIMES = (0.02, 0.9)
# No residue is pushed by more than this in a step (Angstrom).
LARGEST_PUSH = 1.0


@dataclass(frozen=True, slots=True)
class Walk:
    """A batch of chains to make, and what is asked of them.

    Attributes
    ----------
    start
        Where the walk starts, shape [batch, residues, ...], Angstrom.
    mask
        Residues of the chains, shape [batch, residues].
    start_time
        The time of the start; 0 is noise.
    hold
        What is replaced in every prediction.
    reward
        What the backbones should have more of.
    copies
        The copies of each chain, in symmetric assemblies.
    """

    start: Frames
    mask: Bool[Tensor, "batch residues"]
    start_time: float = 0.0
    hold: Hold | None = None
    reward: Reward | None = None
    copies: Copies | None = None

    def centred(self, frames: Frames) -> Frames:
        """Return the frames with the centre of the chain, or of the assembly, at the origin."""
        if self.copies is None:
            return centred(frames, self.mask)
        return Frames(self.copies.symmetry.centred(frames.translations, self.mask), frames.quaternions)


def walk_times(model: BackboneModel, options: SamplingOptions, *, start_time: float = 0.0) -> Tensor:
    """Return the times of a walk: those of the whole way from noise that lie after the start, and the start."""
    defaults = cast(SamplingDefaults, model.sampling)
    steps = defaults.steps if options.steps is None else options.steps
    finer = defaults.finer_at_data if options.finer_at_data is None else options.finer_at_data
    times = time_grid(steps, finer_at_data=finer)
    later = times[times > start_time + 1e-6]
    return torch.cat((times.new_tensor([start_time]), later))


def follow(model: BackboneModel, walk: Walk, options: SamplingOptions) -> Frames:
    """Return the chains at the end of the walk, shape [batch, residues, ...], centred, on the CPU.

    Parameters
    ----------
    model
        A compact model.
    walk
        What to make.
    options
        Steps and schedules.
    """
    endpoint: Point = ()
    with torch.no_grad():
        for step in walk_steps(model, walk, options):
            endpoint = step.endpoint
    return walk.centred(Frames(*endpoint)).to("cpu")


def walk_steps(model: BackboneModel, walk: Walk, options: SamplingOptions) -> Iterator[EndpointStep]:
    """Walk, yielding every step; the last step's `endpoint` are the chains."""
    defaults = cast(SamplingDefaults, model.sampling)
    exponent = _or(options.rotation_exponent, defaults.rotation_exponent)
    path = backbone_path(exponent * _or(options.rotation_speed, defaults.rotation_speed))
    predict = _of_first_chains(model, walk, backbone_path(exponent), options)
    steering = Steering(predict, walk, scale=defaults.noise_scale) if walk.reward is not None else None
    sweeps = int(_or(options.steric_sweeps, defaults.steric_sweeps))
    yield from follow_endpoint(
        _held(steering or predict, walk.hold),
        _point(walk.start),
        walk_times(model, options, start_time=walk.start_time),
        path=path,
        correct=_correction(walk, sweeps, steering),
    )


@dataclass(slots=True)
class Steering:
    """A predictor that also finds where a reward of its prediction pushes the state.

    The translations follow the velocity field that the network amounts to, in units of the noise, on which the core's
    `RewardGradient` works; the orientations are predicted along, and the reward's gradient goes through both.

    Attributes
    ----------
    predict
        The network.
    walk
        Has the reward.
    scale
        Standard deviation of the noise, Angstrom.
    push
        The velocity that the reward adds at the time of the last prediction, shape [batch, residues, 3], Angstrom.
    """

    predict: Predictor
    walk: Walk
    scale: float
    push: Tensor | None = field(default=None, init=False)

    def __call__(self, x: Point, t: Tensor, previous: Point | None) -> Point:
        if not REWARD_TIMES[0] <= float(t) < REWARD_TIMES[1]:
            self.push = None
            return self.predict(x, t, previous)
        found: list[tuple[Point, Tensor]] = []

        def velocity(z: Tensor, time: Tensor) -> Tensor:
            endpoint = self.predict((self.scale * z, x[1]), time, previous)
            found.append((endpoint, (endpoint[0] / self.scale - z) / (1 - time)))
            return found[-1][1]

        def reward(data: Tensor) -> Tensor:
            frames = Frames(self.scale * data, found[-1][0][1])
            return cast(Reward, self.walk.reward)(frames, self.walk.mask)

        guided = RewardGradient(velocity, reward, path=one_sided_linear())(x[0] / self.scale, t)
        endpoint, plain = found[-1]
        self.push = self.scale * (guided - plain.detach()) * self.walk.mask[..., None]
        return endpoint[0].detach(), endpoint[1].detach()


def _of_first_chains(model: BackboneModel, walk: Walk, told: object, options: SamplingOptions) -> Predictor:
    """Return the network as a predictor of the first chains, which sees all copies."""
    mask = walk.mask if walk.copies is None else walk.copies.mask
    index = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    if walk.copies is not None:
        index = walk.copies.index
    predict = endpoint_predictor(model, mask, index, told, precision=options.precision)  # type: ignore[arg-type]
    if walk.copies is None:
        return predict
    copies = walk.copies

    def predict_first(x: Point, t: Tensor, previous: Point | None) -> Point:
        seen = None if previous is None else _point(copies.expanded(Frames(*previous)))
        whole = predict(_point(copies.expanded(Frames(*x))), t, seen)
        return _point(walk.centred(copies.first(Frames(*whole))))

    return predict_first


def _held(predict: Predictor, hold: Hold | None) -> Predictor:
    def held(x: Point, t: Tensor, previous: Point | None) -> Point:
        endpoint = predict(x, t, previous)
        if hold is None or t >= HOLD_UNTIL:
            return endpoint
        return _point(hold(Frames(*endpoint)))

    return held


def _correction(walk: Walk, sweeps: int, steering: Steering | None) -> Correction:
    """Return what moves the state after each step: steric guidance between all copies, and the push of the reward."""
    guidance = StericGuidance(sweeps)
    copies = walk.copies
    mask = walk.mask if copies is None else copies.mask
    index = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape) if copies is None else copies.index
    residues = walk.mask.shape[1]

    def correct(x: Point, endpoint: Point, t: float, s: float) -> Point:
        translations = x[0]
        predicted = Frames(*endpoint)
        moved = guidance.displacement(predicted if copies is None else copies.expanded(predicted), mask, index, t=t)
        if moved is not None:
            translations = translations + s * moved[:, :residues] * walk.mask[..., None]
        if steering is not None and steering.push is not None:
            push = (s - t) * steering.push
            translations = translations + push * (
                LARGEST_PUSH / push.norm(dim=-1, keepdim=True).clamp_min(LARGEST_PUSH)
            )
        return translations, x[1]

    return correct


def _point(frames: Frames) -> tuple[Tensor, Tensor]:
    return frames.translations, frames.quaternions


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
