"""A table of visits, and settings with which flows are learned quickly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from helicell.cells.settings import EncoderSettings, FieldSettings
from helicell.cells.timecourse import TimeColumns, TimeFlowSettings
from helicell.core.training.settings import OptimiserSettings
from timecourses import TIMES


@pytest.fixture(scope="session")
def quick() -> TimeFlowSettings:
    """Return settings of a small network and few steps."""
    return TimeFlowSettings(
        field=FieldSettings(width=32, layers=2),
        optimiser=OptimiserSettings(steps=250, warm_up=20, learning_rate=5e-3, decay_share=0.5, average_decay=0.95),
        cells=64,
        rows=4,
        coupling="transport",
        encoder=EncoderSettings(kind="index", width=8),
    )


@pytest.fixture
def time_columns() -> TimeColumns:
    """Return the columns of `visits`."""
    return TimeColumns(donor="donor", time="day")


@pytest.fixture
def visits() -> AnnData:
    """Return the measurements of 2 donors at 4 days, 30 cells each, in random order."""
    rng = np.random.default_rng(0)
    labels = [(donor, day) for donor in "AB" for day in TIMES for _ in range(30)]
    obs = pd.DataFrame(labels, columns=["donor", "day"])
    values = rng.normal(size=(len(obs), 3)) + obs["day"].to_numpy()[:, None] * np.array([1.0, -0.5, 0.0]) + 5
    order = rng.permutation(len(obs))
    obs = obs.iloc[order].set_index(pd.Index([f"cell{number}" for number in range(len(obs))]))
    return AnnData(values[order].astype(np.float32), obs=obs, var=pd.DataFrame(index=["CD3", "CD4", "SSC"]))
