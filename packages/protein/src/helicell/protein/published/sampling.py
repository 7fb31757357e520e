"""Sampling of published networks as their authors do it, and with a schedule of rotations that never overshoots.

The times are evenly spaced from 0.01 to 1. The network is called at each of them, also at 1, and its last prediction is
the sample; at 1, which it never saw in training, it is told the time before. In between, translations go straight to
the prediction; of the way that is left for the rotations, a step of length dt covers

    exponential   rate dt, published for sampling: with few steps more than all of it, so rotations overshoot;
    linear        dt / (1 - t), the pace of the translations and of training;
    clamped       rate dt, but never more than all of it: the default here.

References
----------
Yim et al., Fast protein backbone generation with SE(3) flow matching, arXiv 2310.05297, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from helicell.core.dynamics.endpoint import EndpointStep, Predictor
from helicell.core.errors import InputError, unknown_option
from helicell.core.spaces import Point
from helicell.protein.flow import RIGID_MOTIONS
from helicell.protein.published.settings import ROTATION_SCHEDULES


def rotation_fraction(schedule: str, t: Tensor, s: Tensor, *, rate: float) -> Tensor:
    """Return the share of the rotations' way left at t that a step to s covers.

    Raises
    ------
    InputError
        If there is no such schedule.

    Examples
    --------
    >>> t, s = torch.tensor(0.01), torch.tensor(0.12)
    >>> [round(float(rotation_fraction(name, t, s, rate=10.0)), 3) for name in ROTATION_SCHEDULES]
    [1.0, 1.1, 0.111]
    """
    if schedule not in ROTATION_SCHEDULES:
        raise unknown_option("rotation schedule", schedule, ROTATION_SCHEDULES)
    if schedule == "linear":
        return (s - t) / (1 - t)
    fraction = rate * (s - t)
    return fraction.clamp_max(1) if schedule == "clamped" else fraction


def follow_published(
    predict: Predictor, x_0: Point, *, steps: int, schedule: str, rate: float, least_time: float
) -> Iterator[EndpointStep]:
    """Walk from noise to a sample, yielding every call of the network; the last one's `endpoint` is the sample.

    Parameters
    ----------
    predict
        The denoiser. It gets the previous prediction for self-conditioning.
    x_0
        Translations and quaternions to start from.
    steps
        Calls of the network.
    schedule, rate
        Pace of the rotations, see above.
    least_time
        Time of the first call.

    Raises
    ------
    InputError
        If there is no such schedule, or not a single step.
    """
    if steps < 1:
        message = f"sampling needs at least one step, got {steps}"
        raise InputError(message)
    x, endpoint = x_0, None
    times = torch.linspace(least_time, 1, steps)
    t = times[0]
    for t, s in pairwise(times):
        endpoint = predict(x, t, endpoint)
        yield EndpointStep(t=float(t), x_t=x, endpoint=endpoint)
        fractions = ((s - t) / (1 - t), rotation_fraction(schedule, t, s, rate=rate))
        x = RIGID_MOTIONS.geodesic(x, endpoint, fractions)
    yield EndpointStep(t=float(times[-1]), x_t=x, endpoint=predict(x, t, endpoint))
