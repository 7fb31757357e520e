"""Hold-outs: what is on which side, and what the command line takes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from anndata import AnnData

from helicell.cells import Columns, Populations, parse_holdout, split
from helicell.cells.splits import HeldOut, split_by_combination, split_by_condition, split_by_donor
from helicell.core.errors import InputError


@pytest.fixture
def populations(adata: AnnData, columns: Columns) -> Populations:
    """Return the populations of the small table."""
    return Populations.from_anndata(adata, columns)


def test_by_donor(populations: Populations, adata: AnnData) -> None:
    """Held-out donors share no cell with the training set, controls included."""
    train, test = split_by_donor(populations, ["A", "C"])
    assert train.donors == ("B",)
    assert test.donors == ("A", "C")
    assert set(adata.obs["donor"].iloc[train.used_rows()]) == {"B"}
    assert not set(train.used_rows()) & set(test.used_rows())


def test_by_condition_and_combination(populations: Populations) -> None:
    """Every population is on one side; no treated cell is on both."""
    splits = {
        "condition": split_by_condition(populations, ["y"]),
        "combination": split_by_combination(populations, [("A", "x"), ("B", "y")]),
    }
    for train, test in splits.values():
        assert sorted(map(str, [*train.keys, *test.keys])) == sorted(map(str, populations.keys))
        assert not {str(key) for key in train} & {str(key) for key in test}
        for key in test:
            treated = set(test.rows(key))
            assert not treated & set(train.used_rows())
    assert {(key.donor, key.condition) for key in splits["combination"][1]} == {("A", "x"), ("B", "y")}
    assert splits["condition"][0].conditions == ("x",)


def test_the_words_of_the_command_line(populations: Populations) -> None:
    """Each way to name a hold-out selects what its plain meaning says."""
    expected = {
        "donor=A,C": lambda key: key.donor in "AC",
        "condition=x": lambda key: key.condition == "x",
        "cell_type=T": lambda key: key.cell_type == "T",
        "combination=donor:A+condition:x,donor:B+cell_type:T": lambda key: (
            (key.donor, key.condition) == ("A", "x") or (key.donor, key.cell_type) == ("B", "T")
        ),
    }
    for text, chosen in expected.items():
        train, test = split(populations, parse_holdout(text))
        assert {str(key) for key in test} == {str(key) for key in populations if chosen(key)}
        assert len(train) + len(test) == len(populations)
    assert parse_holdout("combination=donor:A+condition:x+y") == [HeldOut(donor="A", condition="x+y")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("donor", "the hold-out is 'donor', expected for example donor=A,B"),
        ("donor=", "the hold-out is 'donor=', expected for example donor=A,B"),
        (
            "doner=A",
            "unknown hold-out 'doner' (did you mean 'donor'?); choose one of: donor, condition, cell_type, time",
        ),
        ("time=soon", "the time that is held out is 'soon', expected a number"),
        ("combination=A", "the combination is 'A', expected for example donor:A+condition:X"),
        ("combination=donor:A+donor:B", "the combination is 'donor:A+donor:B'"),
        ("combination=dose:1", "unknown part of a combination 'dose'"),
        ("donor=D", "unknown donor 'D'; choose one of: A, B, C"),
        ("cell_type=K", "unknown cell type 'K'; choose one of: B, T"),
        ("combination=donor:A+condition:z", "unknown condition 'z'"),
        ("donor=A,B,C", "all 12 populations of the AnnData object are held out; leave some to train on"),
    ],
)
def test_hold_outs_that_do_not_fit(populations: Populations, text: str, message: str) -> None:
    """What cannot be held out is answered in one line."""
    with pytest.raises(InputError, match=re.escape(message)):
        split(populations, parse_holdout(text))


def test_nothing_to_hold_out(populations: Populations) -> None:
    """An empty hold-out, and a combination that no cell has, are refused."""
    with pytest.raises(InputError, match="nothing is held out"):
        split(populations, [])
    part = populations.where(lambda key: (key.donor, key.condition) != ("A", "x"))
    with pytest.raises(InputError, match="no population is"):
        split_by_combination(part, [("A", "x")])


def test_the_sides_keep_the_order_of_all(populations: Populations) -> None:
    """Both sides list their populations in the order of the whole."""
    order = {str(key): position for position, key in enumerate(populations)}
    for side in split_by_donor(populations, ["B"]):
        assert np.all(np.diff([order[str(key)] for key in side]) > 0)
