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
    """Raise an error unless two batches of points have one shape and one dtype, and hold at least one point."""
    first, last = as_tensors(x_0), as_tensors(x_1)
    for name, points in (("x_0", first), ("x_1", last)):
        for x in points:
            check_batch(name, x)
    shapes = [x.shape for x in first], [x.shape for x in last]
    if shapes[0] != shapes[1]:
        message = f"x_0 has the shape {_told(shapes[0])} and x_1 {_told(shapes[1])}; give as many points of one shape"
        raise InputError(message)
    for a, b in zip(first, last, strict=True):
        if a.dtype != b.dtype:
            message = f"x_0 is of {a.dtype} and x_1 of {b.dtype}; give both in one precision, say by x_0.to(x_1)"
            raise InputError(message)


def check_points(name: str, x: Tensor) -> None:
    """Raise an error unless x has a batch axis with at least one point and is finite."""
    check_batch(name, x)
    # One sum tells in most cases; an overflow of it is looked into.
    if not math.isfinite(float(x.detach().sum())) and not x.isfinite().all():
        message = f"{name} holds {int((~x.isfinite()).sum())} numbers that are not finite; remove or replace them"
        raise InputError(message)


def check_batch(name: str, x: Tensor) -> None:
    """Raise an error unless x is a tensor of floating-point numbers whose batch axis has at least one point."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
        message = f"{name} is of {given}, expected a tensor of floating-point numbers; take torch.as_tensor(x).float()"
        raise InputError(message)
    if not x.ndim or not x.numel():
        message = f"{name} has the shape {list(x.shape)}, expected [batch, ...] with at least one point"
        raise InputError(message)


def check_times(t: Tensor, x: Point) -> None:
    """Raise an error unless t, shape [] or [batch], lies in [0, 1]."""
    batch = as_tensors(x)[0].shape[0] if as_tensors(x)[0].ndim else 0
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] != batch) or not t.numel():
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


def _told(shapes: list[torch.Size]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
