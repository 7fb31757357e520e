"""Pickles are read without running them: plain data as Python reads it, everything else inert or refused."""

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import pytest

from helicell.core.errors import InputError
from helicell.core.training.pickles import Made, Named, read_pickle

PLAIN: list[Any] = [
    None,
    True,
    [1, -1, 2**40, -(2**90), 1.5, "text", "ä" * 300],
    {"a": {"b": (1, 2, 3, 4)}, 3: (), "c": ((1,), (1, 2), (1, 2, 3))},
]
# What older protocols can only make by a call.
NEWER: list[Any] = [[b"bytes", b"x" * 300, bytearray(b"y")], [{1, 2}, frozenset({3})]]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_data_comes_out_as_python_reads_it(value: Any, protocol: int) -> None:
    """Numbers, texts and containers of every protocol are the same as with Python's reader."""
    assert read_pickle(pickle.dumps(value, protocol), allowed=()) == value


@pytest.mark.parametrize("value", NEWER, ids=["bytes", "sets"])
def test_sets_and_bytes_of_the_newest_protocol_are_plain_data_too(value: Any) -> None:
    """The newest protocol has instructions for sets and bytes, which need no call."""
    assert read_pickle(pickle.dumps(value, 5), allowed=()) == value


def test_shared_and_circular_values_stay_so() -> None:
    """What is one object before is one object after, also one that holds itself."""
    shared: list[Any] = [1]
    shared.append(shared)
    one, other = read_pickle(pickle.dumps([shared, shared]), allowed=())
    assert one is other
    assert one[1] is one


def test_ordered_and_default_dicts_are_dicts() -> None:
    """Dicts of the standard library become plain ones; attributes that torch hangs on them are dropped."""
    ordered = collections.OrderedDict(a=1, b=2)
    ordered._metadata = {"version": 1}
    value = [ordered, collections.defaultdict(list, c=[3])]
    names = {"collections.OrderedDict", "collections.defaultdict", "builtins.list"}
    assert read_pickle(pickle.dumps(value, 2), allowed=names) == [{"a": 1, "b": 2}, {"c": [3]}]


class Evil:
    """Something whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_asks_for_more_is_refused_by_name_and_never_run(tmp_path: Path, protocol: int) -> None:
    """A call of anything outside of the list is named in the error, and nothing happens."""
    evil = tmp_path / "evil"
    with pytest.raises(InputError, match=r"asks for builtins\.exec"):
        read_pickle(pickle.dumps({"state": Evil(evil)}, protocol), allowed={"collections.OrderedDict"})
    assert not evil.exists()


def test_allowed_names_are_not_run_either(tmp_path: Path) -> None:
    """Even an allowed name is only recorded."""
    evil = tmp_path / "evil"
    made = read_pickle(pickle.dumps(Evil(evil)), allowed={"builtins.exec"})
    assert isinstance(made, Made)
    assert made.name == "builtins.exec"
    assert not evil.exists()
    assert read_pickle(pickle.dumps(print), allowed={"builtins.print"}) == Named("builtins.print")


def test_all_foreign_names_are_told_even_of_a_broken_pickle() -> None:
    """The names come first: two of them, in a stream that then breaks off."""
    data = b"cposix\nsystem\ncsubprocess\nPopen\n0)R"
    with pytest.raises(InputError, match=r"asks for posix\.system, subprocess\.Popen"):
        read_pickle(data, allowed=())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"no pickle at all",
        pickle.dumps({"a": [1, 2, 3]})[:-3],
        b"(.",  # a mark that is never closed
        b"h\x05.",  # memory that was never filled
        b"K\x01K\x02K\x03s.",  # a key for a number
        b"K\x01)R.",  # a call of a number
        b"(K\x01i__main__\nX\n.",  # an instruction of old
        b"\x80\x02r\xff\xff\xff\x7f.",  # an enormous place in memory, of nothing
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # bytes without end
    ],
)
def test_damage_is_an_error(data: bytes) -> None:
    """Whatever is broken ends in the package's own error, not in another one, a crash or a full memory."""
    with pytest.raises(InputError, match=r"damaged|asks for"):
        read_pickle(data, allowed=())


def test_random_damage_never_escapes() -> None:
    """Every single changed byte gives a value or the package's own error."""
    buffer = io.BytesIO()
    pickle.dump({"state": {"weight": (1.0, [2, 3])}, "names": ["a", "b"]}, buffer, 2)
    data = buffer.getvalue()
    for place in range(len(data)):
        for value in (0, 0x28, 0x2E, 0x52, 0x63, 0x75, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                read_pickle(changed, allowed=())
            except InputError:
                continue
