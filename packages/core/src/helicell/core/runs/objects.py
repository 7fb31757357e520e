"""A user's own Python object, found by a path: `module:attribute` or `path/to/file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from helicell.core.errors import InputError


def load_object(path: str, *, what: str) -> Any:
    """Return the object at `module:attribute`, or `file.py:attribute`.

    Modules are looked for in the working directory as well.

    Parameters
    ----------
    path
        Where it is.
    what
        What it is called in errors, such as "energy".

    Raises
    ------
    InputError
        If there is no such module or attribute.
    """
    place, _, attribute = path.rpartition(":")
    if not place or not attribute:
        message = f"the {what} {path!r} is neither a known name nor a path; give module:attribute or file.py:attribute"
        raise InputError(message)
    module = _load_file(Path(place), what) if place.endswith(".py") else _load_module(place, what)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        known = ", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing"
        message = f"{place} has no attribute {attribute!r}; it holds: {known}"
        raise InputError(message) from error


def _load_module(name: str, what: str) -> ModuleType:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"the module {name!r} of the {what} cannot be imported: {error}"
        raise InputError(message) from error
    finally:
        sys.path.remove(folder)


def _load_file(file: Path, what: str) -> ModuleType:
    if not file.is_file():
        message = f"the file {file} of the {what} does not exist"
        raise InputError(message)
    specification = importlib.util.spec_from_file_location(f"helicell_user_{file.stem}", file)
    if specification is None or specification.loader is None:
        message = f"the file {file} of the {what} is not a Python file"
        raise InputError(message)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
