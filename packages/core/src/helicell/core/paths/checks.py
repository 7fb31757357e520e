"""Cheap checks of what a path is given, and noise that fits a point."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces import Point
from helicell.core.spaces.space import as_tensors


def check_ends(x_0: Point, x_1: Point) -> None:
    """Raise an error unless two batches of points have one shape and hold at least one point, all finite."""
    check_shapes(x_0, x_1)
    for name, points in (("x_0", x_0), ("x_1", x_1)):
        for x in as_tensors(points):
            check_points(name, x)


def check_shapes(x_0: Point, x_1: Point) -> None:
    """Raise an error unless two batches of points have one shape and hold at least one point."""
    shapes = [x.shape for x in as_tensors(x_0)], [x.shape for x in as_tensors(x_1)]
    if shapes[0] != shapes[1]:
        message = f"x_0 has the shape {_told(shapes[0])} and x_1 {_told(shapes[1])}; give as many points of one shape"
        raise InputError(message)
    for shape in shapes[1]:
        _check_batch("x_1", shape)


def check_points(name: str, x: Tensor) -> None:
    """Raise an error unless x has a batch axis with at least one point and is finite."""
    _check_batch(name, x.shape)
    # One sum tells in most cases; an overflow of it is looked into.
    if not math.isfinite(float(x.detach().sum())) and not x.isfinite().all():
        message = f"{name} holds {int((~x.isfinite()).sum())} numbers that are not finite; remove or replace them"
        raise InputError(message)


def check_times(t: Tensor, x: Point) -> None:
    """Raise an error unless t, shape [] or [batch], lies in [0, 1]."""
    batch = as_tensors(x)[0].shape[0] if as_tensors(x)[0].ndim else 0
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] != batch):
        message = f"the times have the shape {list(t.shape)}, expected [] or [{batch}], one for each point"
        raise InputError(message)
    low, high = (float(end) for end in torch.aminmax(t.detach()))
    # Written so that a time that is not a number fails too.
    if not (low >= 0 and high <= 1):
        message = f"the times reach from {low:g} to {high:g}, expected times in [0, 1]"
        raise InputError(message)


def gaussian_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard Gaussian noise of the shape, dtype and device of x; the generator may live on another device."""
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)


def _check_batch(name: str, shape: torch.Size) -> None:
    if not shape or not shape.numel():
        message = f"{name} has the shape {list(shape)}, expected [batch, ...] with at least one point"
        raise InputError(message)


def _told(shapes: list[torch.Size]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
