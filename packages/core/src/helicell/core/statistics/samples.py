"""Samples as the statistics take them, and means over all pairs of points in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.errors import InputError

Samples = NDArray[np.floating[Any]] | Tensor
"""Points, shape [samples, features], of numpy or torch."""

# Pairs that are looked at together: 32 MiB of distances.
PAIRS = 1 << 22


def as_samples(name: str, x: Samples) -> Tensor:
    """Return points as a tensor in double precision (single where the device has no other), on their device.

    Raises
    ------
    InputError
        If they are not of shape [samples, features] with at least one of each, or not finite.
    """
    try:
        tensor = torch.as_tensor(x).detach()
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be made a tensor ({error}); give points of numbers, [samples, features]"
        raise InputError(message) from error
    tensor = tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)
    if tensor.ndim != 2 or not tensor.numel():
        message = f"{name} has the shape {list(tensor.shape)}, expected [samples, features] with at least one of each"
        raise InputError(message)
    if not tensor.isfinite().all():
        message = f"{name} holds {int((~tensor.isfinite()).sum())} numbers that are not finite; remove or replace them"
        raise InputError(message)
    return tensor


def as_pair(x: Samples, y: Samples) -> tuple[Tensor, Tensor]:
    """Return two samples as tensors, moved together so that the origin is the mean of y, which saves digits."""
    first, second = as_samples("x", x), as_samples("y", y)
    if first.shape[1] != second.shape[1]:
        message = f"x has {first.shape[1]} features and y {second.shape[1]}; give samples of the same features"
        raise InputError(message)
    second = second.to(first.device)
    centre = second.mean(dim=0)
    return first - centre, second - centre


def row_blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks of rows of the table of squared distances [x, y], each with the slice of its rows."""
    squares = (y * y).sum(dim=1)
    rows = max(PAIRS // len(y), 1)
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        own = (block * block).sum(dim=1, keepdim=True)
        yield slice(start, start + len(block)), torch.addmm(own + squares, block, y.T, alpha=-2).clamp_min_(0)


def mean_over_pairs(function: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Return the mean over all pairs of a function of the squared distance."""
    return sum(float(function(block).sum()) for _, block in row_blocks(x, y)) / (len(x) * len(y))


def mean_over_own_pairs(function: Callable[[Tensor], Tensor], x: Tensor, *, distinct: bool) -> float:
    """Return the mean of a function of the squared distance over the pairs within a sample.

    Parameters
    ----------
    function
        Of tensors of squared distances.
    x
        Points.
    distinct
        Leave out the pairs of a point with itself.
    """
    total = 0.0
    for rows, block in row_blocks(x, x):
        block[:, rows].fill_diagonal_(0)
        total += float(function(block).sum())
    if not distinct:
        return total / len(x) ** 2
    if len(x) < 2:
        message = "an unbiased estimate needs two points or more in each sample, got one"
        raise InputError(message)
    itself = float(function(x.new_zeros(1)).sum())
    return (total - len(x) * itself) / (len(x) * (len(x) - 1))
