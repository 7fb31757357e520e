"""Stochastic interpolants in flat space: x_t = alpha(t) x_0 + beta(t) x_1 + gamma(t) z, with z standard Gaussian.

| constructor | alpha | beta | gamma |
| --- | --- | --- | --- |
| `linear` | 1 - t | t | any |
| `trigonometric` | sqrt(1 - gamma^2) cos(pi t / 2) | sqrt(1 - gamma^2) sin(pi t / 2) | any below 1 |
| `encoding_decoding` | cos^2(pi t) while t < 1/2 | cos^2(pi t) once t > 1/2 | sin^2(pi t) |
| `schroedinger_bridge` | 1 - t | t | sigma sqrt(t (1 - t)) |
| `mirror` | 0 | 1 | any |
| `scheduled` | 1 - kappa(t) | kappa(t) | any |
| `one_sided_linear` | 1 - t | t | none |
| `one_sided_trigonometric` | cos(pi t / 2) | sin(pi t / 2) | none |
| `target` | 1 - (1 - sigma) t | t | none |
| `variance_preserving` | sqrt(1 - beta^2) | that of the diffusion | none |

A gamma may also be a plain function of time, which is then differentiated automatically.

In the last four x_0 is the Gaussian noise itself, drawn independently of x_1. That is what `gaussian_source` says, and
what makes the score and every prediction follow from any one of them (see `conversions`). Coupling x_0 to x_1, by
optimal transport say, breaks the independence: take `linear` or `trigonometric` then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.checks import check_ends, check_points, check_times, gaussian_like
from helicell.core.paths.coefficients import (
    Affine,
    Coefficient,
    CosineHalf,
    Damped,
    DiffusionNoise,
    DiffusionSignal,
    QuarterCosine,
    QuarterSine,
    Scheduled,
    TimeFunction,
    as_coefficient,
    check_positive,
)
from helicell.core.paths.gammas import NO_NOISE, Brownian, SineSquared
from helicell.core.paths.path import PathSample
from helicell.core.paths.schedules import Schedule
from helicell.core.spaces import Euclidean

FALLING, RISING = Affine(1.0, -1.0), Affine(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Interpolant:
    """The path x_t = alpha(t) x_0 + beta(t) x_1 + gamma(t) z.

    Parameters
    ----------
    alpha, beta, gamma
        Functions of time with their derivatives; `Custom` takes any callable.
    gaussian_source
        Whether x_0 is standard Gaussian and independent of x_1.
    citations
        Keys for `helicell.core.cite`.

    References
    ----------
    Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797, definition 2.1.

    Examples
    --------
    >>> import torch
    >>> sample = linear().sample(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.25]))
    >>> sample.x_t, sample.dx_t
    (tensor([[0.2500, 0.2500]]), tensor([[1., 1.]]))
    """

    alpha: Coefficient
    beta: Coefficient
    gamma: Coefficient = NO_NOISE
    gaussian_source: bool = False
    citations: tuple[str, ...] = ("albergo2023stochastic",)

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            given = getattr(self, name)
            if not isinstance(given, Coefficient):
                message = (
                    f"{name} is a {type(given).__name__}, expected a Coefficient; wrap a function as Custom(function)"
                )
                raise InputError(message)

    @property
    def noisy(self) -> bool:
        """Whether noise z is added between the ends."""
        return self.gamma != NO_NOISE

    def sample(
        self,
        x_0: Tensor,
        x_1: Tensor,
        t: Tensor,
        *,
        generator: torch.Generator | None = None,
        z: Tensor | None = None,
    ) -> PathSample:
        """Return points of the path and their velocities.

        Parameters
        ----------
        x_0, x_1
            The ends, shape [batch, ...].
        t
            The times in [0, 1], shape [batch] or []. Where gamma' is infinite, so is the velocity: the ends of
            `Brownian`.
        generator
            Of the noise.
        z
            The noise itself, instead of drawing it.

        Raises
        ------
        InputError
            For shapes that do not fit, an empty batch, numbers that are not finite, or times outside [0, 1].
        """
        check_ends(x_0, x_1)
        Euclidean().check(x_1)
        check_times(t, x_1)
        if z is not None:
            check_points("the noise z", z)
            if z.shape != x_1.shape:
                message = f"the noise z has the shape {list(z.shape)}, expected that of x_1, {list(x_1.shape)}"
                raise InputError(message)
        return self.at(x_0, x_1, t, generator=generator, z=z)

    def at(
        self,
        x_0: Tensor,
        x_1: Tensor,
        t: Tensor,
        *,
        generator: torch.Generator | None = None,
        z: Tensor | None = None,
    ) -> PathSample:
        """Return what `sample` returns, for input that was checked before."""
        # With the axes of the points, so that every coefficient comes out ready to be multiplied.
        s = t.to(x_1.device).reshape(t.shape + (1,) * (x_1.ndim - t.ndim))
        if self.alpha == FALLING and self.beta == RISING:  # the path of nearly all training, in two operations
            x_t, dx_t = torch.lerp(x_0, x_1, _typed(s, x_1)), x_1 - x_0
        else:
            x_t = _combined(x_0, x_1, self.alpha.value(s), self.beta.value(s))
            dx_t = _combined(x_0, x_1, self.alpha.derivative(s), self.beta.derivative(s))
        if self.noisy:
            z = z if z is not None else gaussian_like(x_1, generator)
            x_t = x_t + _typed(self.gamma.value(s), x_t) * z
            dx_t = dx_t + _typed(self.gamma.derivative(s), x_t) * z
        return PathSample(x_t=x_t, dx_t=dx_t, x_0=x_0, x_1=x_1, t=t, z=z if self.noisy else None)

    def mirrored(self, sample: PathSample) -> PathSample:
        """Return the sample with the Gaussian part reversed: z, or with a Gaussian source and no gamma x_0.

        Averages over a sample and its mirror image have less variance, and stay finite where gamma' does not.
        """
        x_0, x_1, t, z = sample.x_0, sample.x_1, sample.t, sample.z
        if self.gaussian_source:
            x_0 = -x_0  # type: ignore[operator]
        return self.at(x_0, x_1, t, z=None if z is None else -z)  # type: ignore[arg-type,operator]


def linear(gamma: Coefficient | TimeFunction = NO_NOISE) -> Interpolant:
    """Return the straight interpolant, with noise gamma z around it: flow matching, and rectified flow."""
    return Interpolant(FALLING, RISING, as_coefficient(gamma), citations=("albergo2023stochastic", *_STRAIGHT))


def trigonometric(gamma: Coefficient | TimeFunction = NO_NOISE) -> Interpolant:
    """Return the interpolant along a quarter circle, which keeps the variance of uncorrelated ends."""
    gamma = as_coefficient(gamma)
    largest = float(torch.as_tensor(gamma.value(torch.linspace(0, 1, 65))).abs().max())
    if not largest < 1:
        message = f"gamma reaches {largest:g}, expected below 1, beyond which the ends have no room; scale it down"
        raise InputError(message)
    if gamma == NO_NOISE:
        return Interpolant(QuarterCosine(), QuarterSine(), citations=("albergo2023building",))
    return Interpolant(Damped(QuarterCosine(), gamma), Damped(QuarterSine(), gamma), gamma)


def encoding_decoding(gamma: Coefficient | TimeFunction | None = None) -> Interpolant:
    """Return the interpolant that turns x_0 into pure noise half-way, and the noise into x_1."""
    gamma = as_coefficient(gamma) if gamma is not None else SineSquared()
    return Interpolant(CosineHalf(first=True), CosineHalf(first=False), gamma)


def schroedinger_bridge(sigma: float = 1.0) -> Interpolant:
    """Return Brownian bridges of variance sigma^2; with the entropic plan of regularisation 2 sigma^2, the SB."""
    check_positive("the spread sigma of the bridge", sigma)
    bridge = linear(Brownian(a=sigma**2))
    return replace(bridge, citations=("albergo2023stochastic", "tong2024improving"))


def mirror(gamma: Coefficient | TimeFunction | None = None) -> Interpolant:
    """Return the interpolant x_1 + gamma(t) z, from the data through noise back to the data; x_0 is not used."""
    gamma = as_coefficient(gamma) if gamma is not None else Brownian()
    return Interpolant(Affine(0.0, 0.0), Affine(1.0, 0.0), gamma)


def scheduled(schedule: Schedule, gamma: Coefficient | TimeFunction = NO_NOISE) -> Interpolant:
    """Return the straight interpolant at the pace of a schedule."""
    return Interpolant(Scheduled(schedule, remaining=True), Scheduled(schedule), as_coefficient(gamma))


def one_sided_linear() -> Interpolant:
    """Return (1 - t) x_0 + t x_1 with Gaussian x_0: the optimal-transport path of flow matching."""
    path = linear()
    return replace(path, gaussian_source=True)


def one_sided_trigonometric() -> Interpolant:
    """Return cos(pi t / 2) x_0 + sin(pi t / 2) x_1 with Gaussian x_0."""
    return replace(trigonometric(), gaussian_source=True)


def target(sigma: float = 0.0) -> Interpolant:
    """Return (1 - (1 - sigma) t) x_0 + t x_1 with Gaussian x_0, which ends in data blurred by sigma."""
    if not 0 <= sigma < 1:
        message = f"the spread sigma at the data is {sigma}, expected 0 to below 1"
        raise InputError(message)
    return Interpolant(Affine(1.0, sigma - 1.0), RISING, gaussian_source=True, citations=_STRAIGHT[:1])


def variance_preserving(low: float = 0.1, high: float = 20.0) -> Interpolant:
    """Return the path of the variance-preserving diffusion, whose noise rate falls from `high` to `low`.

    At t = 0 a trace of the data is left, exp(-(low + high) / 4).
    """
    signal = DiffusionSignal(low, high)
    return Interpolant(DiffusionNoise(signal), signal, gaussian_source=True, citations=("song2021score",))


_STRAIGHT = ("lipman2023flow", "liu2023flow")


def _combined(x_0: Tensor, x_1: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Return a x_0 + b x_1 with as few operations as the kind of coefficients allows."""
    b = _typed(b, x_1)
    if isinstance(a, float):
        return torch.add(x_1 if isinstance(b, float) and b == 1 else b * x_1, x_0, alpha=a) if a else b * x_1
    return torch.addcmul(b * x_1, _typed(a, x_0), x_0)


def _typed(value: Tensor | float, x: Tensor) -> Any:
    """Return a coefficient in the dtype of the points, so that these keep theirs."""
    return value.to(x.dtype) if isinstance(value, Tensor) else value
