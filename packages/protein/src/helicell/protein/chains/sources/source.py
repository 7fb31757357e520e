"""What a source of chains gives: chains found and items skipped, one after the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from helicell.protein.structures import Chain

__all__ = ["Found", "Skipped", "Source"]


@dataclass(frozen=True, slots=True)
class Found:
    """A chain and what the source knows about it (one value a column)."""

    chain: Chain
    columns: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or entry that gave no chain, and why (the same words for the same cause)."""

    item: str
    reason: str


class Source(Protocol):
    """An iterable of chains found and items skipped, always in the same order.

    Attributes
    ----------
    kind
        Short name of the source, kept in the store.
    path
        Where it lies.
    total
        Number of items it will go through, for a progress bar; None when it cannot be known.
    """

    kind: str
    path: Path
    total: int | None

    def __iter__(self) -> Iterator[Found | Skipped]: ...
