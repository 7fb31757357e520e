"""Backbones that meet a condition: motifs to scaffold, symmetric assemblies, variations of a backbone, rewards.

A *task* (`task.py`) says what is asked: a `Scaffold` (`scaffolds.py`, with `contigs.py` and `motifs.py`), an `Assembly`
(`assemblies.py`, with `symmetry.py`), a `Variation` (`variations.py`), or `Free`. `rewards.py` leads any of them.
`walking.py` is the walk on which all this is met, `sampling.py` makes the samples, `folder.py` writes them.
`finetuning.py` puts a reward into the weights instead.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.protein.conditioning.assemblies import Assembly
    from helicell.protein.conditioning.contigs import Contig, parse_contig
    from helicell.protein.conditioning.finetuning import finetune_model
    from helicell.protein.conditioning.rewards import parse_rewards
    from helicell.protein.conditioning.sampling import condition
    from helicell.protein.conditioning.scaffolds import Scaffold, make_scaffold
    from helicell.protein.conditioning.symmetry import Symmetry, parse_symmetry
    from helicell.protein.conditioning.task import ConditionedBackbone, Free
    from helicell.protein.conditioning.variations import Variation, make_variation

# Public names and where they live; imported on first use.
_PUBLIC = {
    "Assembly": "assemblies",
    "ConditionedBackbone": "task",
    "Contig": "contigs",
    "Free": "task",
    "Scaffold": "scaffolds",
    "Symmetry": "symmetry",
    "Variation": "variations",
    "condition": "sampling",
    "finetune_model": "finetuning",
    "make_scaffold": "scaffolds",
    "make_variation": "variations",
    "parse_contig": "contigs",
    "parse_rewards": "rewards",
    "parse_symmetry": "symmetry",
}

__all__ = [
    "Assembly",
    "ConditionedBackbone",
    "Contig",
    "Free",
    "Scaffold",
    "Symmetry",
    "Variation",
    "condition",
    "finetune_model",
    "make_scaffold",
    "make_variation",
    "parse_contig",
    "parse_rewards",
    "parse_symmetry",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
