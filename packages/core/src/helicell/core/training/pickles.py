"""Reading pickles without running them.

Python's own reader imports and calls whatever a pickle names, so that a pickle from a stranger can do anything. Here
nothing is imported or called: an interpreter of the instructions for plain data builds dicts, lists and numbers, and
what would be made by a call becomes an inert `Made`, which holds the name of what was to be called and its arguments.
Names outside of an allow-list are refused all the same, since such a file is not what it is taken for.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from helicell.core.errors import InputError

# Types whose calls make nothing but a dict.
DICTS = frozenset({"builtins.dict", "collections.OrderedDict", "collections.defaultdict"})
_MARK = object()


@dataclass(frozen=True, slots=True)
class Named:
    """Something that a pickle names, such as a class: only its name, "module.name"."""

    name: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that is kept beside the pickle, such as the numbers of a tensor: what the pickle says of it."""

    key: Any


@dataclass(slots=True, eq=False)
class Made:
    """What a pickle would have made by a call.

    Attributes
    ----------
    name
        What was to be called, "module.name".
    arguments
        With what.
    state
        What the result was then to be filled with, or None.
    items, elements
        What was then to be put in by key, and what was to be appended.
    """

    name: str
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


def read_pickle(data: bytes, *, allowed: Collection[str]) -> Any:
    """Return what a pickle describes, as plain values, `Named`, `Stored` and `Made`.

    Parameters
    ----------
    data
        The pickle.
    allowed
        Names, "module.name", that may occur in it.

    Raises
    ------
    InputError
        If other names occur, all of which are told, or the pickle is damaged.

    Examples
    --------
    >>> import pickle
    >>> read_pickle(pickle.dumps({"epoch": 3, "names": ["a", "b"]}), allowed=())
    {'epoch': 3, 'names': ['a', 'b']}
    >>> read_pickle(pickle.dumps(print), allowed=())
    Traceback (most recent call last):
    helicell.core.errors.InputError: the pickle asks for builtins.print, which no checkpoint needs; do not trust it
    """
    machine = _Machine()
    damage: Exception | None = None
    try:
        for instruction, argument, _ in pickletools.genops(data):
            machine.step(instruction.name, argument)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError) as error:
        damage = error
    foreign = sorted(machine.names - set(allowed))
    if foreign:
        message = f"the pickle asks for {', '.join(foreign)}, which no checkpoint needs; do not trust it"
        raise InputError(message)
    if damage is not None or len(machine.stack) != 1 or machine.stack[0] is _MARK:
        message = f"the pickle is damaged or uses what no checkpoint needs ({damage or 'no end'})"
        raise InputError(message)
    return machine.stack[0]


class _Machine:
    """The stack, the memory and the names that were asked for."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _VALUES:
            self.stack.append(argument)
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        else:
            message = f"instruction {name}"
            raise ValueError(message)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            message = "a value is missing"
            raise ValueError(message)
        return value

    def pop_to_mark(self) -> list[Any]:
        """Take off all values above the last mark, and the mark."""
        above = []
        while (value := self.stack.pop()) is not _MARK:
            above.append(value)
        return above[::-1]

    def name(self, module: str, name: str) -> None:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        self.names.add(full)
        self.stack.append(Named(full))

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            message = "a call of what is no name"
            raise TypeError(message)
        self.stack.append({} if function.name in DICTS else Made(function.name, arguments))

    def fill(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Made):
            target.state = state
        elif not isinstance(target, dict):  # Attributes of dicts, which torch adds to its own, say nothing.
            message = "a state for what has none"
            raise TypeError(message)

    def put_items(self, flat: Sequence[Any]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Made) else target
        if not isinstance(items, dict):
            message = "keys for what has none"
            raise TypeError(message)
        items.update(zip(flat[::2], flat[1::2], strict=True))

    def append(self, values: Sequence[Any]) -> None:
        target = self.stack[-1]
        elements = target.elements if isinstance(target, Made) else target
        if isinstance(elements, set):
            elements.update(values)
        elif isinstance(elements, list):
            elements.extend(values)
        else:
            message = "elements for what has none"
            raise TypeError(message)

    def gather(self, kind: Callable[[list[Any]], Any], count: int | None = None) -> None:
        """Replace the last `count` values, or all above the last mark, by one that holds them."""
        values = self.pop_to_mark() if count is None else [self.pop() for _ in range(count)][::-1]
        self.stack.append(kind(values))


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _memoize(machine: _Machine, argument: int | None) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.stack[-1]


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.name(module, name)


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(str(module), str(name))


def _reduce(machine: _Machine, _: object) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.call(function, arguments)


def _new_with_keywords(machine: _Machine, _: object) -> None:
    keywords, arguments, function = machine.pop(), machine.pop(), machine.pop()
    machine.call(function, (*arguments, keywords))


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda *_: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, key: machine.stack.append(machine.memo[key])),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "DICT": lambda machine, _: machine.gather(_pairs),
    "LIST": lambda machine, _: machine.gather(list),
    "TUPLE": lambda machine, _: machine.gather(tuple),
    "TUPLE1": lambda machine, _: machine.gather(tuple, 1),
    "TUPLE2": lambda machine, _: machine.gather(tuple, 2),
    "TUPLE3": lambda machine, _: machine.gather(tuple, 3),
    "FROZENSET": lambda machine, _: machine.gather(frozenset),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.put_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.put_items(machine.pop_to_mark()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "BUILD": lambda machine, _: machine.fill(machine.pop()),
    "BINPERSID": lambda machine, _: machine.stack.append(Stored(machine.pop())),
}
