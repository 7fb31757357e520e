"""Learning a field, and what comes after.

`objectives` on `batches` are minimised by `fit` (Lightning) or, for small networks, by `loop`. `rectify` straightens a
trained flow, `distil` makes one step of it, `finetune` changes it by a reward, on `adapters` or all weights.
`checkpoint` stores weights with a model card.

What most trainings need can be imported from here; a function that has the name of its module is imported from there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.core.training.batches import FlowBatch, PooledPairs
    from helicell.core.training.loop import minimise
    from helicell.core.training.objectives import ConditionDropout, FlowObjective, PseudoHuber, SquaredError
    from helicell.core.training.rectify import FlowPairs, generate_pairs, invert_data, reflow, straightness
    from helicell.core.training.settings import OptimiserSettings

__all__ = [
    "ConditionDropout",
    "FlowBatch",
    "FlowObjective",
    "FlowPairs",
    "OptimiserSettings",
    "PooledPairs",
    "PseudoHuber",
    "SquaredError",
    "generate_pairs",
    "invert_data",
    "minimise",
    "reflow",
    "straightness",
]
_MODULES = {
    "batches": ("FlowBatch", "PooledPairs"),
    "loop": ("minimise",),
    "objectives": ("ConditionDropout", "FlowObjective", "PseudoHuber", "SquaredError"),
    "rectify": ("FlowPairs", "generate_pairs", "invert_data", "reflow", "straightness"),
    "settings": ("OptimiserSettings",),
}


def __getattr__(name: str) -> Any:
    """Import what is exported here when it is first asked for: settings are read where nothing is trained."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
