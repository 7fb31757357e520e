"""A user's own energy, found by a Python path: `module:attribute` or `path/to/file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
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
    place, _, attribute = path.rpartition(":")
    if not place or not attribute:
        message = f"the energy {path!r} is neither a known name nor a path; give module:attribute or file.py:attribute"
        raise InputError(message)
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        known = ", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing"
        message = f"{place} has no attribute {attribute!r}; it holds: {known}"
        raise InputError(message) from error
    if isinstance(found, type) or (callable(found) and not hasattr(found, "log_reward")):
        found = found()
    return found if isinstance(found, Energy) else UserEnergy(found)


def _load_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"the module {name!r} of the energy cannot be imported: {error}"
        raise InputError(message) from error
    finally:
        sys.path.remove(folder)


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        message = f"the file {file} of the energy does not exist"
        raise InputError(message)
    specification = importlib.util.spec_from_file_location(f"helicell_user_{file.stem}", file)
    if specification is None or specification.loader is None:
        message = f"the file {file} of the energy is not a Python file"
        raise InputError(message)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
