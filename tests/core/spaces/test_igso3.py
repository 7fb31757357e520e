"""The isotropic Gaussian of rotations against numerical integration, its limits, and the published table of angles."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from helicell.core.errors import InputError
from helicell.core.spaces import IsotropicGaussian
from helicell.core.spaces.igso3 import angle_cdf


def density(w: float, sigma: float) -> float:
    """Return the density of the angle as the papers write it."""
    degree = np.arange(400)
    terms = (2 * degree + 1) * np.exp(-degree * (degree + 1) * sigma**2 / 2) * np.sin((degree + 0.5) * w)
    return float((1 - np.cos(w)) / np.pi * terms.sum() / np.sin(w / 2))


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.5])
def test_the_distribution_function_is_the_integral_of_the_density(sigma: float) -> None:
    """The closed form equals numerical integration at several angles."""
    for angle in (0.05, 0.3, 1.0, 2.5, 3.1):
        integral, _ = quad(density, 1e-9, angle, args=(sigma,), limit=200)
        assert angle_cdf(np.array([angle]), sigma)[0] == pytest.approx(integral, abs=1e-7)


def test_a_wide_one_is_uniform_and_a_narrow_one_is_maxwell() -> None:
    """The two limits: (w - sin w) / pi for uniform rotations, and the length of a Gaussian vector in flat space."""
    angles = np.linspace(0.01, np.pi, 50)
    np.testing.assert_allclose(angle_cdf(angles, 5.0), (angles - np.sin(angles)) / np.pi, atol=1e-9)
    from scipy.stats import maxwell

    small = np.linspace(0.001, 0.15, 50)
    np.testing.assert_allclose(angle_cdf(small, 0.03), maxwell.cdf(small, scale=0.03), atol=1e-3)


def test_samples_follow_it() -> None:
    """Angles of draws pass a Kolmogorov-Smirnov test, axes average to nothing, and a seed repeats them."""
    space = IsotropicGaussian(1.5)
    q = space.sample((4000,), generator=torch.Generator().manual_seed(0)).double()
    angles = 2 * torch.acos(q[:, 0].abs().clamp_max(1)).numpy()
    assert kstest(angles, lambda w: angle_cdf(w, 1.5)).pvalue > 0.01
    assert q[:, 1:].mean(dim=0).abs().max() < 0.05
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(4000, dtype=torch.float64), atol=1e-6, rtol=0)
    assert torch.equal(q.float(), space.sample((4000,), generator=torch.Generator().manual_seed(0)))


def test_too_narrow_a_width_is_refused() -> None:
    """Below the least width the sum does not converge; the error names it."""
    with pytest.raises(InputError, match=r"at least 0\.01"):
        IsotropicGaussian(0.001)


def test_the_published_table_of_angles(fixtures_dir: Path) -> None:
    """The published table of the width 1.5 is this distribution, to the precision of its summation."""
    with np.load(fixtures_dir / "framediff-small" / "so3.npz") as table:
        np.testing.assert_allclose(angle_cdf(table["igso3_omega"], 1.5), table["igso3_cdf_sigma1p5"], atol=2e-6)
