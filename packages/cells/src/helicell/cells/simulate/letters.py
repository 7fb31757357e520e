"""Letters: populations of points in the plane that are noisy before the treatment and form a letter after it.

What a noisy point becomes depends on the letter it belongs to and on how that is turned, which only the population as
a whole tells. A model that sees single points can only move them towards the average letter. Letters that were not
trained on ask whether the embedding of populations generalises.

Points are the lit pixels of a letter of DejaVu Sans, a free font that comes with matplotlib, so there is nothing to
download. In the published benchmark, point i of the noisy population is point i of the letter plus noise, and training
uses those pairs (`paired=True`). Measured cells never come in pairs: with `paired=False`, the two populations are
drawn independently and shuffled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from helicell.cells.columns import Columns
from helicell.cells.responses import PopulationKey, Response
from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.runs.settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData

FONT_PIXELS = 100
HALF_WIDTH = 3.0  # of a letter, along its longer side
JITTER = 0.05  # breaks the grid of the pixels, whose spacing is about this
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOISY, CLEAN = "noisy", "clean"
COLUMNS = Columns(donor="population", condition="state", control=NOISY, cell_type="letter")
FEATURES = ("x", "y")


class LetterSettings(Settings):
    """What is simulated."""

    letters: str = Field(ALPHABET, min_length=1, description="which letters")
    rotations: int = Field(10, ge=1, description="populations a letter, each turned by an angle of its own")
    noise: float = Field(0.5, ge=0, description="standard deviation of the noise; a letter is 6 wide or high")
    paired: bool = Field(default=True, description="whether noisy point i becomes letter point i, or nothing says so")
    cells: int | None = Field(None, ge=1, description="points a population; unless given, every lit pixel")
    seed: int = Field(0, ge=0, description="of rotations, noise and draws")

    def simulate(self) -> list[Response]:
        """Return the responses; see `simulate_letters`."""
        return [_response(self, letter, number) for letter in self.letters for number in range(self.rotations)]


@dataclass(frozen=True, slots=True)
class LetterSplit:
    """Letters and number of rotations of training, validation and test."""

    train: str
    validation: str
    test: str
    rotations: int = 10
    held_out_rotations: int = 10


# As published: all other letters, X to validate, Y to test.
ALL_LETTERS = LetterSplit(train=ALPHABET.translate({ord("X"): None, ord("Y"): None}), validation="X", test="Y")
# Half of the letters, for comparisons in minutes; X and Y are both the test.
TWELVE_LETTERS = LetterSplit(train="ABDEGHKMQRSW", validation="", test="XY", held_out_rotations=5)
SPLITS = {"all": ALL_LETTERS, "twelve": TWELVE_LETTERS}


def simulate_letters(
    letters: Sequence[str],
    *,
    rotations: int = 10,
    noise: float = 0.5,
    paired: bool = True,
    cells: int | None = None,
    seed: int = 0,
) -> list[Response]:
    """Return the responses of turned letters.

    Parameters
    ----------
    letters
        Which; single characters of the font.
    rotations
        Populations a letter, each turned by an angle of its own.
    noise
        Standard deviation of what is added to the points of the noisy population; a letter is 6 wide or high.
    paired
        Whether row i of the noisy population is row i of the letter plus noise, or the two are independent.
    cells
        Points a population, drawn without repetition; unless given, every lit pixel.
    seed
        Rotation, noise and draws of a population depend on the seed, its letter and its number alone.

    Returns
    -------
    list of Response
        The control is the noisy population, the treated one the letter. In the key, the cell type is the letter, the
        donor letter and number.

    Raises
    ------
    InputError
        If a letter draws nothing, or has fewer pixels than `cells`, or a number is out of range.

    References
    ----------
    Atanackovic et al., Meta Flow Matching, arXiv 2408.14608, section 5.1.

    Examples
    --------
    >>> response = simulate_letters("A", rotations=1)[0]
    >>> str(response.key), response.control.shape == response.treated.shape
    ('A0 / A / clean', True)
    """
    settings = LetterSettings.from_mapping(
        {
            "letters": "".join(letters),
            "rotations": rotations,
            "noise": noise,
            "paired": paired,
            "cells": cells,
            "seed": seed,
        },
        source="letters",
    )
    return settings.simulate()


def simulate_split(
    split: LetterSplit, *, noise: float = 0.5, paired: bool = True, seed: int = 0
) -> tuple[list[Response], list[Response], list[Response]]:
    """Return the responses of training, validation and test; parameters as in `simulate_letters`."""
    sizes = (split.rotations, split.held_out_rotations, split.held_out_rotations)
    train, validation, test = (
        simulate_letters(letters, rotations=rotations, noise=noise, paired=paired, seed=seed) if letters else []
        for letters, rotations in zip((split.train, split.validation, split.test), sizes, strict=True)
    )
    return train, validation, test


def letter_points(letter: str) -> Tensor:
    """Return the points of an upright letter, shape [pixels, 2], the longer side from -3 to 3.

    Raises
    ------
    InputError
        If it is not one character, or draws nothing.
    """
    if len(letter) != 1:
        message = f"the letter is {letter!r}, expected one character"
        raise InputError(message)
    image = _bitmap(letter)
    if not image.any():
        message = f"the letter {letter!r} draws nothing in DejaVu Sans; choose others, such as A to Z"
        raise InputError(message)
    rows, columns = np.nonzero(image)
    points = torch.tensor(np.stack([columns, -rows], axis=1), dtype=torch.float32)
    low, high = points.amin(dim=0), points.amax(dim=0)
    half = ((high - low) / 2).max().clamp(min=1.0)
    return (points - (low + high) / 2) * (HALF_WIDTH / half)


def letters_anndata(responses: Sequence[Response]) -> AnnData:
    """Return the cells of responses of letters as AnnData; `COLUMNS` reads it."""
    from helicell.cells.tables import build_anndata

    parts, frames = [], []
    for response in responses:
        for state, points in ((NOISY, response.control), (CLEAN, response.treated)):
            parts.append(points.numpy())
            labels = {"population": response.key.donor, "letter": response.key.cell_type, "state": state}
            frames.append(pd.DataFrame(labels, index=range(len(points))))
    obs = pd.concat(frames, ignore_index=True).astype("category")
    return build_anndata(
        np.concatenate(parts),
        features=FEATURES,
        obs=obs,
        uns={"simulation": "letters", "paired": all(response.paired for response in responses)},
    )


def _response(settings: LetterSettings, letter: str, number: int) -> Response:
    noise, paired, cells = settings.noise, settings.paired, settings.cells
    generator = sample_generator(settings.seed, number, stream=f"letter {letter}")
    points = letter_points(letter)
    if cells is not None and cells > len(points):
        message = f"the letter {letter!r} has {len(points)} pixels, fewer than the {cells} cells asked for"
        raise InputError(message)
    angle = 2 * math.pi * torch.rand((), generator=generator)
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])

    def drawn() -> Tensor:
        chosen = points[torch.randperm(len(points), generator=generator)[:cells]]
        return (chosen + JITTER * torch.randn(chosen.shape, generator=generator)) @ rotation.T

    treated = drawn()
    control = treated if paired else drawn()
    control = control + noise * torch.randn(control.shape, generator=generator)
    key = PopulationKey(donor=f"{letter}{number}", condition=CLEAN, cell_type=letter)
    return Response(key=key, control=control, treated=treated, paired=paired)


@cache
def _bitmap(letter: str) -> np.ndarray:
    """Draw a letter without shades of grey."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")))
    font.set_size(FONT_PIXELS, 72)  # at 72 dots an inch, a point is a pixel
    font.set_text(letter)
    font.draw_glyphs_to_bitmap(antialiased=False)
    return np.asarray(font.get_image()) > 0
