"""Moving a trained field to another path between the same ends, without training.

Two paths n(t) x_0 + beta(t) x_1 with the same ends differ only in scale and pace: at times r and t at which the angles
atan(beta / n) agree, the point of one is that of the other times the ratio of the lengths of (n, beta). The angle runs
from 0 to pi/2, also where the signal-to-noise ratio beta / n would be infinite. So a network that was trained on one
path can be sampled on another, whose steps suit a solver better.

Pokle and others, arXiv 2310.04432, section 3, and Lipman and others, arXiv 2210.02747, in one form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.checks import check_times
from helicell.core.paths.interpolants import Interpolant
from helicell.core.spaces.space import expand_points

# Halvings of [0, 1] that find a time; more would not change a float64.
HALVINGS = 52


class Rescheduled:
    """The velocity field of one path made from that of another.

    Parameters
    ----------
    field
        The velocity field of the path `old`, called as field(x, t, ...).
    old, new
        Paths without gamma, or with gamma and a Gaussian source, which then counts as part of the noise. The angle of
        `new` must stay in the range of that of `old`.

    Raises
    ------
    InputError
        If a path adds noise between two data sets: the share of the noise then differs, and no change of time mends it.

    Examples
    --------
    >>> import torch
    >>> from helicell.core.paths.interpolants import one_sided_linear, one_sided_trigonometric
    >>> field = Rescheduled(lambda x, t: x, one_sided_linear(), one_sided_trigonometric())
    >>> field.time(torch.tensor(0.5))
    tensor(0.5000)
    """

    def __init__(self, field: Callable[..., Tensor], old: Interpolant, new: Interpolant) -> None:
        for path in (old, new):
            if path.noisy and not path.gaussian_source:
                message = "a path with noise between two data sets cannot be rescheduled; take one without gamma"
                raise InputError(message)
        if old.gaussian_source != new.gaussian_source and (old.noisy or new.noisy):
            message = "both paths must have a Gaussian source for the noise of one to be that of the other"
            raise InputError(message)
        self.field, self.old, self.new = field, old, new

    def __call__(self, x: Tensor, t: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the velocity at x on the new path at the times t, shape [] or [batch]."""
        check_times(t, x)
        new = _polar(self.new, t.double())
        time = self._time(new.angle)
        old = _polar(self.old, time)
        pace = new.angle_rate / old.angle_rate
        scale = new.radius / old.radius
        growth = new.radius_rate / new.radius - pace * old.radius_rate / old.radius
        inner = self.field(x / expand_points(scale, x), time.to(t.dtype), *arguments, **keywords)
        return expand_points(growth, x) * x + expand_points(scale * pace, x) * inner

    def time(self, t: Tensor) -> Tensor:
        """Return the time of the old path at which its signal is to its noise as at time t of the new one."""
        return self._time(_polar(self.new, t.double()).angle).to(t.dtype)

    def scale(self, t: Tensor) -> Tensor:
        """Return by which factor the new path is wider at t than the old one at `time(t)`."""
        new = _polar(self.new, t.double())
        return (new.radius / _polar(self.old, self._time(new.angle)).radius).to(t.dtype)

    def _time(self, angle: Tensor) -> Tensor:
        low, high = torch.zeros_like(angle), torch.ones_like(angle)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            late = _polar(self.old, middle).angle > angle
            low, high = torch.where(late, low, middle), torch.where(late, middle, high)
        return 0.5 * (low + high)


class _Polar(NamedTuple):
    """Noise and signal in polar coordinates, and the derivatives of these."""

    radius: Tensor
    angle: Tensor
    radius_rate: Tensor
    angle_rate: Tensor


def _polar(path: Interpolant, t: Tensor) -> _Polar:
    noise, signal = torch.as_tensor(path.alpha.value(t)), torch.as_tensor(path.beta.value(t))
    noise_rate, signal_rate = torch.as_tensor(path.alpha.derivative(t)), torch.as_tensor(path.beta.derivative(t))
    if path.noisy:
        product = path.alpha.product(t) + path.gamma.product(t)
        noise = (noise**2 + torch.as_tensor(path.gamma.value(t)) ** 2).sqrt()
        noise_rate = product / noise
    squared = noise**2 + signal**2
    radius = squared.sqrt()
    return _Polar(
        radius,
        torch.atan2(signal, noise),
        (noise * noise_rate + signal * signal_rate) / radius,
        (noise * signal_rate - signal * noise_rate) / squared,
    )
