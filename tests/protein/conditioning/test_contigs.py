"""Contigs: what is written is what is read, lengths are drawn evenly and by number, mistakes are one line each."""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helicell.core.errors import InputError
from helicell.protein.conditioning.contigs import Contig, Piece, parse_contig
from helicell.protein.lengths import LengthRange

gaps = st.tuples(st.integers(0, 30), st.integers(0, 30))
pieces = st.tuples(st.sampled_from(["A", "B", "H"]), st.integers(-5, 300), st.integers(0, 40), gaps)
parts = st.tuples(gaps, st.lists(pieces, min_size=1, max_size=4))


def contig_of(parts: tuple) -> Contig:
    """Return the contig of a gap and some pieces with the gaps after them; the type checker must not see a strategy."""
    first, entries = parts
    chosen = tuple(Piece(chain, str(start), str(start + span)) for chain, start, span, _ in entries)
    ranges = [LengthRange(min(gap), max(gap)) for gap in (first, *(entry[3] for entry in entries))]
    return Contig(chosen, tuple(ranges))


def stream(seed: int) -> torch.Generator:
    """Return a random stream."""
    return torch.Generator().manual_seed(seed)


@given(parts)
def test_reading_what_is_written_gives_the_same(parts: tuple) -> None:
    """A contig, written and read, is itself; so is one with its lengths filled in."""
    contig = contig_of(parts)
    assert parse_contig(str(contig)) == contig
    least = [gap.least for gap in contig.gaps]
    filled = parse_contig(contig.filled(least))
    assert filled.pieces == contig.pieces
    assert [(gap.least, gap.most) for gap in filled.gaps] == [(n, n) for n in least]


@settings(max_examples=50, deadline=None)
@given(parts, st.integers(0, 2**32 - 1), st.integers(0, 130), st.integers(0, 20))
def test_drawn_lengths_keep_to_every_range(parts: tuple, seed: int, least: int, span: int) -> None:
    """Each gap lies in its range and the sum in the total, or the total is refused because nothing reaches it."""
    contig = contig_of(parts)
    total = LengthRange(50 + least, 50 + least + span)
    lowest, highest = (50 + sum(getattr(gap, end) for gap in contig.gaps) for end in ("least", "most"))
    if total.most < lowest or total.least > highest:
        with pytest.raises(InputError, match=f"makes {lowest} to {highest} residues"):
            contig.draw(50, stream(seed), total=total)
        return
    drawn = contig.draw(50, stream(seed), total=total)
    assert all(gap.least <= length <= gap.most for gap, length in zip(contig.gaps, drawn, strict=True))
    assert total.least <= 50 + sum(drawn) <= total.most
    assert drawn == contig.draw(50, stream(seed), total=total)


def test_every_combination_is_as_likely_as_any_other() -> None:
    """Of the fourteen ways to reach the total, counted by hand, each is drawn about as often: chi-squared at 0.1 %."""
    contig, total = parse_contig("0-3/A1-2/1-4/A5-6/2-3"), LengthRange(10, 11)
    expected = [ways for ways in itertools.product(range(4), range(1, 5), range(2, 4)) if 10 <= sum(ways) + 4 <= 11]
    counts = Counter(contig.draw(4, stream(seed), total=total) for seed in range(2800))
    assert set(counts) == set(expected)
    share = 2800 / len(expected)
    assert sum((counts[ways] - share) ** 2 / share for ways in expected) < 34.5  # 13 degrees of freedom


def test_neighbouring_numbers_and_repeated_chain_names_are_understood() -> None:
    """Numbers side by side add up; a chain may be named at both ends; numbers may be negative or have letters."""
    contig = parse_contig(" 5/10-20 /A-3-A10/A52A-53/7")
    assert contig.gaps == (LengthRange(15, 25), LengthRange(0, 0), LengthRange(7, 7))
    assert contig.pieces == (Piece("A", "-3", "10"), Piece("A", "52A", "53"))
    assert parse_contig("A100").pieces == (Piece("A", "100", "100"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read ''"),
        ("10/", "cannot read ''"),
        ("A25:40", "cannot read 'A25:40'"),
        ("10-20,A25-40", "cannot read '10-20,A25-40'"),
        ("10-20/A", "cannot read 'A'"),
        ("5-10/20", "names no residues of the motif"),
        ("A40-25", "write A25-40"),
        ("30-10/A1-5", "write 10-30"),
        ("A10-B20", "from chain A to chain B"),
        ("A1-5/99999", "2000 residues are the most"),
        ("A1-5/٣", "cannot read"),
    ],
)
def test_mistakes_are_one_line_that_says_how_to_mend_them(text: str, said: str) -> None:
    """Each way to write a contig wrongly has its own words."""
    with pytest.raises(InputError, match=said) as caught:
        parse_contig(text)
    assert "\n" not in str(caught.value)


def test_a_chain_that_may_get_too_long_is_refused() -> None:
    """Ranges that add up to more than any backbone are refused, unless the total keeps them short."""
    contig = parse_contig("0-1500/A1-5/0-1500")
    with pytest.raises(InputError, match="2000 is the most"):
        contig.draw(5, stream(0))
    assert 95 <= sum(contig.draw(5, stream(0), total=LengthRange(100, 110))) <= 105
