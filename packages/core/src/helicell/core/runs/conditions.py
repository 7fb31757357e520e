"""Conditions that users write, such as "clashes == 0 and novelty < 0.6": read without ever running what was written.

The text is parsed as Python, and only a few kinds of expression are let through: names from a given list, numbers,
arithmetic (+ - * /), comparisons, `and`, `or`, `not`. There are no calls, attributes, subscripts, strings or powers, so
a condition can neither reach anything nor take long. It is judged from left to right and no further than needed, so a
measure that is costly to take belongs at the end.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Self

from helicell.core.errors import InputError, suggestion

__all__ = ["Condition"]

# Far more than anybody writes by hand, far less than Python could not follow.
LONGEST = 2000
DEEPEST = 50

COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# What is divided by zero is not a number, with which every comparison but != fails.
ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b if b else math.nan,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on named numbers.

    Parameters
    ----------
    text
        As it was written.
    names
        The names in it.

    Examples
    --------
    >>> condition = Condition.parse("clashes == 0 and 0.3 < helix <= 0.6", ["clashes", "helix"])
    >>> condition({"clashes": 0, "helix": 0.5})
    True
    >>> Condition.parse("clashs == 0", ["clashes", "helix"])
    Traceback (most recent call last):
    helicell.core.errors.InputError: the condition 'clashs == 0' names 'clashs' (did you mean 'clashes'?); known: \
clashes, helix
    """

    text: str
    names: frozenset[str]
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str, known: Collection[str]) -> Self:
        """Read a condition.

        Parameters
        ----------
        text
            The condition.
        known
            The names that may stand in it.

        Raises
        ------
        InputError
            If it cannot be read, holds anything that is not allowed, or names something unknown.
        """
        if len(text) > LONGEST:
            message = f"the condition has {len(text)} characters, at most {LONGEST} are read; write a shorter one"
            raise InputError(message)
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            message = f"cannot read the condition {text!r}; write for example: {_example(known)}"
            raise InputError(message) from error
        names = set[str]()
        if not _check(tree, text, known, names):
            message = f"the condition {text!r} is a number and not yes or no; compare it, as in: {_example(known)}"
            raise InputError(message)
        return cls(text, frozenset(names), tree)

    def __call__(self, values: Mapping[str, float]) -> bool:
        """Judge numbers by name; only the names that decide are looked up, from left to right."""
        return bool(_judge(self._tree, values))


def _check(tree: ast.expr, text: str, known: Collection[str], names: set[str], *, depth: int = 0) -> bool:
    """Check an expression, gather its names, and tell whether it is true or false rather than a number."""
    if depth > DEEPEST:
        message = f"the condition {text[:60]!r}... is nested more than {DEEPEST} deep; write it flatter"
        raise InputError(message)

    def need(part: ast.expr, *, truth: bool) -> None:
        if _check(part, text, known, names, depth=depth + 1) != truth:
            expected = "true or false" if truth else "a number"
            message = f"in the condition {text!r}, {ast.unparse(part)!r} is not {expected}; see: {_example(known)}"
            raise InputError(message)

    match tree:
        case ast.BoolOp(values=parts):
            for part in parts:
                need(part, truth=True)
            return True
        case ast.UnaryOp(op=ast.Not(), operand=part):
            need(part, truth=True)
            return True
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
            for part in (left, *others):
                need(part, truth=False)
            return True
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            need(left, truth=False)
            need(right, truth=False)
            return False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=part):
            need(part, truth=False)
            return False
        case ast.Constant(value=value) if type(value) in (int, float):
            return False
        case ast.Name(id=name):
            if name not in known:
                listed = ", ".join(known)
                message = f"the condition {text!r} names {name!r}{suggestion(name, known)}; known: {listed}"
                raise InputError(message)
            names.add(name)
            return False
    message = (
        f"the condition {text!r} holds {ast.unparse(tree)!r}; allowed are names, numbers, + - * /, comparisons, "
        "and, or, not"
    )
    raise InputError(message)


def _judge(tree: ast.expr, values: Mapping[str, float]) -> float | bool:
    match tree:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_judge(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_judge(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _judge(part, values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            first = _judge(left, values)
            for op, other in zip(ops, others, strict=True):
                second = _judge(other, values)
                if not COMPARISONS[type(op)](first, second):
                    return False
                first = second
            return True
        case ast.BinOp(left=left, op=operation, right=right):
            return ARITHMETIC[type(operation)](_judge(left, values), _judge(right, values))
        case ast.UnaryOp(op=sign, operand=part):
            value = _judge(part, values)
            return -value if isinstance(sign, ast.USub) else value
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=float() | int() as value):
            return value
    message = f"cannot judge {ast.dump(tree)}"
    raise TypeError(message)


def _example(known: Collection[str]) -> str:
    first, second = (list(known) * 2)[:2] if known else ("a", "b")
    return f"{first} == 0 and {second} < 0.6"
