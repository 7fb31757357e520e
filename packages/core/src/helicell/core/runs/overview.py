"""How far jobs are, one by one and together, from the status files of their folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helicell.core.runs.folder import RunFolder
from helicell.core.runs.shards import shard_of
from helicell.core.runs.status import RunStatus

__all__ = ["FolderStatus", "Overview", "overview"]


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """A run folder: which shard it is, its state, and what its job last told.

    `state` is "finished" where there is a manifest, else what the status says, or "unknown" where there is none.
    """

    path: Path
    shard: tuple[int, int]
    state: str
    status: RunStatus | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All jobs together.

    Parameters
    ----------
    folders
        One by one.
    states
        How many are in each state; "not started" counts shards that have no folder yet.
    done, total
        Results that are there, and that are wanted; shards that have not started are taken to be like the others.
    tried
        What was made to get them, where that is told.
    rate
        Results an hour of the jobs that run, together.
    expected_end
        When all will be done if as many jobs go on working; None where none does.
    """

    folders: Sequence[FolderStatus]
    states: Counter[str]
    done: int
    total: int
    tried: int | None
    rate: float | None
    expected_end: datetime | None


def overview(folders: Sequence[Path], *, now: datetime | None = None) -> Overview:
    """Sum up run folders, from `run_folders`."""
    entries = [_entry(folder) for folder in folders]
    states = Counter(entry.state for entry in entries)
    told = [entry.status for entry in entries if entry.status is not None]
    # Shards of one job lie side by side.
    cuts = {entry.path.parent: entry.shard[1] for entry in entries}
    waiting = sum(cuts.values()) - len(entries) if _sharded(entries) else 0
    if waiting > 0:
        states["not started"] = waiting
    done, total = sum(status.done for status in told), sum(status.total for status in told)
    total += round(total / len(told) * waiting) if told else 0
    rates = [entry.status.rate for entry in entries if entry.state == "running" and entry.status and entry.status.rate]
    rate = sum(rates) if rates else None
    tried = [status.tried for status in told if status.tried is not None]
    end = (now or datetime.now(UTC)) + timedelta(hours=(total - done) / rate) if rate and total >= done else None
    return Overview(entries, states, done, total, sum(tried) if tried else None, rate, end)


def _entry(folder: Path) -> FolderStatus:
    status = RunStatus.read(folder)
    state = "finished" if RunFolder(folder).finished else status.state if status is not None else "unknown"
    return FolderStatus(folder, shard_of(folder), state, status)


def _sharded(entries: Sequence[FolderStatus]) -> bool:
    """Whether all that lie in one folder are parts of one job, so that those which are missing can be counted."""
    siblings: dict[Path, set[tuple[int, int]]] = {}
    for entry in entries:
        if entry.shard in siblings.setdefault(entry.path.parent, set()):
            return False
        siblings[entry.path.parent].add(entry.shard)
    return all(len({parts for _, parts in shards}) == 1 for shards in siblings.values())
