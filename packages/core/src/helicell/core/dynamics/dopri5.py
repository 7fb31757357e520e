"""The adaptive method of Dormand and Prince, of order 5, with dense output of order 4.

Every point of a batch has its own time and step size, so that a solution does not depend on the batch it is in; the
field is called for the whole batch until the last point is done. Saved states are read off the interpolant of each step
and cost no evaluations. As in `runge_kutta`, a step works in the tangent space at its start.

It is written here because torchdiffeq takes one step size for the whole batch, and torchode only knows states of shape
[batch, features] and depends on a package that is no longer kept; neither knows curved spaces.

Dormand and Prince, J. Comput. Appl. Math. 6 (1980) 19-26; Hairer, Norsett and Wanner, Solving Ordinary Differential
Equations I, section II.4 (step sizes) and II.6 (dense output).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.dynamics.fields import CountedField
from helicell.core.dynamics.runge_kutta import weighted_sum
from helicell.core.errors import HelicellError
from helicell.core.spaces import Point, Space
from helicell.core.spaces.space import as_tensors, expand_like, like_point

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
# The last row is the step itself, at whose end the last stage is: it serves as the first of the next step.
WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# The step less that of the embedded method of order 4.
ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
DENSE = (
    -12715105075 / 11282082432,
    0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)
SAFETY, LEAST_FACTOR, LARGEST_FACTOR = 0.9, 0.2, 10.0
# A step shorter than this share of the interval means that the field cannot be followed.
LEAST_STEP = 1e-7


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of every point: from x, with elapsed times t and sizes h [batch], to y with velocity `end`."""

    x: Point
    t: Tensor
    h: Tensor
    y: Point
    end: Point
    u: Point
    velocities: tuple[Point, ...]
    ratio: Tensor
    """The estimated error over the tolerance, shape [batch]."""


