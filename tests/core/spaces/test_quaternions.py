"""Quaternions against SciPy's rotations, and the laws that they obey."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from helicell.core.spaces import UnitQuaternions, quaternions

SPACE = UnitQuaternions()


def random(count: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return random unit quaternions."""
    q = quaternions.random_quaternions((count,), generator=torch.Generator().manual_seed(seed))
    return quaternions.normalise(q.to(dtype))


def scipy(q: torch.Tensor) -> Rotation:
    """Return the same rotations for SciPy."""
    return Rotation.from_quat(q.double().numpy(), scalar_first=True)


def vectors(length: float, count: int = 200) -> torch.Tensor:
    """Return random vectors of one length."""
    direction = torch.randn(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return length * torch.nn.functional.normalize(direction, dim=-1)


def test_products_matrices_and_action_agree_with_scipy() -> None:
    """Hamilton's product composes rotations, and all three forms of a rotation act alike."""
    p, q = random(100), random(100, seed=1)
    v = vectors(2.0, 100)
    composed = scipy(p) * scipy(q)
    np.testing.assert_allclose(quaternions.to_matrix(quaternions.multiply(p, q)), composed.as_matrix(), atol=1e-6)
    np.testing.assert_allclose(quaternions.rotate(p, v), scipy(p).apply(v.numpy()), atol=1e-6)
    np.testing.assert_allclose(
        quaternions.rotate(quaternions.conjugate(p), v), scipy(p).inv().apply(v.numpy()), atol=1e-6
    )


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.0, math.pi - 1e-7, math.pi])
def test_matrix_to_quaternion_is_exact_at_every_angle(angle: float) -> None:
    """The way back from a matrix loses nothing, also near the identity and near half turns."""
    q = quaternions.from_rotation_vector(vectors(angle))
    back = quaternions.from_matrix(quaternions.to_matrix(q))
    assert (back[:, 0] >= 0).all()
    torch.testing.assert_close(quaternions.to_matrix(back), quaternions.to_matrix(q), atol=1e-12, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 9e-4, 1.1e-3, 0.5, 3.0, math.pi - 1e-6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-6)])
def test_logarithm_inverts_the_exponential(angle: float, dtype: torch.dtype, tolerance: float) -> None:
    """Rotation vectors survive the way to quaternions and back, in either precision and with either sign."""
    v = vectors(angle).to(dtype)
    q = quaternions.from_rotation_vector(v)
    np.testing.assert_allclose(
        q.double().numpy(), Rotation.from_rotvec(v.double().numpy()).as_quat(scalar_first=True), atol=1e-6
    )
    for sign in (1, -1):
        torch.testing.assert_close(quaternions.to_rotation_vector(sign * q), v, atol=tolerance, rtol=tolerance)


def test_gradients_are_finite_at_the_identity_and_at_half_turns() -> None:
    """Training meets equal and opposite frames; neither may give NaN."""
    for angle in (0.0, 1e-6, math.pi):
        q = quaternions.from_rotation_vector(vectors(angle, 5).float()).requires_grad_()
        quaternions.to_rotation_vector(q).sum().backward()
        assert torch.isfinite(q.grad).all()


@given(seed=st.integers(0, 10_000), fraction=st.floats(0, 1))
def test_laws_of_the_space(seed: int, fraction: float) -> None:
    """Exp inverts log; geodesics divide distances; signs do not matter; velocities are tangent."""
    p, q = random(4, seed=seed), random(4, seed=seed + 1)
    v = SPACE.log(p, q)
    torch.testing.assert_close((v * p).sum(-1), torch.zeros(4, dtype=p.dtype), atol=1e-9, rtol=0)
    assert float(SPACE.distance(SPACE.exp(p, v), q).max()) < 1e-7
    total = SPACE.distance(p, q)
    assert float(total.max()) <= math.pi + 1e-9
    middle = SPACE.geodesic(p, q, fraction)
    torch.testing.assert_close(SPACE.distance(p, middle), fraction * total, atol=1e-7, rtol=0)
    torch.testing.assert_close(SPACE.distance(-p, q), total, atol=1e-7, rtol=0)
    assert float(SPACE.distance(SPACE.geodesic(p, -q, fraction), middle).max()) < 1e-6


def test_geodesics_agree_with_scipys_slerp() -> None:
    """A path of quaternions is spherical linear interpolation the short way."""
    from scipy.spatial.transform import Slerp

    p, q = random(20), random(20, seed=5)
    for i in range(20):
        slerp = Slerp([0, 1], Rotation.concatenate([scipy(p[i]), scipy(q[i])]))
        ours = scipy(SPACE.geodesic(p[i], q[i], 0.3))
        assert (ours.inv() * slerp(0.3)).magnitude() < 1e-6


def test_distance_is_the_rotation_angle() -> None:
    """Distances are angles in radian between the rotations."""
    p, q = random(50), random(50, seed=3)
    np.testing.assert_allclose(SPACE.distance(p, q), (scipy(p).inv() * scipy(q)).magnitude(), atol=1e-6)


def test_random_quaternions_are_uniform() -> None:
    """The rotation angle of uniform rotations has density (1 - cos a) / pi."""
    from scipy.stats import kstest

    q = random(5000)
    angles = quaternions.to_rotation_vector(q).norm(dim=-1).numpy()
    assert kstest(angles, lambda a: (a - np.sin(a)) / np.pi).pvalue > 1e-3
