"""The type checker under which the tests run: types and shapes of the annotated functions are checked at each call."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception

# An int passes for a float, as it does for mypy.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its types checked; one that returns Self is checked by mypy alone."""
    try:
        return checked(function)
    except BeartypeDecorHintPep673Exception:
        return function
