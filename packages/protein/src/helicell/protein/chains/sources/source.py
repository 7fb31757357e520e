"""What a source of chains gives: one item after the other, each with its chains or the reason why it has none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from helicell.protein.peptides import unbroken_segments
from helicell.protein.structures import Chain

__all__ = ["Item", "Source", "segments_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One file or entry of a source.

    Attributes
    ----------
    name
        How the user knows it: a path inside the source, the name of an entry.
    chains
        Its unbroken chains; empty when it was skipped.
    columns
        What the source knows of these chains, one value a column, such as ``predicted``.
    reason
        Why it was skipped, in the same words for the same cause, to be counted; empty otherwise.
    detail
        The whole story of a skip.
    """

    name: str
    chains: tuple[Chain, ...] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""


class Source(Protocol):
    """An iterable of items, always in the same order and with the same columns.

    Attributes
    ----------
    kind
        Short name of the source, the value of the column ``source`` unless the items bring their own.
    path
        Where it lies.
    total
        Number of items.
    """

    kind: str
    path: Path
    total: int

    def __iter__(self) -> Iterator[Item]: ...


def segments_of(name: str, chain: Chain, *, first_residue: int) -> tuple[Chain, ...]:
    """Cut a chain, numbered from `first_residue` on, at its breaks; each part is named by its residues."""
    parts = []
    for part in unbroken_segments(chain.coordinates):
        label = f"{name}:{first_residue + part.start}-{first_residue + part.stop - 1}"
        coordinates, sequence, states = chain.coordinates[part], chain.sequence[part], chain.secondary_structure[part]
        parts.append(Chain(label, coordinates, sequence, states))
    return tuple(parts)
