"""Protein backbones: real chains in, a flow on rigid frames, new backbones out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.protein.chains.store import ChainStore
    from helicell.protein.frames import Frames
    from helicell.protein.generation import Backbone, SamplingOptions, generate
    from helicell.protein.model import BackboneModel, load_model
    from helicell.protein.published.conversion import convert_checkpoint

# Public names and where they live; imported on first use, because torch is slow to start.
_PUBLIC = {
    "Backbone": "generation",
    "BackboneModel": "model",
    "ChainStore": "chains.store",
    "Frames": "frames",
    "SamplingOptions": "generation",
    "convert_checkpoint": "published.conversion",
    "generate": "generation",
    "load_model": "model",
}

__all__ = [
    "Backbone",
    "BackboneModel",
    "ChainStore",
    "Frames",
    "SamplingOptions",
    "convert_checkpoint",
    "generate",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
