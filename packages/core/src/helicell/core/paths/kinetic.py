"""The schedule that moves the data with the least kinetic energy, when the source is Gaussian noise.

For x_t = alpha x_0 + beta x_1 with Gaussian x_0 in d dimensions, data scaled to E|x_1|^2 = d, and alpha = r cos(theta),
beta = r sin(theta), the mean kinetic energy of the marginal velocity, per dimension, is the integral over time of

    r'^2 + r^2 lambda(theta) theta'^2,    lambda = 1 - (1 + s^2) m(s),    s = tan(theta),

where m(s) is the mean posterior variance, per dimension, of x_1 given s x_1 + x_0: the data enter by this one function,
their separation. It is 1 for data that lie far apart and 0 for a Gaussian. The energy is that of a curve in a surface
with the metric dr^2 + r^2 lambda dtheta^2, which is flat: with phi = integral of sqrt(lambda) dtheta, r and phi are
polar coordinates of a plane, and the best path is the straight line in it. Where lambda = 1 that is the linear path.

Shaul and others, On kinetic optimal probability paths for generative models, arXiv 2306.06626, who solve the problem in
one dimension numerically; the closed solution is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.checks import check_points
from helicell.core.paths.coefficients import Tabulated
from helicell.core.paths.interpolants import Interpolant

# Angles at which the separation is measured, and times at which the schedule is tabulated.
ANGLES = 129
TIMES = 513
# Where the energy does not care (separation 0), the schedule still needs some pace.
LEAST_SEPARATION = 1e-3
# Numbers in a table of distances between draws and data.
TABLE_SIZE = 4_000_000


@dataclass(frozen=True, slots=True)
class DataSeparation:
    """The data separation function.

    Attributes
    ----------
    angles
        theta from 0 (noise) to pi / 2 (data), shape [angles].
    values
        lambda at these angles, from 0 (as for a Gaussian) to 1 (far apart).
    scale
        The root mean square of a coordinate of the data.
    """

    angles: NDArray[np.float64]
    values: NDArray[np.float64]
    scale: float
    citations = ("shaul2023kinetic",)


def data_separation(data: Tensor, *, generator: torch.Generator | None = None, draws: int = 512) -> DataSeparation:
    """Estimate the separation function of data.

    Parameters
    ----------
    data
        Points, shape [points, ...]. They are taken as they are: in the limit of vanishing noise a finite set of points
        is separated, however densely it fills the space.
    generator
        A CPU generator for the points and the noise.
    draws
        Noisy points that are averaged over at each angle.

    Raises
    ------
    InputError
        If there are no data, they are not finite, or are all zero.
    """
    check_points("the data", data)
    if draws < 1:
        message = f"the number of draws is {draws}, expected 1 or more"
        raise InputError(message)
    points = data.detach().flatten(1).double()
    dimensions = points.shape[1]
    scale = float(points.square().mean().sqrt())
    if scale == 0:
        message = "all data are zero, so there is nothing to schedule"
        raise InputError(message)
    points = points / scale
    chosen = torch.randint(len(points), (draws,), generator=generator).to(points.device)
    noise = torch.randn(draws, dimensions, generator=generator, dtype=torch.float64).to(points.device)
    angles = np.linspace(0, 0.5 * np.pi, ANGLES)
    ratios = np.tan(angles[:-1])
    spread = np.array([_posterior_variance(points, points[chosen], noise, float(s)) for s in ratios])
    values = np.clip(1 - (1 + ratios**2) * spread, 0, 1)
    return DataSeparation(angles, np.append(values, values[-1]), scale)


def kinetic_optimal(separation: DataSeparation) -> Interpolant:
    """Return the path with the least kinetic energy; its source is Gaussian.

    Examples
    --------
    >>> far_apart = torch.tensor([[1.0] * 1000, [-1.0] * 1000])
    >>> path = kinetic_optimal(data_separation(far_apart, generator=torch.Generator().manual_seed(0)))
    >>> path.beta.value(torch.tensor([0.0, 0.5, 1.0])).round(decimals=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    stretch = np.sqrt(np.maximum(separation.values, LEAST_SEPARATION))
    flat = cumulative_trapezoid(stretch, separation.angles, initial=0.0)
    to_angle = PchipInterpolator(flat, separation.angles)
    # The straight line from radius 1 at angle 0 to the scale of the data at the last angle.
    t = np.linspace(0, 1, TIMES)
    end = separation.scale * np.array([np.cos(flat[-1]), np.sin(flat[-1])])
    x, y = 1 - t + t * end[0], t * end[1]
    step = end - np.array([1.0, 0.0])
    radius = np.hypot(x, y)
    radius_rate = (x * step[0] + y * step[1]) / radius
    turned = np.clip(np.arctan2(y, x), 0, flat[-1])
    theta = to_angle(turned)
    theta_rate = to_angle(turned, 1) * (x * step[1] - y * step[0]) / radius**2
    alpha, beta = radius * np.cos(theta), radius * np.sin(theta)
    alpha[-1], beta[0] = 0.0, 0.0
    return Interpolant(
        _tabulated(alpha, radius_rate * np.cos(theta) - beta * theta_rate),
        _tabulated(beta / separation.scale, (radius_rate * np.sin(theta) + alpha * theta_rate) / separation.scale),
        gaussian_source=True,
        citations=("shaul2023kinetic",),
    )


def kinetic_energy(path: Interpolant, separation: DataSeparation) -> float:
    """Return the kinetic energy per dimension of a path without gamma from Gaussian noise to the data."""
    t = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    noise, noise_rate = (np.broadcast_to(v, t.shape) for v in (path.alpha.value(t), path.alpha.derivative(t)))
    data, data_rate = (
        separation.scale * np.broadcast_to(v, t.shape) for v in (path.beta.value(t), path.beta.derivative(t))
    )
    values = np.interp(np.arctan2(data, noise), separation.angles, separation.values)
    turning = (data_rate * noise - data * noise_rate) ** 2 / (noise**2 + data**2)
    return float(np.mean(data_rate**2 + noise_rate**2 - (1 - values) * turning))


def _posterior_variance(points: Tensor, clean: Tensor, noise: Tensor, ratio: float) -> float:
    """Return E tr Var(x_1 | ratio x_1 + x_0) / d for the empirical distribution of the points."""
    total = 0.0
    squares = points.square().sum(dim=1)
    for part in (ratio * clean + noise).split(max(TABLE_SIZE // len(points), 1)):
        share = torch.softmax(ratio * part @ points.T - 0.5 * ratio**2 * squares, dim=1)
        mean = share @ points
        total += float((share @ squares - mean.square().sum(dim=1)).sum())
    return total / noise.numel()


def _tabulated(values: NDArray[np.float64], slopes: NDArray[np.float64]) -> Tabulated:
    return Tabulated(torch.from_numpy(values), torch.from_numpy(slopes))
