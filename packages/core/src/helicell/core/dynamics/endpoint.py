"""Sampling by a network that predicts the clean end of the path, on any space.

A step from t to s goes along the geodesic towards the predicted end, by the fraction of the remaining way that the
path's schedule covers between t and s. For a constant prediction the step is exact, on the linear schedule in flat
space it is Euler's step, and it never overshoots, however few the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths import GeodesicPath
from helicell.core.spaces import Point

Predictor = Callable[[Point, Tensor, Point | None], Point]
"""(x_t, t, the previous prediction or None) -> predicted x_1."""


Correction = Callable[[Point, Point, float, float], Point]
"""(x_s, the prediction it was reached with, t, s) -> x_s to go on from."""


@dataclass(frozen=True, slots=True)
class EndpointStep:
    """One step of `follow_endpoint`: the state at time t, and the end that was predicted from it."""

    t: float
    x_t: Point
    endpoint: Point


def time_grid(steps: int, *, finer_at_data: float = 1.0) -> Tensor:
    """Return the steps + 1 times 1 - (1 - i / steps)^finer_at_data, from 0 to 1, float64.

    Exponents above 1 make the steps shorter towards the data, where local detail is settled.
    """
    if steps < 1 or not finer_at_data > 0:
        message = f"sampling needs at least one step and an exponent above 0, got {steps} and {finer_at_data}"
        raise InputError(message)
    return 1 - (1 - torch.linspace(0, 1, steps + 1, dtype=torch.float64)) ** finer_at_data


def follow_endpoint(
    predict: Predictor, x_0: Point, times: Tensor, *, path: GeodesicPath, correct: Correction | None = None
) -> Iterator[EndpointStep]:
    """Walk from x_0 towards the predicted ends, yielding every step; the last step's `endpoint` is the sample.

    Parameters
    ----------
    predict
        The denoiser. It gets the previous prediction for self-conditioning.
    x_0
        The start, at `times[0]`.
    times
        Increasing times in [0, 1]; the network is called once at each but the last.
    path
        Gives the space and the pace.
    correct
        Changes the state after every step, to guide the walk.
    """
    x, endpoint = x_0, None
    for t, s in pairwise(times):
        endpoint = predict(x, t, endpoint)
        yield EndpointStep(t=float(t), x_t=x, endpoint=endpoint)
        if s < 1:
            x = path.space.geodesic(x, endpoint, path.fraction(t, s))
            if correct is not None:
                x = correct(x, endpoint, float(t), float(s))