class DormandPrince:
    """Follows a field from one time to another.

    Parameters
    ----------
    field, space
        What is followed, and where.
    rtol, atol
        Tolerances of a step: for each coordinate `atol + rtol |x|`, in the root mean square over those of a point.
    max_steps
        After so many steps the solver gives up.
    """

    def __init__(self, field: CountedField, space: Space, *, rtol: float, atol: float, max_steps: int) -> None:
        self.field, self.space = field, space
        self.rtol, self.atol, self.max_steps = rtol, atol, max_steps
        self.steps = 0

    def follow(self, x: Point, start: float, end: float, save_at: Sequence[float]) -> tuple[Point, list[Point]]:
        """Return the state at `end`, and those at the times `save_at`.

        Raises
        ------
        HelicellError
            If the steps become too many or too short.
        """
        length, sign = abs(end - start), 1.0 if end > start else -1.0
        offsets = [abs(time - start) for time in save_at]
        # Where nothing has been written yet stands the start, which is right for the time 0.
        final, saved = x, [x] * len(offsets)
        t = torch.zeros_like(as_tensors(x)[0].flatten(1)[:, 0], dtype=_clock(x))
        done = torch.zeros_like(t, dtype=torch.bool)
        first = self.field(x, start)
        h = self._first_step(x, first, start, sign).clamp_max(length)
        while not done.all():
            self.steps += 1
            remaining = length - t
            last = h >= 0.99 * remaining
            step = self._step(x, first, start, t, torch.where(last, remaining, h), sign)
            accepted = (step.ratio <= 1) & ~done
            for index, offset in enumerate(offsets):
                here = accepted & (t < offset) & ((t + step.h >= offset) | last)
                if here.any():
                    saved[index] = _select(here, self._interpolate(step, offset, sign), saved[index])
            finished = accepted & last
            final = _select(finished, step.y, final)
            done = done | finished
            # A point that is done repeats its last step until the others are, and is not looked at again.
            going = accepted & ~finished
            x, first = _select(going, step.y, x), _select(going, step.end, first)
            t = torch.where(going, t + step.h, t)
            h = torch.where(done, h, step.h * self._factor(step.ratio))
            self._check(h, t, done, length, start, sign)
        return final, saved

    def _step(self, x: Point, first: Point, start: float, t: Tensor, h: Tensor, sign: float) -> _Step:
        velocities, u, y, v = [first], first, x, first
        for node, weights in zip(NODES, WEIGHTS, strict=True):
            u = weighted_sum(weights, velocities, sign * h)
            y = self.space.exp(x, u)
            v = self.field(y, start + sign * (t + node * h))
            velocities.append(self.space.pull_back(x, y, v))
        error = weighted_sum(ERROR, velocities, sign * h)
        return _Step(x, t, h, y, v, u, tuple(velocities), self._size(error, x, y))

    def _interpolate(self, step: _Step, offset: float, sign: float) -> Point:
        """Return the states at an elapsed time; right only for points whose step covers it."""
        theta = ((offset - step.t) / step.h).clamp(0, 1)
        u = step.u
        start = weighted_sum((1,), step.velocities[:1], sign * step.h)
        end = weighted_sum((1,), step.velocities[-1:], sign * step.h)
        bend = weighted_sum(DENSE, step.velocities, sign * step.h)
        rest = 1 - theta
        parts = []
        for a, b, c, d in zip(*map(as_tensors, (u, start, end, bend)), strict=True):
            s, r = (expand_like(value.to(a.dtype), a) for value in (theta, rest))
            parts.append(s * (a + r * ((b - a) + s * ((2 * a - b - c) + r * d))))
        return self.space.exp(step.x, like_point(tuple(parts), u))

    def _size(self, error: Point, x: Point, y: Point) -> Tensor:
        """Return the root mean square of the error over the tolerance for every point, shape [batch]."""
        squares = []
        for e, a, b in zip(*(tuple(p.detach() for p in as_tensors(q)) for q in (error, x, y)), strict=True):
            scale = self.atol + self.rtol * torch.maximum(a.abs(), b.abs())
            squares.append(((e / scale) ** 2).flatten(1))
        return torch.cat(squares, dim=1).mean(dim=1).sqrt().to(_clock(x))

    def _first_step(self, x: Point, first: Point, start: float, sign: float) -> Tensor:
        """Return a size at which an explicit Euler step is small, one per point (Hairer and others, II.4)."""
        with torch.no_grad():
            large, fast = self._size(x, x, x), self._size(first, x, x)
            h = torch.where((large > 1e-5) & (fast > 1e-5), 0.01 * large / fast, 1e-6)
            h = h.clamp_max(0.5)
            y = self.space.exp(x, weighted_sum((1,), (first,), sign * h))
            v = self.space.pull_back(x, y, self.field(y, start + sign * h))
            difference = like_point(tuple(a - b for a, b in zip(as_tensors(v), as_tensors(first), strict=True)), x)
            bend = self._size(difference, x, x) / h
            return torch.minimum(100 * h, (0.01 / torch.maximum(fast, bend).clamp_min(1e-10)) ** 0.2)

    def _factor(self, ratio: Tensor) -> Tensor:
        # An error that is not a number or infinite shortens the step; one of zero lengthens it.
        factor = (SAFETY * ratio.clamp_min(1e-10) ** -0.2).nan_to_num(nan=LEAST_FACTOR)
        return factor.clamp(LEAST_FACTOR, LARGEST_FACTOR).where(ratio <= 1, factor.clamp(LEAST_FACTOR, 1))

    def _check(self, h: Tensor, t: Tensor, done: Tensor, length: float, start: float, sign: float) -> None:
        stuck = (h < LEAST_STEP * length) & ~done
        if stuck.any() or self.steps > self.max_steps:
            time = start + sign * float((t[stuck] if stuck.any() else t[~done]).min())
            reason = "its steps became too short" if stuck.any() else f"{self.max_steps} steps did not suffice"
            message = f"dopri5 stopped at t = {time:g}: {reason}; loosen rtol and atol, or take a fixed-step method"
            raise HelicellError(message)


def _clock(x: Point) -> torch.dtype:
    """Return the dtype of times: double where the device has it."""
    return torch.float32 if as_tensors(x)[0].device.type == "mps" else torch.float64


def _select(mask: Tensor, x: Point, y: Point) -> Point:
    """Return x where the mask [batch] is true, else y."""
    pairs = zip(as_tensors(x), as_tensors(y), strict=True)
    return like_point(tuple(torch.where(expand_like(mask, a), a, b) for a, b in pairs), x)  # type: ignore[arg-type]
