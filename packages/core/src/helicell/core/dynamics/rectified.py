"""The update of rectified flows that keeps the original noise.

Euler's step goes from where the last one ended, and carries its error along. On a straight path every x_t is on the way
from x_0 to the predicted end; so the next state is taken there, x_s = kappa(s) of the way from the ORIGINAL x_0 to the
end predicted at t. In flat space, with the linear schedule, x_s = s x_1 + (1 - s) x_0. Both agree where paths are
straight; where they are not quite, only the error of the last prediction is left.

Lee, Lin and Fanti, Improving the training of rectified flows, arXiv 2405.20320, section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.dynamics.endpoint import Correction, EndpointStep, Predictor
from helicell.core.dynamics.fields import CountedField, Field, Times, check_end, check_start, time_points
from helicell.core.dynamics.ode import Solution
from helicell.core.errors import InputError
from helicell.core.paths import GeodesicPath
from helicell.core.spaces import Euclidean, Point


def predict_endpoint(field: Field, *, path: GeodesicPath) -> Predictor:
    """Return the predictor of x_1 that a velocity field on a geodesic path amounts to.

    Parameters
    ----------
    field
        The velocity field.
    path
        The path that it was trained on.
    """
    counted = field if isinstance(field, CountedField) else CountedField(field)

    def predict(x: Point, t: Tensor, _: Point | None) -> Point:
        return path.endpoint(x, counted(x, t), t)

    return predict


def follow_from_noise(
    predict: Predictor, x_0: Point, times: Tensor, *, path: GeodesicPath, correct: Correction | None = None
) -> Iterator[EndpointStep]:
    """Walk towards the predicted ends, always from the original x_0; the last step's `endpoint` is the sample.

    The parameters are those of `follow_endpoint`, from which it differs in the update alone.
    """
    x: Point = x_0
    endpoint: Point | None = None
    for t, s in pairwise(times):
        endpoint = predict(x, t, endpoint)
        yield EndpointStep(t=float(t), x_t=x, endpoint=endpoint)
        if s < 1:
            x = path.space.geodesic(x_0, endpoint, path.fraction(torch.zeros_like(s), s))
            if correct is not None:
                x = correct(x, endpoint, float(t), float(s))


@cited("lee2024improving")
def sample_rectified(field: Field, x_0: Point, times: Times, *, path: GeodesicPath | None = None) -> Solution:
    """Follow a velocity field by the update that keeps the original noise; one evaluation a step.

    Parameters
    ----------
    field
        `field(x, t)` returns the velocity at x, with t of shape [batch].
    x_0
        The noise, shape [batch, ..., dimension], or a tuple of such for a product.
    times
        Increasing times from 0 on, or the number of equal steps from 0 to 1.
    path
        The path that the field was trained on; linear in flat space unless given.

    Raises
    ------
    InputError
        If the times do not increase from 0, or the batch is empty or not finite.

    Examples
    --------
    >>> solution = sample_rectified(lambda x, t: torch.ones_like(x), torch.zeros(1, 2), 3)
    >>> solution.x, solution.evaluations
    (tensor([[1., 1.]]), 3)
    """
    path = path if path is not None else GeodesicPath(Euclidean())
    check_start(x_0, path.space)
    grid = torch.tensor(time_points(times), dtype=torch.float64)
    if grid[0] != 0:
        message = f"the times start at {float(grid[0]):g}, but the original noise is at 0; start there"
        raise InputError(message)
    counted = CountedField(field)
    endpoint = x_0
    for step in follow_from_noise(predict_endpoint(counted, path=path), x_0, grid, path=path):
        endpoint = step.endpoint
    x = endpoint if grid[-1] == 1 else path.space.geodesic(x_0, endpoint, path.fraction(grid[0], grid[-1]))
    check_end(x)
    return Solution(x, counted.evaluations, len(grid) - 1, torch.empty(0, dtype=torch.float64))
