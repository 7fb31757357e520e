"""Random numbers of solvers: from one generator for the batch, or from one for every sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.paths.checks import gaussian_like
from helicell.core.spaces import Euclidean, Point, Product, Space, Sphere, Torus, UnitQuaternions
from helicell.core.spaces.space import as_tensors, like_point

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator for the batch, or one for every sample, with which no sample depends on its batch."""

# Spaces whose metric is, up to a factor, that of the surrounding coordinates.
ISOMETRIC = (Euclidean, Torus, Sphere, UnitQuaternions)


def gaussian(x: Point, generator: Generators) -> Point:
    """Draw standard Gaussian numbers in the form of x."""
    return like_point(tuple(_gaussian(part, generator) for part in as_tensors(x)), x)


def rademacher(x: Point, generator: Generators) -> Point:
    """Draw signs, 1 or -1 with equal probability, in the form of x."""
    return like_point(
        tuple(torch.where(_gaussian(part, generator) < 0, -1.0, 1.0).to(part) for part in as_tensors(x)), x
    )


def check_generators(generator: Generators, x: Point) -> None:
    """Raise an error unless there is one generator, or one for each sample."""
    count = as_tensors(x)[0].shape[0]
    if isinstance(generator, Sequence) and len(generator) != count:
        message = f"{len(generator)} generators were given for {count} samples; give one, or one for each sample"
        raise InputError(message)


def check_isometric(space: Space, purpose: str) -> None:
    """Raise an error unless the metric of the space is that of the surrounding coordinates."""
    for factor in space.factors if isinstance(space, Product) else (space,):
        if not isinstance(factor, ISOMETRIC):
            names = ", ".join(kind.__name__ for kind in ISOMETRIC)
            message = f"{purpose} are not known on {type(factor).__name__}; take one of: {names}, or their products"
            raise InputError(message)


def _gaussian(x: Tensor, generator: Generators) -> Tensor:
    if not isinstance(generator, Sequence):
        return gaussian_like(x, generator)
    return torch.stack([gaussian_like(row, own) for row, own in zip(x, generator, strict=True)])
