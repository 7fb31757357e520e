"""A user's own energy, found by a Python path: `module:attribute` or `path/to/file.py:attribute`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.objects import load_object
from helicell.core.samplers.energies.energy import Energy


class UserEnergy(Energy):
    """An object with `dim` and `log_reward(x: [batch, dim]) -> [batch]`, dressed as an `Energy`.

    What else it may have: `log_z`, `sample(count, generator)`, `value_and_gradient(x)`, `periodic`, `variance`, `modes`
    and `mode_radius`. Gradients come from automatic differentiation unless it gives them.

    Parameters
    ----------
    inner
        The user's object.
    """

    def __init__(self, inner: Any) -> None:
        if not callable(getattr(inner, "log_reward", None)) or not isinstance(getattr(inner, "dim", None), int):
            message = (
                f"the energy {inner!r} needs a whole number `dim` and a method `log_reward(x)` "
                "that takes points [batch, dim] and returns numbers [batch]"
            )
            raise InputError(message)
        self.inner = inner
        self.dim = inner.dim
        for name in ("log_z", "periodic", "variance", "modes", "mode_radius"):
            if getattr(inner, name, None) is not None:
                setattr(self, name, getattr(inner, name))

    @property
    def has_samples(self) -> bool:
        return callable(getattr(self.inner, "sample", None))

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        return self.inner.log_reward(x)

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        if callable(getattr(self.inner, "value_and_gradient", None)):
            return self.inner.value_and_gradient(x)
        return super().value_and_gradient(x)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        if not self.has_samples:
            return super().sample(count, generator)
        return self.inner.sample(count, generator)


def load_energy(path: str) -> Energy:
    """Return the energy at `module:attribute`, or `file.py:attribute`.

    The attribute is the object itself, or a class or function that makes it without arguments. Modules are looked for
    in the working directory as well.

    Raises
    ------
    InputError
        If there is no such module or attribute, or it is not an energy.
    """
    found = load_object(path, what="energy")
    if isinstance(found, type) or (callable(found) and not hasattr(found, "log_reward")):
        found = found()
    return found if isinstance(found, Energy) else UserEnergy(found)
