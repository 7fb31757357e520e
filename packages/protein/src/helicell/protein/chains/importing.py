"""From a source to a store: read, filter, measure, cluster, write, and count whatever was left out."""

import csv
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from helicell.core.errors import InputError
from helicell.core.runs.settings import Settings
from helicell.protein.chains.clusters import ClusterMethod, choose_method, cluster_sequences
from helicell.protein.chains.filters import ChainFilter, measure
from helicell.protein.chains.sources import Item, Source, open_source
from helicell.protein.chains.writer import StoreWriter, new_store
from helicell.protein.structures import Chain

log = logging.getLogger(__name__)

__all__ = ["ImportSettings", "ImportSummary", "import_chains"]

# Lists each item that was skipped, with the whole reason.
SKIPPED_FILE = "skipped.csv"
# Name of the clusters' column; clusters by words are wider and narrower than 30 %, as the provenance says.
CLUSTER_COLUMN = "cluster30"
# How many causes a message names.
CAUSES_SHOWN = 3


class ImportSettings(Settings):
    """What is imported, and how."""

    filter: ChainFilter = Field(default_factory=ChainFilter)
    """Limits that a chain must keep."""
    unique: bool = True
    """Leave out chains whose sequence was imported already, as the copies in a homo-oligomer."""
    cluster: ClusterMethod = "auto"
    """How sequences are clustered: by MMseqs2, by shared words, not at all, or by MMseqs2 where it is installed."""
    workers: PositiveInt = 1
    """Processes that read structure files."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did.

    Attributes
    ----------
    source, kind
        Where the chains come from, and which kind of source that is.
    items, chains, residues
        Files or entries that were gone through; chains and residues that were written.
    skipped
        Items without chains: number by reason.
    filtered
        Chains left out: number by reason.
    clusters, cluster_method
        Number of clusters, and how they were made (``source`` where the source brings its own).
    seconds
        Duration.
    """

    source: str
    kind: str
    items: int
    chains: int
    residues: int
    skipped: Mapping[str, int]
    filtered: Mapping[str, int]
    clusters: int | None
    cluster_method: str
    seconds: float


def import_chains(
    source: str | Path | Source,
    out: str | Path,
    *,
    settings: ImportSettings | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportSummary:
    """Import the chains of a source into a new store.

    Parameters
    ----------
    source
        Anything that :func:`~helicell.protein.chains.sources.open_source` knows, or what it returned.
    out
        Folder of the store; nothing is left there when the import fails or is interrupted.
    settings
        Filters and clustering.
    overwrite
        Replace a store that is already there.
    progress
        Called after each item with the number of items just done, 1.

    Returns
    -------
    ImportSummary
        Also kept, without the duration, in the store's provenance.

    Raises
    ------
    InputError
        If the source is unknown or unreadable, if `out` holds something already, or if no chain was left.
    HelicellError
        If MMseqs2 or a process that reads files fails.
    """
    settings = settings or ImportSettings()
    started = time.perf_counter()
    method = choose_method(settings.cluster)
    with new_store(out, overwrite=overwrite) as writer:
        opened = open_source(source, workers=settings.workers) if isinstance(source, str | Path) else source
        intake = _Intake(writer, settings, opened.kind)
        for item in opened:
            intake.take(item)
            if progress:
                progress(1)
        if not len(writer):
            raise _nothing_imported(opened, intake)
        clusters, used = intake.cluster(method)
        intake.write_skipped()
        summary = ImportSummary(
            source=str(opened.path),
            kind=opened.kind,
            items=opened.total,
            chains=len(writer),
            residues=writer.residues,
            skipped=dict(intake.skipped.most_common()),
            filtered=dict(intake.filtered.most_common()),
            clusters=clusters,
            cluster_method=used,
            seconds=time.perf_counter() - started,
        )
        writer.provenance = _provenance(summary, settings)
    return summary


class _Intake:
    """Takes items one by one, writes what passes, and counts the rest."""

    def __init__(self, writer: StoreWriter, settings: ImportSettings, kind: str) -> None:
        self._writer, self._settings, self._kind = writer, settings, kind
        self._sequences: list[str] = []
        self._seen: set[str] = set()
        self._clusters: set[object] = set()
        self.skips: list[Item] = []
        self.skipped: Counter[str] = Counter()
        self.filtered: Counter[str] = Counter()

    def take(self, item: Item) -> None:
        if item.reason:
            self.skips.append(item)
            self.skipped[item.reason] += 1
        for chain in item.chains:
            rejected = self._take_chain(chain, item.columns)
            if rejected:
                self.filtered[rejected] += 1

    def _take_chain(self, chain: Chain, known: Mapping[str, object]) -> str | None:
        """Write a chain, or return why not."""
        limits = self._settings.filter
        rejected = limits.reject_length(len(chain))
        if rejected:
            return rejected
        if self._settings.unique and chain.sequence in self._seen:
            return "same sequence as an earlier chain"
        measures = measure(chain)
        rejected = limits.reject(measures, predicted=bool(known.get("predicted", False)))
        if rejected:
            return rejected
        columns = {"source": self._kind, "predicted": False, **known, **asdict(measures)}
        self._writer.add(chain, columns)
        self._seen.add(chain.sequence)
        self._sequences.append(chain.sequence)
        if CLUSTER_COLUMN in known:
            self._clusters.add(known[CLUSTER_COLUMN])
        return None

    def cluster(self, method: str) -> tuple[int | None, str]:
        """Add the column of clusters unless the source brought it; return their number and how they were made."""
        if self._clusters:
            return len(self._clusters), "source"
        if method == "none":
            return None, "none"
        log.info("clustering %d sequences by %s", len(self._sequences), method)
        clusters = cluster_sequences(self._sequences, "mmseqs" if method == "mmseqs" else "words")
        self._writer.set_column(CLUSTER_COLUMN, clusters)
        return int(clusters.max()) + 1, method

    def write_skipped(self) -> None:
        """List what was skipped in a file of the store."""
        with (self._writer.folder / SKIPPED_FILE).open("w", newline="", encoding="utf-8", errors="replace") as file:
            table = csv.writer(file)
            table.writerow(("item", "reason", "detail"))
            table.writerows((item.name, item.reason, item.detail) for item in self.skips)


def _provenance(summary: ImportSummary, settings: ImportSettings) -> dict[str, Any]:
    """What a store says of its making; equal for equal imports, so without times."""
    facts = asdict(summary)
    del facts["seconds"]
    return {**facts, "settings": settings.to_mapping()}


def _nothing_imported(source: Source, intake: _Intake) -> InputError:
    causes = (intake.skipped + intake.filtered).most_common(CAUSES_SHOWN)
    told = "; ".join(f"{reason}: {count}" for reason, count in causes) or "no chains"
    mend = "loosen the filters or give another source"
    if intake.skips and not intake.filtered:
        mend = f"the first: {intake.skips[0].detail}" if len(intake.skips) > 1 else intake.skips[0].detail
    return InputError(f"nothing to import from {source.path}: {told}; {mend}")
