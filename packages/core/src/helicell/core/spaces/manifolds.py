"""Any geoopt manifold as a space."""

from __future__ import annotations

import geoopt
from torch import Tensor

from helicell.core.spaces.space import Space, expand_points


class Manifold(Space):
    """A space made of a geoopt manifold.

    Parameters
    ----------
    manifold
        For example ``geoopt.PoincareBall()``. It must define `expmap` and `logmap`. Of geoopt's sphere and Lorentz
        model the logarithm has no digits left for near points (in float32 nearer than 0.01); `Sphere` has them all, and
        the Poincaré ball is the same space as the Lorentz model.
    """

    citations = ("kochurov2020geoopt",)

    def __init__(self, manifold: geoopt.Manifold) -> None:
        self.manifold = manifold

    def exp(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return self.manifold.expmap(x, v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.manifold.logmap(x, y)

    def project(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.manifold.projx(x)

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return self.manifold.proju(x, v)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.manifold.dist(x, y)

    def squared_norm(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        # With the axes of a point kept: without, geoopt's hyperbolic spaces pair every point with every vector.
        squared = self.manifold.inner(x, v, keepdim=True)
        return squared.reshape(squared.shape[: squared.ndim - self.manifold.ndim])

    def geodesic(self, x: Tensor, y: Tensor, fraction: Tensor | float) -> Tensor:  # type: ignore[override]
        return self.exp(x, expand_points(fraction, x) * self.log(x, y))
