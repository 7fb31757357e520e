"""Unit quaternions modulo sign: the rotations of three-dimensional space.

Quaternions are scalar-first (w, x, y, z) on the last axis, with Hamilton's product; q and -q are the same rotation, so
every logarithm, geodesic and distance takes the short way round. A unit quaternion acts on a vector v as q v q*.
Two kinds of velocity occur: tangent vectors of the sphere S^3 in its four ambient coordinates (what `UnitQuaternions`
and the solvers use), and body-frame rotation vectors in radian (what networks and losses use); half a rotation vector,
multiplied by q from the left, is the tangent vector.
"""

from __future__ import annotations

import geoopt
import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces.manifolds import Manifold
from helicell.core.spaces.space import Point, expand_points
from helicell.core.spaces.sphere import pull_back_on_sphere

# Below this angle (radian) sin(a)/a and its inverse are replaced by their series, exact to float32 rounding.
SMALL_ANGLE = 1e-3


def multiply(p: Float[Tensor, "*#batch 4"], q: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return Hamilton's product p q; both [..., 4]."""
    pw, px, py, pz = p.unbind(-1)
    qw, qx, qy, qz = q.unbind(-1)
    return torch.stack(
        (
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ),
        dim=-1,
    )


def conjugate(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return the conjugate, for a unit quaternion its inverse."""
    return torch.cat((q[..., :1], -q[..., 1:]), dim=-1)


def normalise(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return q scaled to unit length."""
    return torch.nn.functional.normalize(q, dim=-1)


def to_matrix(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation matrices [..., 3, 3] of unit quaternions [..., 4]; they act on column vectors."""
    w, x, y, z = q.unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Return unit quaternions [..., 4] with w >= 0 of rotation matrices [..., 3, 3].

    Each of the four rows below is 4 q_k q for one component k; the row of the largest component is taken, which is
    exact to rounding for every rotation (Shepperd, 1978).
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, wx, wy, wz), dim=-1),
            torch.stack((wx, 1 + xx - yy - zz, xy, xz), dim=-1),
            torch.stack((wy, xy, 1 - xx + yy - zz, yz), dim=-1),
            torch.stack((wz, xz, yz, 1 - xx - yy + zz), dim=-1),
        ),
        dim=-2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    return canonical(normalise(row))


def canonical(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return q or -q, whichever has w >= 0."""
    return torch.where(q[..., :1] < 0, -q, q)


def rotate(q: Float[Tensor, "*#batch 4"], v: Float[Tensor, "*#batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Rotate vectors v [..., 3] by unit quaternions q [..., 4]."""
    w, u = q[..., :1], q[..., 1:]
    cross = 2 * torch.linalg.cross(u, v)
    return v + w * cross + torch.linalg.cross(u, cross)


def from_rotation_vector(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4"]:
    """Return the unit quaternions [..., 4] of rotation vectors [..., 3] in radian (the exponential map)."""
    squared = (vector * vector).sum(dim=-1, keepdim=True)
    small = squared < SMALL_ANGLE**2
    half = 0.5 * torch.where(small, torch.ones_like(squared), squared).sqrt()
    factor = torch.where(small, 0.5 - squared / 48, torch.sin(half) / (2 * half))
    return torch.cat((torch.where(small, 1 - squared / 8, torch.cos(half)), factor * vector), dim=-1)


def to_rotation_vector(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3"]:
    """Return the rotation vectors [..., 3] in radian, at most pi long, of unit quaternions (the logarithm).

    The angle is taken by atan2, which keeps full precision for small and for half turns, where acos loses half the
    digits.
    """
    q = canonical(q)
    w, u = q[..., :1], q[..., 1:]
    squared = (u * u).sum(dim=-1, keepdim=True)
    small = squared < SMALL_ANGLE**2
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    factor = torch.where(small, (2 - 2 * squared / (3 * w * w)) / w.clamp_min(0.5), 2 * torch.atan2(sine, w) / sine)
    return factor * u


def relative_rotation_vector(p: Float[Tensor, "*#batch 4"], q: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch 3"]:
    """Return the body-frame rotation vector [..., 3] in radian that turns p into q: q = p exp(vector)."""
    return to_rotation_vector(multiply(conjugate(p), q))


def random_quaternions(
    shape: tuple[int, ...], *, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Draw uniformly distributed unit quaternions, shape [*shape, 4]."""
    return normalise(torch.randn(*shape, 4, generator=generator, device=device))


class UnitQuaternions(Manifold):
    """The rotations SO(3) as unit quaternions modulo sign, on geoopt's sphere S^3.

    Distances are rotation angles in radian, twice the arc on the sphere.

    Examples
    --------
    >>> import torch
    >>> quarter = from_rotation_vector(torch.tensor([0.0, 0.0, torch.pi / 2]))
    >>> UnitQuaternions().distance(torch.tensor([-1.0, 0.0, 0.0, 0.0]), quarter)
    tensor(1.5708)
    """

    def __init__(self) -> None:
        super().__init__(geoopt.Sphere())

    def check(self, x: Point) -> None:
        super().check(x)
        if x.ndim < 1 or x.shape[-1] != 4:  # type: ignore[union-attr]
            message = f"quaternions have four coordinates, got the shape {list(x.shape)}; expected [..., 4]"  # type: ignore[union-attr]
            raise InputError(message)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        body = 2 * multiply(conjugate(x), v)[..., 1:]
        return normalise(multiply(x, from_rotation_vector(body)))

    def log(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.tangent(x, relative_rotation_vector(x, y))

    def distance(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return relative_rotation_vector(x, y).norm(dim=-1)

    def squared_norm(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return 4 * (v * v).sum(dim=-1)

    def pull_back(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        sign = torch.where((x * y).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0).to(x.dtype)
        return pull_back_on_sphere(x, sign * y, sign * v)

    def geodesic(self, x: Tensor, y: Tensor, fraction: Tensor | float) -> Tensor:  # type: ignore[override]
        step = expand_points(fraction, x) * relative_rotation_vector(x, y)
        return normalise(multiply(x, from_rotation_vector(step)))

    def tangent(self, x: Tensor, rotation_vector: Tensor) -> Tensor:
        """Return the tangent vector [..., 4] at x of a body-frame angular velocity [..., 3] in radian."""
        half = torch.nn.functional.pad(0.5 * rotation_vector, (1, 0))
        return multiply(x, half)
