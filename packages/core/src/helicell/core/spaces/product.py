"""Products of spaces; a point is a tuple with one tensor per factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces.space import Point, Space

Points = tuple[Tensor, ...]


class Product(Space):
    """The product of spaces with the product metric.

    Parameters
    ----------
    *factors
        At least one space.

    Examples
    --------
    >>> from helicell.core.spaces import Euclidean, UnitQuaternions
    >>> rigid_motions = Product(Euclidean(), UnitQuaternions())
    >>> len(rigid_motions.factors)
    2
    """

    def __init__(self, *factors: Space) -> None:
        if not factors:
            message = "a product needs at least one space; give for example Product(Euclidean(), UnitQuaternions())"
            raise InputError(message)
        self.factors = factors

    def check(self, x: Point) -> None:
        self._check_form(x)
        for space, part in zip(self.factors, x, strict=True):
            space.check(part)

    def exp(self, x: Point, v: Point) -> Points:
        return self._each(lambda space, *a: space.exp(*a), x, v)

    def log(self, x: Point, y: Point) -> Points:
        return self._each(lambda space, *a: space.log(*a), x, y)

    def project(self, x: Point) -> Points:
        return self._each(lambda space, *a: space.project(*a), x)

    def project_tangent(self, x: Point, v: Point) -> Points:
        return self._each(lambda space, *a: space.project_tangent(*a), x, v)

    def distance(self, x: Point, y: Point) -> Tensor:
        squares = self._each(lambda space, *a: space.distance(*a) ** 2, x, y)
        return sum(squares[1:], start=squares[0]).sqrt()

    def squared_norm(self, x: Point, v: Point) -> Tensor:
        squares = self._each(lambda space, *a: space.squared_norm(*a), x, v)
        return sum(squares[1:], start=squares[0])

    def pull_back(self, x: Point, y: Point, v: Point) -> Points:
        return self._each(lambda space, *a: space.pull_back(*a), x, y, v)

    def geodesic(self, x: Point, y: Point, fraction: Any) -> Points:
        fractions = fraction if isinstance(fraction, tuple) else (fraction,) * len(self.factors)
        return self._each(lambda space, *a: space.geodesic(*a), x, y, fractions)

    def _each(self, function: Callable[..., Any], *arguments: Point | Sequence[Any]) -> Points:
        for argument in arguments:
            self._check_form(argument)
        return tuple(function(*parts) for parts in zip(self.factors, *arguments, strict=True))

    def _check_form(self, x: Point | Sequence[Any]) -> None:
        if not isinstance(x, tuple) or len(x) != len(self.factors):
            given = len(x) if isinstance(x, tuple) else type(x).__name__
            message = f"a point of this product is a tuple of {len(self.factors)} tensors, got {given}"
            raise InputError(message)
