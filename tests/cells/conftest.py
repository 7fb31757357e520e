"""A small table of cells that tests of populations share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from helicell.cells import Columns

CELLS = 20


@pytest.fixture
def columns() -> Columns:
    """Return the columns of `adata`."""
    return Columns(donor="donor", condition="drug", control="none", cell_type="type")


@pytest.fixture
def adata() -> AnnData:
    """Return counts of 5 genes of 3 donors x 3 conditions x 2 cell types, 20 cells each, in random order."""
    rng = np.random.default_rng(0)
    labels = [(d, c, t) for d in "ABC" for c in ("none", "x", "y") for t in ("T", "B") for _ in range(CELLS)]
    obs = pd.DataFrame(labels, columns=["donor", "drug", "type"])
    obs["dose"] = np.where(obs["drug"] == "y", 2.0, 1.0)
    # Donors, drugs and types differ in their means, so that a mix-up shows.
    rates = 3.0 + obs["donor"].map(dict(zip("ABC", (0, 1, 5), strict=True))).to_numpy()[:, None] + np.arange(5.0)
    obs = obs.iloc[rng.permutation(len(obs))]
    counts = rng.poisson(rates[obs.index]).astype(np.float32)
    obs.index = [f"cell{number}" for number in range(len(obs))]
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"gene{number}" for number in range(5)]))
