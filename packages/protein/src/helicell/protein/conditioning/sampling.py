"""Backbones for a task: in batches, each sample from its own random stream, whatever its company."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch

from helicell.core.errors import InputError
from helicell.protein.conditioning.rewards import Reward, WeightedRewards
from helicell.protein.conditioning.task import ConditionedBackbone, Task
from helicell.protein.conditioning.walking import Walk, follow
from helicell.protein.frames import Frames
from helicell.protein.generation import Request, SamplingOptions, plan_batches
from helicell.protein.model import BackboneModel
from helicell.protein.settings import SamplingDefaults


def condition(
    model: BackboneModel,
    task: Task,
    *,
    count: int = 1,
    seed: int = 0,
    batch_size: int | None = None,
    reward: Reward | None = None,
    options: SamplingOptions | None = None,
) -> list[ConditionedBackbone]:
    """Generate backbones for a task.

    Parameters
    ----------
    model
        A compact model, from `load_model`.
    task
        What is asked of the backbones: a `Scaffold`, an `Assembly`, a `Variation`, or `Free`.
    count
        Samples of the task, of each of its lengths where it has several.
    seed
        Of the job; each sample has its own stream, derived from it and the sample's number.
    batch_size
        Samples made together; chosen by length unless given. It does not change the result.
    reward
        What the backbones should have more of, from `parse_rewards`; makes sampling about twice as long.
    options
        Steps and schedules; trajectories are not kept.

    Returns
    -------
    list of ConditionedBackbone
        In order of their number.

    Raises
    ------
    InputError
        If the model is no compact one, or the task asks for something out of range.

    Examples
    --------
    >>> from helicell.protein import SamplingOptions, load_model
    >>> from helicell.protein.conditioning import Assembly, condition, parse_symmetry
    >>> from helicell.protein.lengths import parse_lengths
    >>> task = Assembly(parse_symmetry("C3"), parse_lengths("20"))
    >>> (trimer,) = condition(load_model(device="cpu"), task, options=SamplingOptions(steps=2))
    >>> trimer.chains.shape
    (3, 20, 4, 3)
    """
    if count < 1:
        message = f"count must be at least 1, got {count}"
        raise InputError(message)
    device = next(model.network.parameters()).device.type
    requests = task.requests(count=count, seed=seed)
    batches = plan_batches(requests, batch_size=batch_size, device=device)
    done = condition_batches(model, task, batches, seed=seed, reward=reward, options=options)
    return sorted(done, key=lambda backbone: backbone.index)


def condition_batches(
    model: BackboneModel,
    task: Task,
    batches: Sequence[Sequence[Request]],
    *,
    seed: int,
    reward: Reward | None = None,
    options: SamplingOptions | None = None,
) -> Iterator[ConditionedBackbone]:
    """Sample batch after batch, on the CPU as many at once as torch has threads; see `condition` for the parameters."""
    check_model(model)
    on_processor = next(model.network.parameters()).device.type == "cpu"
    workers = torch.get_num_threads() if on_processor else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    running: deque[Future[list[ConditionedBackbone]]] = deque()
    try:
        for batch in batches:
            running.append(pool.submit(condition_batch, model, task, batch, seed=seed, reward=reward, options=options))
            if len(running) > workers:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def condition_batch(
    model: BackboneModel,
    task: Task,
    requests: Sequence[Request],
    *,
    seed: int,
    reward: Reward | None = None,
    options: SamplingOptions | None = None,
) -> list[ConditionedBackbone]:
    """Sample one batch together; see `condition` for the parameters."""
    options = options or SamplingOptions()
    walk = task.walk(model, requests, seed=seed, noise_scale=options.noise_scale)
    rewards = tuple((1.0, one) for one in (walk.reward, reward) if one is not None)
    walk = replace(walk, reward=WeightedRewards(rewards) if rewards else None)
    final = follow(model, _moved(walk, next(model.network.parameters()).device), options)
    backbones = []
    for row, request in enumerate(requests):
        length = int(walk.mask[row].sum())
        frames = Frames(final.translations[row, :length], final.quaternions[row, :length]).to(torch.float32)
        backbone = task.finish(request, frames, seed=seed)
        if reward is not None:
            backbone = replace(backbone, measures={**backbone.measures, "reward": _value(reward, frames)})
        backbones.append(backbone)
    return backbones


def check_model(model: BackboneModel) -> None:
    """Refuse models that are not sampled as the compact one is.

    Raises
    ------
    InputError
        If the model is of another kind.
    """
    if not isinstance(model.sampling, SamplingDefaults):
        message = f"the model {model.name} is a published network; conditions can be met with compact models only"
        raise InputError(message)


def _value(reward: Reward, frames: Frames) -> float:
    """Return the reward of one chain."""
    one = Frames(frames.translations[None], frames.quaternions[None])
    return float(reward(one, torch.ones(one.translations.shape[:2], dtype=torch.bool)))


def _moved(walk: Walk, device: torch.device) -> Walk:
    copies = None if walk.copies is None else walk.copies.to(device)
    return replace(walk, start=walk.start.to(device), mask=walk.mask.to(device), copies=copies)
