"""Judging backbones: geometry, size, secondary structure, variety and novelty, each beside natural chains."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.protein.evaluation.evaluating import Evaluation, evaluate
    from helicell.protein.evaluation.reference import ReferenceProfile

# Public names and where they live; imported on first use.
_PUBLIC = {"Evaluation": "evaluating", "ReferenceProfile": "reference", "evaluate": "evaluating"}

__all__ = ["Evaluation", "ReferenceProfile", "evaluate"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
