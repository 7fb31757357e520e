"""Products: every map acts factor by factor, and a point with the wrong number of factors is refused."""

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions

SPACE = Product(Euclidean(), UnitQuaternions())


def point(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random point."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, generator=generator), quaternions.random_quaternions((6,), generator=generator)


def test_maps_act_on_each_factor() -> None:
    """exp, log, geodesic and distance are those of the factors, with the product metric."""
    x, y = point(0), point(1)
    reached = SPACE.exp(x, SPACE.log(x, y))
    assert float(SPACE.distance(reached, y).max()) < 1e-5
    parts = [factor.distance(a, b) for factor, a, b in zip(SPACE.factors, x, y, strict=True)]
    torch.testing.assert_close(SPACE.distance(x, y) ** 2, parts[0] ** 2 + parts[1] ** 2)


def test_factors_may_move_at_their_own_pace() -> None:
    """A tuple of fractions moves each factor by its own."""
    x, y = point(0), point(1)
    moved = SPACE.geodesic(x, y, (0.0, torch.ones(6)))
    torch.testing.assert_close(moved[0], x[0])
    assert float(UnitQuaternions().distance(moved[1], y[1]).max()) < 1e-3


@pytest.mark.parametrize("wrong", [torch.zeros(3), (torch.zeros(3),), (torch.zeros(3),) * 3])
def test_wrong_points_are_refused(wrong: object) -> None:
    """A point that is no tuple of two tensors gets the package's own error."""
    with pytest.raises(InputError, match="tuple of 2"):
        SPACE.exp(wrong, wrong)


def test_an_empty_product_is_refused() -> None:
    """There is no product of nothing."""
    with pytest.raises(InputError, match="at least one space"):
        Product()
