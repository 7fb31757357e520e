"""The isotropic Gaussian of rotations: what Brownian motion on SO(3) makes of a point.

Its axis is uniform, and its angle w in [0, pi] has the density

    (1 - cos w) / pi  sum_l (2 l + 1) exp(-l (l + 1) sigma^2 / 2) sin((l + 1/2) w) / sin(w / 2).

Since (1 - cos w) sin((l + 1/2) w) / sin(w / 2) = cos(l w) - cos((l + 1) w), the distribution function has the closed
form of `angle_cdf`; drawing an angle is looking it up backwards.

References
----------
Nikolayev and Savyolova, Normal distribution on the rotation group SO(3), Textures and Microstructures 29, 1997.
Leach et al., Denoising diffusion probabilistic models on SO(3) for rotational alignment, ICLR workshop, 2022.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces.quaternions import from_rotation_vector

LEAST_SIGMA = 0.01
# Terms of the sum below this weight are left out.
LEAST_WEIGHT = 1e-17
ANGLES = 4096


def angle_cdf(angle: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Return the probability that the angle is at most `angle` (radian, 0 to pi).

    Raises
    ------
    InputError
        If sigma is below 0.01, where the sum would need thousands of terms.

    Examples
    --------
    >>> angle_cdf(np.array([0.0, np.pi / 2, np.pi]), 1.5).round(4)
    array([0.   , 0.283, 1.   ])
    """
    if not sigma >= LEAST_SIGMA:
        message = f"sigma of the isotropic Gaussian must be at least {LEAST_SIGMA} radian, got {sigma}"
        raise InputError(message)
    w = np.asarray(angle, np.float64)[..., None]
    # l (l + 1) sigma^2 / 2 > -log(LEAST_WEIGHT) for all further terms.
    last = math.ceil(math.sqrt(-2 * math.log(LEAST_WEIGHT)) / sigma)
    degree = np.arange(1, last + 1)
    weight = (2 * degree + 1) * np.exp(-degree * (degree + 1) * sigma**2 / 2)
    terms = np.sin(degree * w) / degree - np.sin((degree + 1) * w) / (degree + 1)
    return np.clip((w[..., 0] - np.sin(w[..., 0]) + terms @ weight) / np.pi, 0, 1)


class IsotropicGaussian:
    """The isotropic Gaussian of rotations around the identity.

    Parameters
    ----------
    sigma
        Its width in radian; from about 3 on it is as good as uniform.

    Examples
    --------
    >>> noise = IsotropicGaussian(1.5).sample((2,), generator=torch.Generator().manual_seed(0))
    >>> noise.shape
    torch.Size([2, 4])
    """

    def __init__(self, sigma: float) -> None:
        # Angles are dense where small ones are likely, as the volume of rotations grows with their cube.
        angles = np.pi * np.linspace(0, 1, ANGLES) ** 3
        self._angles, self._cdf = angles, np.maximum.accumulate(angle_cdf(angles, sigma))
        self.sigma = sigma

    def sample(self, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> Float[Tensor, "*shape 4"]:
        """Draw unit quaternions, shape [*shape, 4]; to move a rotation q by noise n, multiply q n."""
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        angle = torch.from_numpy(np.interp(uniform.numpy(), self._cdf, self._angles)).to(torch.float32)
        axis = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
        return from_rotation_vector(angle[..., None] * axis)
