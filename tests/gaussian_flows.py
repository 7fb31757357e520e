"""Every interpolant with every gamma that it takes, and the closed forms of its fields between two Gaussians."""

from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.paths import (
    Brownian,
    Interpolant,
    Power,
    Quadratic,
    SineSquared,
    encoding_decoding,
    linear,
    mirror,
    one_sided_linear,
    one_sided_trigonometric,
    schroedinger_bridge,
    trigonometric,
    variance_preserving,
)
from helicell.core.paths.coefficients import Custom, QuarterSine
from helicell.core.paths.gammas import NO_NOISE, Steady
from helicell.core.paths.interpolants import scheduled, target

GAMMAS = {
    "none": NO_NOISE,
    "brownian": Brownian(),
    "a-brownian": Brownian(a=0.3),
    "quadratic": Quadratic(),
    "sine-squared": SineSquared(0.5),
    "steady": Steady(0.1),
    "custom": Custom(lambda t: (0.5 * t * (1 - t)).sqrt(), square=lambda t: 0.5 * t * (1 - t)),
}
INTERPOLANTS: dict[str, Interpolant] = {
    **{f"linear, {name}": linear(gamma) for name, gamma in GAMMAS.items()},
    **{f"trigonometric, {name}": trigonometric(gamma) for name, gamma in GAMMAS.items()},
    **{f"scheduled, {name}": scheduled(Power(2.0), gamma) for name, gamma in GAMMAS.items()},
    **{f"mirror, {name}": mirror(gamma) for name, gamma in GAMMAS.items() if name != "none"},
    "encoding-decoding": encoding_decoding(),
    "Schroedinger bridge": schroedinger_bridge(0.7),
    "one-sided linear": one_sided_linear(),
    "one-sided trigonometric": one_sided_trigonometric(),
    "target": target(0.1),
    "variance-preserving": variance_preserving(),
    "custom": Interpolant(Custom(lambda t: 1 - t**2), QuarterSine(), Quadratic(2.0)),
}
TIMES = torch.tensor([0.07, 0.3, 0.62, 0.93], dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class GaussianPair:
    """x_0 ~ N(mean_0, diag variance_0) and x_1 ~ N(mean_1, diag variance_1), independent; float64, shape [d]."""

    mean_0: Tensor
    variance_0: Tensor
    mean_1: Tensor
    variance_1: Tensor

    @classmethod
    def of(cls, path: Interpolant) -> "GaussianPair":
        """Return a pair that suits the path: with a standard normal source where it takes x_0 for one."""
        double = torch.float64
        standard = torch.zeros(2, dtype=double), torch.ones(2, dtype=double)
        general = torch.tensor([0.4, -1.2], dtype=double), torch.tensor([0.5, 1.7], dtype=double)
        data = torch.tensor([1.5, -0.3], dtype=double), torch.tensor([0.2, 2.5], dtype=double)
        return cls(*(standard if path.gaussian_source else general), *data)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (x_0, x_1)."""
        noise = torch.randn(2, count, 2, generator=generator, dtype=torch.float64)
        return (
            self.mean_0 + self.variance_0.sqrt() * noise[0],
            self.mean_1 + self.variance_1.sqrt() * noise[1],
        )

    def moments(self, path: Interpolant, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of x_t at one time."""
        a, b, g = (torch.as_tensor(c.value(t)) for c in (path.alpha, path.beta, path.gamma))
        return a * self.mean_0 + b * self.mean_1, a**2 * self.variance_0 + b**2 * self.variance_1 + g**2

    def fields(self, path: Interpolant, x: Tensor, t: Tensor) -> dict[str, Tensor]:
        """Return velocity, score, denoiser, x_0 and x_1 at points x, shape [points, 2], and one time."""
        a, b, g = (torch.as_tensor(c.value(t)) for c in (path.alpha, path.beta, path.gamma))
        da, db, dg = (torch.as_tensor(c.derivative(t)) for c in (path.alpha, path.beta, path.gamma))
        mean, variance = self.moments(path, t)
        score = -(x - mean) / variance
        x_0 = self.mean_0 - a * self.variance_0 * score
        x_1 = self.mean_1 - b * self.variance_1 * score
        denoiser = -g * score
        return {
            "velocity": da * x_0 + db * x_1 + dg * denoiser,
            "score": score,
            "denoiser": denoiser,
            "x_0": x_0,
            "x_1": x_1,
        }
