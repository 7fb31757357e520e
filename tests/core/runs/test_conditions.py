"""Conditions that users write: judged as Python would judge them, and nothing but numbers and names gets through."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicell.core.errors import InputError
from helicell.core.runs.conditions import Condition

NAMES = ("clashes", "helix", "rg")
numbers = st.one_of(st.integers(-3, 3), st.floats(-3, 3, allow_nan=False))


def expressions() -> st.SearchStrategy[str]:
    """Draw conditions of every kind that is allowed."""
    terms = st.recursive(
        st.one_of(st.sampled_from(NAMES), numbers.map(lambda value: f"({value!r})")),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({' '.join(parts)})"),
            inner.map(lambda part: f"(-{part})"),
        ),
        max_leaves=4,
    )
    sign = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    compared = st.one_of(
        st.tuples(terms, sign, terms).map(" ".join), st.tuples(terms, sign, terms, sign, terms).map(" ".join)
    )
    return st.recursive(
        compared,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
            inner.map(lambda part: f"not ({part})"),
        ),
        max_leaves=5,
    )


@given(expressions(), st.fixed_dictionaries(dict.fromkeys(NAMES, numbers)))
def test_conditions_are_judged_as_python_judges_them(text, values):
    """Oracle: Python itself, on random conditions of every allowed kind."""
    assert Condition.parse(text, NAMES)(values) is bool(eval(text, {"__builtins__": {}}, values))  # noqa: S307


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "helix.real > 0",
        "helix[0] > 0",
        "(lambda: 1)() > 0",
        "helix ** 9 > 0",
        "helix % 2 == 0",
        "helix == 'x'",
        "helix is 0",
        "helix in (1, 2)",
        "[x for x in (1,)] == 1",
        "(helix := 3) > 2",
        "helix > 1j",
        "helix == None",
        "helix == True",
        "1 if helix else 0",
        "~1 > helix",
        "f'{helix}' == 1",
    ],
)
def test_nothing_else_gets_through(text):
    """Calls, attributes, strings, powers and the rest are refused, and the line says what is allowed."""
    with pytest.raises(InputError, match="allowed are names, numbers"):
        Condition.parse(text, NAMES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot read the condition"),
        ("helix >", "cannot read the condition"),
        ("helix = 3", "cannot read the condition"),
        ("helix > 1; rg > 2", "cannot read the condition"),
        ("helix", "is a number and not yes or no"),
        ("helix and rg > 3", "'helix' is not true or false"),
        ("(helix > 3) + 1 > 2", "'helix > 3' is not a number"),
        ("not helix", "'helix' is not true or false"),
        ("hellix > 3", r"'hellix' \(did you mean 'helix'\?\); known: clashes, helix, rg"),
        ("1" * 2001, "at most 2000"),
        ("-" * 1900 + "1 > 0", "nested more than 50 deep"),
        ("not " * 60 + "1 > 0", "nested more than 50 deep"),
    ],
)
def test_mistakes_are_told_in_one_line(text, told):
    """The line quotes the condition and says what is wrong with it."""
    with pytest.raises(InputError, match=told) as caught:
        Condition.parse(text, NAMES)
    assert "\n" not in str(caught.value)


def test_only_what_decides_is_looked_up():
    """From left to right and no further than needed, so that a costly measure can stand last."""
    condition = Condition.parse("clashes == 0 and helix > 0.2", NAMES)
    assert condition.names == {"clashes", "helix"}
    assert not condition({"clashes": 1})
    with pytest.raises(KeyError):
        condition({"clashes": 0})


def test_what_is_no_number_passes_no_comparison():
    """A measure that could not be taken, or a division by zero, passes neither a bound above nor one below."""
    for text in ("helix > 0", "helix <= 0", "helix == 0", "1 / rg > 0", "1 / rg <= 0"):
        assert not Condition.parse(text, NAMES)({"helix": math.nan, "rg": 0.0})
