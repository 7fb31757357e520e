"""Contigs: where the pieces of a motif go in a new chain, and how many new residues lie between them.

    10-30/A25-40/15/B3-9/5-20

is a chain that starts with 10 to 30 new residues, goes on with residues 25 to 40 of chain A, then 15 new ones, residues
3 to 9 of chain B, and 5 to 20 new ones at its end. A letter in front means residues of the motif's file, under the
numbers that they have there (with an insertion code, if there is one: A52A-54); no letter means new residues. Every
sample draws its lengths from its own random stream, each combination that keeps to the total length being as likely as
any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from helicell.core.errors import InputError
from helicell.protein.generation import MAX_LENGTH
from helicell.protein.lengths import LengthRange

SYNTAX = "write for example 10-30/A25-40/15/B3-9/5-20"
GAP = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
# A chain, the first residue, and the last one unless the piece is a single residue; perhaps with the chain repeated.
PIECE = re.compile(r"([A-Za-z]+)(-?\d{1,6}[A-Za-z]?)(?:-([A-Za-z]*?)(-?\d{1,6}[A-Za-z]?))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Piece:
    """Residues `first` to `last` of a chain, by the numbers of the motif's file."""

    chain: str
    first: str
    last: str

    def __str__(self) -> str:
        return f"{self.chain}{self.first}" + (f"-{self.last}" if self.last != self.first else "")


@dataclass(frozen=True, slots=True)
class Contig:
    """A chain of pieces with new residues around them.

    Attributes
    ----------
    pieces
        The pieces of the motif, in the order of the new chain.
    gaps
        How many new residues lie before the first piece, between the pieces, and after the last one: one range more
        than there are pieces.
    """

    pieces: tuple[Piece, ...]
    gaps: tuple[LengthRange, ...]

    def __str__(self) -> str:
        return _written(self.pieces, [(gap.least, gap.most) for gap in self.gaps])

    def draw(
        self, motif_length: int, generator: torch.Generator, *, total: LengthRange | None = None
    ) -> tuple[int, ...]:
        """Draw the lengths of the gaps, evenly among all combinations that keep to the total length.

        Parameters
        ----------
        motif_length
            Residues of all pieces together.
        generator
            The random stream.
        total
            Least and greatest length of the whole chain; any unless given.

        Raises
        ------
        InputError
            If no combination has such a length.
        """
        limits = self.limits(motif_length, total)
        ways = _ways(self.gaps, (limits.least - motif_length, limits.most - motif_length))
        lengths, used = [], 0
        for number, gap in enumerate(self.gaps):
            choices = [ways[number + 1].get(used + length, 0) for length in range(gap.least, gap.most + 1)]
            whole = sum(choices)
            # Numbers of combinations can be larger than any float; their ratios are not.
            shares = torch.tensor([choice / whole for choice in choices], dtype=torch.float64)
            u = float(torch.rand((), generator=generator, dtype=torch.float64))
            place = int(torch.searchsorted(shares.cumsum(0), u, right=True).clamp_max(int(shares.nonzero().max())))
            lengths.append(gap.least + place)
            used += lengths[-1]
        return tuple(lengths)

    def limits(self, motif_length: int, total: LengthRange | None = None) -> LengthRange:
        """Return the least and the greatest length of a chain that keeps to the contig and to `total`.

        Raises
        ------
        InputError
            If there is none, or it is longer than any backbone.
        """
        least = motif_length + sum(gap.least for gap in self.gaps)
        most = motif_length + sum(gap.most for gap in self.gaps)
        if total is not None:
            if total.most < least or total.least > most:
                message = (
                    f"the contig {self} makes {least} to {most} residues, but the length asked for is "
                    f"{_span(total.least, total.most)}; change one of them"
                )
                raise InputError(message)
            least, most = max(least, total.least), min(most, total.most)
        if most > MAX_LENGTH:
            message = f"the contig {self} makes up to {most} residues; {MAX_LENGTH} is the most"
            raise InputError(message)
        return LengthRange(least, most)

    def filled(self, gaps: Sequence[int]) -> str:
        """Return the contig with the drawn lengths, such as ``12/A25-40/15/B3-9/7``."""
        return _written(self.pieces, [(gap, gap) for gap in gaps])


def parse_contig(text: str) -> Contig:
    """Read a contig.

    Raises
    ------
    InputError
        If an entry is neither a piece nor a number of residues, runs backwards, or there is no piece at all.

    Examples
    --------
    >>> contig = parse_contig("10-30/A25-40/15")
    >>> contig.pieces, [(gap.least, gap.most) for gap in contig.gaps]
    ((Piece(chain='A', first='25', last='40'),), [(10, 30), (15, 15)])
    """
    pieces: list[Piece] = []
    gaps: list[LengthRange] = [LengthRange(0, 0)]
    for entry in (part.strip() for part in text.split("/")):
        if match := GAP.fullmatch(entry):
            least, most = int(match[1]), int(match[2] or match[1])
            if least > most:
                raise _backwards(entry, f"{most}-{least}")
            if most > MAX_LENGTH:
                message = f"{entry} in the contig is too long; {MAX_LENGTH} residues are the most"
                raise InputError(message)
            gaps[-1] = LengthRange(gaps[-1].least + least, gaps[-1].most + most)
        elif match := PIECE.fullmatch(entry):
            pieces.append(_piece(entry, *match.groups()))
            gaps.append(LengthRange(0, 0))
        else:
            message = f"cannot read {entry!r} in the contig {text!r}; {SYNTAX}"
            raise InputError(message)
    if not pieces:
        message = f"the contig {text!r} names no residues of the motif; {SYNTAX}"
        raise InputError(message)
    return Contig(tuple(pieces), tuple(gaps))


def _piece(entry: str, chain: str, first: str, repeated: str | None, last: str | None) -> Piece:
    if repeated and repeated != chain:
        message = f"{entry} goes from chain {chain} to chain {repeated}; name each chain's residues by themselves"
        raise InputError(message)
    last = last or first
    if _number(first) > _number(last):
        raise _backwards(entry, f"{chain}{last}-{first}")
    return Piece(chain, first, last)


def _number(residue: str) -> int:
    return int(residue.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


def _backwards(entry: str, turned: str) -> InputError:
    return InputError(f"{entry} in the contig runs backwards; write {turned}")


def _ways(gaps: Sequence[LengthRange], total: tuple[int, int]) -> list[dict[int, int]]:
    """Return, for each number of gaps already drawn, in how many ways the others complete each sum of these."""
    ways = [dict.fromkeys(range(total[0], total[1] + 1), 1)]
    for gap in reversed(gaps):
        # The sums over windows of the later ways, by differences of their running sum.
        later = ways[0]
        running, sums = 0, {min(later) - 1: 0}
        for place in range(min(later), max(later) + 1):
            running += later.get(place, 0)
            sums[place] = running
        low, high = min(later) - 1, max(later)
        earlier = {
            used: sums[min(high, used + gap.most)] - sums[max(low, used + gap.least - 1)]
            for used in range(max(0, low + 1 - gap.most), high - gap.least + 1)
        }
        ways.insert(0, {used: count for used, count in earlier.items() if count})
    return ways


def _written(pieces: Sequence[Piece], gaps: Sequence[tuple[int, int]]) -> str:
    entries = [_span(*gaps[0])]
    for piece, gap in zip(pieces, gaps[1:], strict=True):
        entries += [str(piece), _span(*gap)]
    return "/".join(entry for entry in entries if entry != "0")


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least}-{most}"
