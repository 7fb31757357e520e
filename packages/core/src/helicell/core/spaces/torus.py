"""Tori: every coordinate is an angle."""

from __future__ import annotations

import torch
from torch import Tensor

from helicell.core.spaces.space import Space, expand_points


class Torus(Space):
    """The flat torus of any dimension (the last axis): angles in radian, in [-pi, pi).

    Geodesics take the short way round in each angle.

    Examples
    --------
    >>> Torus().distance(torch.tensor([3.0]), torch.tensor([-3.0]))
    tensor(0.2832)
    """

    def exp(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return wrapped(x + v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return wrapped(y - x)

    def project(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return wrapped(x)

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return v

    def distance(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return wrapped(y - x).norm(dim=-1)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return v

    def geodesic(self, x: Tensor, y: Tensor, fraction: Tensor | float) -> Tensor:  # type: ignore[override]
        return wrapped(x + expand_points(fraction, x) * wrapped(y - x))


def wrapped(angle: Tensor) -> Tensor:
    """Return angles in [-pi, pi) that are equal up to full turns."""
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi
