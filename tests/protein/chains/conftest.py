"""Chains for the tests of the store and what fills it."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from helicell.protein.structures import Chain

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def draw_chain(rng: np.random.Generator, length: int, *, name: str = "chain", centre: float = 0.0) -> Chain:
    """Draw a random walk with peptide bonds of natural length and random letters and states."""
    steps = rng.normal(size=(length, 3, 3))
    steps *= (np.array([1.330, 1.460, 1.525]) / np.linalg.norm(steps, axis=-1))[..., None]
    main = centre + np.cumsum(steps.reshape(-1, 3), axis=0).reshape(length, 3, 3)
    oxygen = main[:, 2:] + rng.normal(size=(length, 1, 3)) * 0.5
    coordinates = np.concatenate([main, oxygen], axis=1).astype(np.float32)
    sequence = "".join(rng.choice(list(LETTERS), length))
    return Chain(name, coordinates, sequence, "".join(rng.choice(list("HEC"), length)))


@pytest.fixture
def random_chain() -> Callable[..., Chain]:
    """Return a function that draws a chain: (generator, length, name=, centre=)."""
    return draw_chain


@pytest.fixture
def chains() -> list[Chain]:
    """Return twelve random chains of 5-60 residues."""
    rng = np.random.default_rng(3)
    return [draw_chain(rng, int(rng.integers(5, 60)), name=f"chain {index}") for index in range(12)]


@pytest.fixture(scope="session")
def entries() -> Path:
    """Return a folder with the PDB entries 2GTL and 7OK9, each as PDB and mmCIF (they come with tmtools)."""
    return Path(str(resources.files("tmtools") / "data"))
