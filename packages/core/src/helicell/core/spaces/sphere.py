"""The unit sphere of any dimension, exact to rounding also between points that nearly coincide.

geoopt's sphere takes distances by acos, which in float32 knows no angle between zero and 0.01 radian; so the logarithm
and what follows from it are written here with atan2.
"""

from __future__ import annotations

import geoopt
import torch
from torch import Tensor

from helicell.core.spaces.manifolds import Manifold
from helicell.core.spaces.space import expand_points

# Below this sine of the angle, directions are rounding error; what is multiplied by them is then of order 1e-12.
SMALL_SINE = 1e-6


class Sphere(Manifold):
    """The unit sphere in Euclidean space of the last axis' dimension, with geoopt's exponential and projections.

    Examples
    --------
    >>> Sphere().distance(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor(1.5708)
    """

    def __init__(self) -> None:
        super().__init__(geoopt.Sphere())

    def log(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        direction, sine, cosine = _polar(x, y)
        small = _is_small(sine, cosine)
        return torch.where(small, self.project_tangent(x, y - x), torch.atan2(sine, cosine) * direction)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        # Kahan's formula, accurate for every angle.
        return 2 * torch.atan2((y - x).norm(dim=-1), (y + x).norm(dim=-1))

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return pull_back_on_sphere(x, y, v)

    def geodesic(self, x: Tensor, y: Tensor, fraction: Tensor | float) -> Tensor:  # type: ignore[override]
        return self.project(self.exp(x, expand_points(fraction, x) * self.log(x, y)))


def pull_back_on_sphere(x: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """Return the derivative of log_x at y along the tangent vector v at y, on the unit sphere.

    Along the great circle from x to y lengths are kept; across it they grow by angle / sine, as meridians spread less
    on a sphere than in the plane.
    """
    direction, sine, cosine = _polar(x, y)
    small = _is_small(sine, cosine)
    spread = torch.where(small, torch.ones_like(sine), torch.atan2(sine, cosine) / sine)
    tangent = v - (v * x).sum(dim=-1, keepdim=True) * x
    along = (v * (cosine * direction - sine * x)).sum(dim=-1, keepdim=True)
    return spread * tangent + torch.where(small, torch.zeros_like(along), along * (1 - spread * cosine)) * direction


def _polar(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the unit direction at x towards y, and sine and cosine of the angle; sine 1 where it is too small."""
    cosine = (x * y).sum(dim=-1, keepdim=True)
    across = y - cosine * x
    squared = (across * across).sum(dim=-1, keepdim=True)
    sine = torch.where(squared < SMALL_SINE**2, torch.ones_like(squared), squared).sqrt()
    return across / sine, sine, cosine


def _is_small(sine: Tensor, cosine: Tensor) -> Tensor:
    """Tell where `_polar` replaced a small sine: there sine and cosine are both 1 in length."""
    return (sine == 1) & (cosine.abs() > 0.5)
