"""Lengths as users write them: 80, or 60,80,100, or 60-120, or any mix."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.protein.generation import MAX_LENGTH, Request

ENTRY = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class LengthRange:
    """Lengths from `least` to `most` residues, both included."""

    least: int
    most: int


def parse_lengths(text: str) -> tuple[LengthRange, ...]:
    """Read a list of lengths and ranges of lengths.

    Raises
    ------
    InputError
        If an entry is neither, or out of range.

    Examples
    --------
    >>> parse_lengths("80,60-120")
    (LengthRange(least=80, most=80), LengthRange(least=60, most=120))
    """
    ranges = []
    for entry in text.split(","):
        match = ENTRY.fullmatch(entry.strip())
        if match is None:
            message = f"cannot read the length {entry.strip()!r}; write for example 80, or 60-120, or 60,80,100"
            raise InputError(message)
        least, most = int(match[1]), int(match[2] or match[1])
        if not 1 <= least <= most <= MAX_LENGTH:
            message = f"the length {entry.strip()} is out of range; give 1 to {MAX_LENGTH} residues, the smaller first"
            raise InputError(message)
        ranges.append(LengthRange(least, most))
    return tuple(ranges)


def make_requests(
    ranges: tuple[LengthRange, ...], *, count: int, seed: int, part: int = 1, parts: int = 1
) -> list[Request]:
    """Return `count` backbones of each entry; those of a range draw their lengths evenly, each from its own stream.

    Of a job in several parts, only those of one: every `parts`-th from number `part` - 1 on.
    """
    return [_request(index, ranges[index // count], seed=seed) for index in range(part - 1, count * len(ranges), parts)]


def candidate(index: int, ranges: tuple[LengthRange, ...], *, seed: int) -> Request:
    """Return number `index` of an endless row of backbones that goes round the entries."""
    return _request(index, ranges[index % len(ranges)], seed=seed)


def _request(index: int, entry: LengthRange, *, seed: int) -> Request:
    length = entry.least
    if entry.most > entry.least:
        generator = sample_generator(seed, index, stream="length")
        length += int(torch.randint(entry.most - entry.least + 1, (), generator=generator))
    return Request(index, length)
