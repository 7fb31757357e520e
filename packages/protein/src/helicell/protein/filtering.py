"""Which backbones are kept: a condition on what is measured on each, as "clashes == 0 and novelty < 0.6".

The names are those of the columns of `helicell protein evaluate`, as far as one backbone tells them by itself, and two
short ones. `clashes` counts the pairs of CA atoms and of backbone atoms that are too near, together. `novelty` is the
TM-score to the nearest chain of a store, by the length of the backbone; it is searched for only where the rest of the
condition, read from left to right, leaves it open.
"""

from __future__ import annotations

import math
from pathlib import Path

from helicell.core.errors import InputError
from helicell.core.runs.conditions import Condition
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.measures import MEASURES, measure_chain
from helicell.protein.evaluation.neighbours import ChainIndex, search
from helicell.protein.evaluation.reference import ReferenceProfile
from helicell.protein.generation import Backbone
from helicell.protein.structures import Chain

__all__ = ["BackboneFilter"]

NOVELTY = "novelty_tm"
# What only a set of backbones has.
OF_SETS = ("pairwise_tm", "cluster_fraction")
OWN_MEASURES = tuple(measure.name for measure in MEASURES if measure.name not in (*OF_SETS, NOVELTY))
SHORT_NAMES = ("clashes", "novelty")


class BackboneFilter:
    """Measures backbones and judges them by a condition.

    Parameters
    ----------
    text
        The condition.
    reference
        Store of chains that novelty is measured against; needed where the condition names novelty.

    Raises
    ------
    InputError
        If the condition cannot be read, or needs a reference that is not there.
    """

    def __init__(self, text: str, reference: str | Path | None = None) -> None:
        self.condition = Condition.parse(text, (*SHORT_NAMES, "length", *OWN_MEASURES, NOVELTY))
        self._profile = ReferenceProfile.shipped()
        self._store: ChainStore | None = None
        if {"novelty", NOVELTY} & self.condition.names:
            if reference is None:
                message = f"the filter {text!r} needs chains to be unlike; name a store of them with --reference"
                raise InputError(message)
            self._store = ChainStore.open(reference)
            self._index = ChainIndex(chain.coordinates[:, CA] for chain in self._store)

    @property
    def columns(self) -> tuple[str, ...]:
        """The measures that `judge` returns, in order."""
        return (*OWN_MEASURES, NOVELTY) if self._store is not None else OWN_MEASURES

    @property
    def inputs(self) -> dict[str, str]:
        """What the judgement depends on besides the backbone, by name."""
        return {"reference": self._store.fingerprint} if self._store is not None else {}

    def judge(self, backbone: Backbone) -> tuple[dict[str, float], bool]:
        """Return the measures of a backbone, NaN for novelty that did not matter, and whether it is kept."""
        chain = Chain(str(backbone.index), backbone.coordinates, "G" * backbone.length, "C" * backbone.length)
        natural_rg = self._profile.radius_law.mean(backbone.length)
        values = _Values(self, chain)
        values.update(measure_chain(chain, ramachandran=self._profile.ramachandran, natural_rg=natural_rg))
        values["clashes"] = values["ca_clashes"] + values["backbone_clashes"]
        passed = self.condition(values)
        return {name: values.get(name, math.nan) for name in self.columns}, passed

    def novelty(self, chain: Chain) -> float:
        """Return the TM-score of a backbone to the nearest chain of the store."""
        if self._store is None:
            message = "there is no store to search"
            raise InputError(message)
        (nearest,) = search([chain.coordinates[:, CA]], self._store, index=self._index)
        return nearest.tm_score


class _Values(dict[str, float]):
    """Measures by name; novelty is searched for when it is asked for."""

    def __init__(self, judge: BackboneFilter, chain: Chain) -> None:
        super().__init__()
        self._judge, self._chain = judge, chain

    def __missing__(self, name: str) -> float:
        if name not in ("novelty", NOVELTY):
            raise KeyError(name)
        score = self._judge.novelty(self._chain)
        self.update({"novelty": score, NOVELTY: score})
        return score
