"""Flat space: geodesics are straight lines."""

from __future__ import annotations

from torch import Tensor

from helicell.core.spaces.space import Space, expand_points


class Euclidean(Space):
    """Euclidean space of any dimension (the last axis).

    Examples
    --------
    >>> import torch
    >>> Euclidean().geodesic(torch.zeros(2), torch.ones(2), 0.25)
    tensor([0.2500, 0.2500])
    """

    def exp(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return x + v

    def log(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return y - x

    def project(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return v

    def distance(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return (y - x).norm(dim=-1)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return v

    def geodesic(self, x: Tensor, y: Tensor, fraction: Tensor | float) -> Tensor:  # type: ignore[override]
        return x + expand_points(fraction, x) * (y - x)
