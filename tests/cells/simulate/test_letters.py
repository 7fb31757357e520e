"""Letters: their shape, what is random in them, and what pairs them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from helicell.cells import Populations
from helicell.cells.simulate.letters import (
    ALL_LETTERS,
    ALPHABET,
    COLUMNS,
    TWELVE_LETTERS,
    LetterSettings,
    letter_points,
    letters_anndata,
    simulate_letters,
    simulate_split,
)
from helicell.core.errors import InputError


def test_shapes_of_letters() -> None:
    """O is symmetric under both mirrors, A under one; an I is upright; the longer side of every letter is 6."""
    for letter in ALPHABET:
        points = letter_points(letter)
        extent = points.amax(dim=0) - points.amin(dim=0)
        assert extent.max().item() == pytest.approx(6.0, abs=1e-4)
        assert 300 < len(points) < 4000
    upright = letter_points("I")
    assert upright[:, 1].std() > 4 * upright[:, 0].std()
    top, bottom = (letter_points("A")[side(letter_points("A")[:, 1])] for side in (lambda y: y > 2, lambda y: y < -2))
    assert top[:, 0].std() < bottom[:, 0].std()  # A stands on its feet
    image = {tuple(p) for p in letter_points("O").mul(100).round().int().tolist()}
    assert np.mean([(-x, y) in image for x, y in image]) > 0.9


def test_paired_letters_are_the_letter_plus_noise() -> None:
    """Row i of the noisy population is row i of the letter plus Gaussian noise of the given width."""
    response = simulate_letters("E", rotations=1, noise=0.5)[0]
    residual = response.control - response.treated
    assert response.paired
    assert residual.std().item() == pytest.approx(0.5, rel=0.05)
    assert residual.mean(dim=0).abs().max() < 0.05


def test_unpaired_letters_are_drawn_independently() -> None:
    """Without pairs, rows have nothing to do with each other, while both populations keep their distributions."""
    response = simulate_letters("E", rotations=1, noise=0.5, paired=False)[0]
    assert not response.paired
    control, treated = response.control - response.control.mean(dim=0), response.treated - response.treated.mean(dim=0)
    correlation = (control * treated).mean(dim=0) / (control.std(dim=0) * treated.std(dim=0))
    assert correlation.abs().max() < 4 / math.sqrt(len(control))
    pairs = simulate_letters("E", rotations=1, noise=0.5)[0]
    covariances = [torch.cov(r.control.T).trace() for r in (response, pairs)]
    assert covariances[0].item() == pytest.approx(covariances[1].item(), rel=0.05)


def test_a_population_depends_on_seed_letter_and_number_alone() -> None:
    """Other letters and more rotations change nothing; the seed does; every rotation is another."""
    many = {r.key: r for r in simulate_letters("ABC", rotations=3)}
    for response in simulate_letters("CA", rotations=2):
        assert torch.equal(response.control, many[response.key].control)
    other = simulate_letters("A", rotations=1, seed=1)[0]
    assert not torch.equal(other.treated, many[other.key].treated)
    first, second = simulate_letters("A", rotations=2)
    assert not torch.allclose(torch.cov(first.treated.T), torch.cov(second.treated.T), atol=0.1)


def test_splits_are_the_published_ones() -> None:
    """24 letters train, X validates, Y tests; in the short one 12 letters train and X and Y test, 5 rotations each."""
    assert len(ALL_LETTERS.train) == 24
    assert set(ALL_LETTERS.train) | {"X", "Y"} == set(ALPHABET)
    train, validation, test = simulate_split(TWELVE_LETTERS)
    assert (len(train), len(validation), len(test)) == (120, 0, 10)
    assert {response.key.cell_type for response in test} == {"X", "Y"}
    assert not {response.key.cell_type for response in test} & {response.key.cell_type for response in train}


def test_as_anndata() -> None:
    """The table gives the same populations back, in files' usual columns."""
    responses = simulate_letters("XY", rotations=2, cells=300)
    back = {r.key: r for r in Populations.from_anndata(letters_anndata(responses), COLUMNS).responses()}
    assert len(back) == 4
    for response in responses:
        assert torch.equal(back[response.key].control, response.control)
        assert torch.equal(back[response.key].treated, response.treated)


def test_letters_that_cannot_be_drawn() -> None:
    """A space, too many cells and numbers out of range are refused."""
    cases = {
        "the letter ' ' draws nothing in DejaVu Sans": {"letters": " "},
        "has 1062 pixels, fewer than the 9999 cells asked for": {"letters": "Y", "cells": 9999},
        "letters: rotations is 0": {"letters": "Y", "rotations": 0},
        "letters: noise is -1": {"letters": "Y", "noise": -1.0},
    }
    for message, options in cases.items():
        with pytest.raises(InputError, match=re.escape(message)):
            simulate_letters(**options)
    with pytest.raises(InputError, match="expected one character"):
        letter_points("AB")
    assert LetterSettings(letters="I", rotations=1).simulate()[0].key.donor == "I0"
