"""What is known about a set of generated backbones: structures, measures, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from helicell.protein.evaluation.summary import Summary
    from helicell.protein.structures import Chain

__all__ = ["Results"]


@dataclass(frozen=True, slots=True)
class Results:
    """Structures of generated backbones with what was measured on them.

    Parameters
    ----------
    table : DataFrame
        A row a sample: ``file``, ``path``, ``length`` and the measures of the evaluation.
    chains : sequence of Chain
        The backbones, in the order of the rows.
    overall : Summary
        Means over all samples, with those of natural chains.
    by_length : mapping of str to Summary
        The same for each length.
    reference : str
        Which natural chains the means are from.
    unreadable : sequence of str
        Files that gave no backbone, each with the reason.
    facts : mapping of str to str
        How the backbones were made, in short.
    texts : mapping of str to str
        Settings and manifests of the jobs that made them.
    """

    table: pd.DataFrame
    chains: Sequence[Chain]
    overall: Summary
    by_length: Mapping[str, Summary]
    reference: str
    unreadable: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
