"""Designability: sequences for backbones by ProteinMPNN, folded by ESMFold, compared with the backbones.

``settings.py`` says how, ``sequences.py`` makes a row of each sequence, ``figures.py`` makes shares and diversity of
the rows, and ``judging.py`` does all of it for the files of a folder.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.protein.designability.judging import designability_to_folder
    from helicell.protein.designability.settings import DesignabilitySettings, SelfConsistencySettings

# Public names and where they live; imported on first use.
_PUBLIC = {
    "DesignabilitySettings": "settings",
    "SelfConsistencySettings": "settings",
    "designability_to_folder": "judging",
}

__all__ = ["DesignabilitySettings", "SelfConsistencySettings", "designability_to_folder"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
