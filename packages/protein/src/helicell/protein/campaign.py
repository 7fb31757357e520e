"""Sampling until enough backbones pass a filter.

Candidates are numbered 0, 1, 2, ... without end. Number i has its own random stream, and its length is drawn from entry
i modulo n of the n entries of `length`; so it is the same backbone in any job of this model and seed. They are made in
order, in rounds, and those that pass are kept until there are `until`, which are therefore the first ones that pass:
neither the batch size nor interruptions change which. Shard k of n looks at candidates k - 1, k - 1 + n, ... only and
keeps its share of `until`; all shards together keep `until`.

OUT/tried.csv   index, length, seed, whether it passed, and the measures, of every candidate up to the last one kept
OUT/samples.csv and OUT/sample_*   those that passed
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path

from helicell.core.errors import HelicellError
from helicell.core.runs.files import write_text
from helicell.core.runs.status import StatusFile
from helicell.protein.evaluation.folder import TRIED
from helicell.protein.filtering import BackboneFilter
from helicell.protein.generation import Backbone, Request
from helicell.protein.sample_files import SampleRow, append_row, read_table

# Candidates that are made before it is asked whether they suffice: some batches of each kind of device.
ROUND = {"cpu": 32, "cuda": 512, "mps": 64}
# Candidates for each backbone that is wanted, after which a filter counts as hopeless unless asked otherwise.
HOPELESS = 100
HEAD = ("index", "length", "seed", "passed")


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate: its number, length and seed, whether it passed, and its measures."""

    index: int
    length: int
    seed: int
    passed: bool
    measures: tuple[str, ...]


class Campaign:
    """The search in one run folder.

    Parameters
    ----------
    folder
        The run folder; what an earlier process found there counts.
    judge
        Measures and judges.
    candidates
        The candidates of this shard, in order; endless, or all there are.
    until
        Backbones to keep; None for all that pass among all candidates.
    at_most
        Candidates to try before giving up; None for no end but that of the candidates.
    """

    def __init__(
        self,
        folder: Path,
        judge: BackboneFilter,
        candidates: Iterator[Request],
        *,
        until: int | None,
        at_most: int | None,
    ) -> None:
        self.folder, self.judge, self.candidates = folder, judge, candidates
        self.until, self.at_most = until, at_most
        self.rows = {row.index: row for row in read_table(folder)}
        self.tried = {entry.index: entry for entry in self._read_tried()}
        self.rows = {index: row for index, row in self.rows.items() if index in self.tried}
        # Of the rounds that are complete: the candidates in order, and how many of them passed.
        self._order: list[int] = []
        self._passed = 0

    @property
    def found(self) -> int:
        """How many were kept by an earlier process, at most as many as are wanted."""
        return len(self.rows) if self.until is None else min(len(self.rows), self.until)

    def run(
        self,
        sample: Callable[[list[Request], Container[int]], Iterator[Backbone]],
        write: Callable[[Backbone], SampleRow],
        *,
        round_size: int,
        status: StatusFile,
        progress: Callable[[int], None],
    ) -> list[SampleRow]:
        """Try candidates round by round, and return the rows of those that are kept.

        Parameters
        ----------
        sample
            Makes the backbones of a round; given those whose outcome is known, it may leave out batches of only such.
        write
            Writes a backbone.
        round_size
            Candidates of a round.
        status, progress
            Told of every backbone.

        Raises
        ------
        HelicellError
            If too few have passed when no more may be tried; what was found stays, and the search can go on with a
            greater `at_most`.
        """
        while not self._enough() and (round_ := self._next_round(round_size)):
            for backbone in sample(round_, self.tried):
                if backbone.index in self.tried:
                    continue
                measures, passed = self.judge.judge(backbone)
                if passed:
                    row = self.rows[backbone.index] = write(backbone)
                    append_row(self.folder, row)
                self._append(backbone, measures, passed=passed)
                kept = int(passed and (self.until is None or len(self.rows) <= self.until))
                status.advance(kept, tried=1)
                progress(kept)
            self._passed += sum(self.tried[request.index].passed for request in round_)
        if self.until is not None and not self._enough():
            message = (
                f"only {self._passed} of {self.until} backbones passed {self.judge.condition.text!r} "
                f"among {len(self._order)} tried; loosen the filter, or go on with --resume and a greater --at-most"
            )
            raise HelicellError(message)
        return self._finish()

    def _enough(self) -> bool:
        """Whether enough have passed among the rounds that are complete."""
        return self.until is not None and self._passed >= self.until

    def _next_round(self, size: int) -> list[Request]:
        """The next candidates, fewer at the end, none when no more may be tried."""
        if self.at_most is not None:
            size = min(size, self.at_most - len(self._order))
        requests = [request for request, _ in zip(self.candidates, range(size), strict=False)] if size > 0 else []
        self._order += [request.index for request in requests]
        return requests

    def _finish(self) -> list[SampleRow]:
        """Drop what was found beyond the last one that is kept, and write the tables in order."""
        kept = [index for index in self._order if self.tried[index].passed][: self.until]
        last = max(self._order, default=-1) if self.until is None else max(kept, default=-1)
        for index in sorted(set(self.rows) - set(kept)):
            self._remove(self.rows.pop(index))
        entries = [self.tried[index] for index in sorted(self._order) if index <= last]
        write_text(self.folder / TRIED, self._text(entries, header=True))
        return [self.rows[index] for index in sorted(self.rows)]

    def _remove(self, row: SampleRow) -> None:
        """Remove the files of a backbone that is not kept."""
        path = self.folder / row.file
        for file in (path, path.with_name(f"{path.stem}_trajectory.npz")):
            file.unlink(missing_ok=True)

    def _append(self, backbone: Backbone, measures: dict[str, float], *, passed: bool) -> None:
        values = tuple("" if math.isnan(value) else f"{value:.6g}" for value in measures.values())
        entry = Tried(backbone.index, backbone.length, backbone.seed, passed, values)
        self.tried[entry.index] = entry
        path = self.folder / TRIED
        header = not path.exists()
        with path.open("a", encoding="utf-8") as handle:
            handle.write(self._text([entry], header=header))

    def _text(self, entries: list[Tried], *, header: bool) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if header:
            writer.writerow((*HEAD, *self.judge.columns))
        writer.writerows((e.index, e.length, e.seed, int(e.passed), *e.measures) for e in entries)
        return buffer.getvalue()

    def _read_tried(self) -> list[Tried]:
        """Return the candidates that an earlier process judged, where a kept one's file is whole; tidy the table."""
        path = self.folder / TRIED
        if not path.is_file():
            return []
        entries = []
        for row in csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()):
            if len(row) != len(HEAD) + len(self.judge.columns) or not row[0].isdecimal():
                continue
            entry = Tried(int(row[0]), int(row[1]), int(row[2]), row[3] == "1", tuple(row[len(HEAD) :]))
            if not entry.passed or entry.index in self.rows:
                entries.append(entry)
        write_text(path, self._text(entries, header=True))
        return entries


def shard_candidates(request: Callable[[int], Request], *, part: int, parts: int) -> Iterator[Request]:
    """Return the endless candidates of a shard, from a function that gives the candidate of a number."""
    return (request(index) for index in count_from(part - 1, parts))


def share(total: int, *, part: int, parts: int) -> int:
    """Return how many of `total` fall to a part.

    Examples
    --------
    >>> [share(10, part=part, parts=4) for part in (1, 2, 3, 4)]
    [3, 3, 2, 2]
    """
    return len(range(part - 1, total, parts))
