"""Populations: which cells belong together, what is never changed, and what is said about tables that do not fit."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

from helicell.cells import Columns, PopulationKey, Populations, read_populations
from helicell.cells.tables import write_anndata
from helicell.core.errors import InputError


def rows_of(adata: AnnData, **labels: str) -> np.ndarray:
    """Return the rows with these labels, the plain way."""
    return np.flatnonzero(np.all([adata.obs[name] == value for name, value in labels.items()], axis=0))


def test_populations_are_the_groups_of_pandas(adata: AnnData, columns: Columns) -> None:
    """Every key holds the rows that a plain comparison of labels finds, and its control those of donor and type."""
    populations = Populations.from_anndata(adata, columns)
    assert len(populations) == 3 * 2 * 2
    assert populations.donors == ("A", "B", "C")
    assert populations.conditions == ("x", "y")
    assert populations.cell_types == ("B", "T")
    for key in populations:
        labels = {"donor": key.donor, "type": key.cell_type}
        assert np.array_equal(populations.rows(key), rows_of(adata, drug=key.condition, **labels))
        assert np.array_equal(populations.control_rows(key), rows_of(adata, drug="none", **labels))
    assert len(populations.used_rows()) == adata.n_obs
    assert np.array_equal(populations.matrix([3, 1]), adata.X[[3, 1]])


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_files_give_the_same_populations(adata: AnnData, columns: Columns, ending: str, tmp_path: Path) -> None:
    """A file, read block by block, and sparse numbers give the responses of the object in memory."""
    expected = Populations.from_anndata(adata, columns).responses(cells=7, seed=1)
    adata.X = csr_matrix(adata.X)
    write_anndata(tmp_path / f"cells.{ending}", adata)
    responses = read_populations(tmp_path / f"cells.{ending}", columns).responses(cells=7, seed=1)
    for given, wanted in zip(responses, expected, strict=True):
        assert given.key == wanted.key
        assert torch.equal(given.control, wanted.control)
        assert torch.equal(given.treated, wanted.treated)


def test_nothing_is_changed(adata: AnnData, columns: Columns) -> None:
    """The object that was given is the same afterwards, also in its types."""
    before = adata.copy()
    Populations.from_anndata(adata, columns).responses(cells=5)
    assert np.array_equal(adata.X, before.X)
    assert adata.X.dtype == before.X.dtype
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert adata.uns == before.uns
    assert list(adata.obsm) == list(before.obsm)


def test_a_draw_depends_on_its_population_alone(adata: AnnData, columns: Columns) -> None:
    """Which cells of a population are drawn depends on the seed, not on which other populations there are."""
    populations = Populations.from_anndata(adata, columns)
    every = {response.key: response for response in populations.responses(cells=5, seed=3)}
    for response in populations.select(donors=["B"], conditions=["x"]).responses(cells=5, seed=3):
        assert torch.equal(response.control, every[response.key].control)
        assert torch.equal(response.treated, every[response.key].treated)
    other = populations.responses(cells=5, seed=4)[0]
    assert not torch.equal(other.treated, every[other.key].treated)
    assert other.treated.shape == (5, 5)


def test_conditions_share_the_control(adata: AnnData, columns: Columns) -> None:
    """The control of several conditions is one tensor, so a graph or an embedding of it is made once."""
    x, y = Populations.from_anndata(adata, columns).select(donors=["A"], cell_types=["T"]).responses()
    assert x.control is y.control


def test_doses_and_times_tell_populations_apart(adata: AnnData) -> None:
    """With a dose and a time there are as many populations more, and a control of the same time is preferred."""
    adata.obs["day"] = np.arange(adata.n_obs) % 2
    columns = Columns(donor="donor", condition="drug", control="none", dose="dose", time="day")
    populations = Populations.from_anndata(adata, columns, minimum_cells=2)
    assert {(key.condition, key.dose) for key in populations} == {("x", 1.0), ("y", 2.0)}
    key = PopulationKey(donor="A", condition="y", dose=2.0, time=1.0)
    assert np.all(adata.obs["day"].to_numpy()[populations.control_rows(key)] == 1)
    adata.obs["day"] = np.where(adata.obs["drug"] == "none", 0, 5)
    populations = Populations.from_anndata(adata, columns)
    key = PopulationKey(donor="A", condition="y", dose=2.0, time=5.0)
    assert np.array_equal(populations.control_rows(key), rows_of(adata, donor="A", drug="none"))


def test_selection(adata: AnnData, columns: Columns) -> None:
    """A selection holds its own populations and their controls, and no cell of another donor."""
    populations = Populations.from_anndata(adata, columns)
    part = populations.select(donors=["A", "C"], cell_types=["T"])
    assert {(key.donor, key.cell_type) for key in part} == set(part.controls) == {("A", "T"), ("C", "T")}
    assert set(adata.obs["donor"].iloc[part.used_rows()]) == {"A", "C"}
    with pytest.raises(InputError, match="unknown donor 'D'; choose one of: A, B, C"):
        populations.select(donors=["D"])
    with pytest.raises(InputError, match="unknown population 'A / T / z'"):
        populations.rows(PopulationKey(donor="A", condition="z", cell_type="T"))


def test_small_populations(adata: AnnData, columns: Columns, caplog: pytest.LogCaptureFixture) -> None:
    """A population of 3 cells is refused by name; asked to, it is left out and that is said."""
    rows = rows_of(adata, donor="B", drug="x", type="T")
    keep = np.setdiff1d(np.arange(adata.n_obs), rows[3:])
    with pytest.raises(InputError, match=r"B / T / x \(20 control and 3 treated cells\) .* fewer than 10 cells a side"):
        Populations.from_anndata(adata[keep], columns)
    with caplog.at_level(logging.INFO, logger="helicell"):
        populations = Populations.from_anndata(adata[keep], columns, minimum_cells=10)
    assert len(populations) == 11
    assert "left out B / T / x" in caplog.text
    assert len(Populations.from_anndata(adata[keep], columns, minimum_cells=3)) == 12
    # Fifteen cells pass the first check and can still be left out later.
    assert len(populations.responses(minimum_cells=21)) == 0
    with pytest.raises(InputError, match="fewer than 21 cells a side"):
        Populations.from_anndata(adata, columns, minimum_cells=21)
    with pytest.raises(InputError, match="minimum_cells is 0, expected 1 or more"):
        Populations.from_anndata(adata, columns, minimum_cells=0)


def test_a_population_without_any_control_cell(adata: AnnData, columns: Columns) -> None:
    """A cell type that a donor has only after treatment counts as a population of 0 control cells."""
    keep = np.setdiff1d(np.arange(adata.n_obs), rows_of(adata, donor="A", drug="none", type="T"))
    with pytest.raises(InputError, match=r"A / T / x \(0 control and 20 treated cells\) and 1 more populations"):
        Populations.from_anndata(adata[keep], columns)
    assert len(Populations.from_anndata(adata[keep], columns, minimum_cells=1)) == 10


def test_donors_without_control(adata: AnnData, columns: Columns) -> None:
    """Treated donors without a control are named, whatever the least number of cells."""
    keep = np.flatnonzero((adata.obs["drug"] != "none") | (adata.obs["donor"] == "A"))
    message = "no control cells (drug = none) of the donor B, C in the AnnData object"
    for minimum in (None, 5):
        with pytest.raises(InputError, match=re.escape(message)):
            Populations.from_anndata(adata[keep], columns, minimum_cells=minimum)


def test_tables_that_do_not_fit(adata: AnnData, columns: Columns) -> None:
    """Missing columns, labels, controls and treatments get one line each, which names what is wrong."""

    def refused(message: str, changed: AnnData, **update: object) -> None:
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            Populations.from_anndata(changed, columns.model_copy(update=update))
        assert "\n" not in str(caught.value)

    refused("no column 'patient' in obs; it has: donor, drug, type, dose", adata, donor="patient")
    refused("no column 'Type' in obs (did you mean 'type'?)", adata, cell_type="Type")
    refused("unknown control condition in the column 'drug' of the AnnData object: 'DMSO'", adata, control="DMSO")
    refused("lacks 1 of 1 features: CD3", adata, features=("CD3",))
    refused("has no layer 'counts'", adata, layer="counts")
    refused("all cells of the AnnData object are controls (drug = none)", adata[rows_of(adata, drug="none")])
    refused("the AnnData object holds no cells", adata[:0])
    adata.obs["dose"] = adata.obs["dose"].astype(str).replace("2.0", "high")
    refused("the column 'dose' of the AnnData object holds 'high', expected a number", adata, dose="dose")
    adata.obs["donor"] = adata.obs["donor"].replace("A", None)
    refused("the column 'donor' of the AnnData object is empty for 120 cells", adata)


def test_numbers_are_checked_before_anything_is_trained(adata: AnnData, columns: Columns) -> None:
    """A missing number is found when the populations are made, also one of a held-out donor."""
    adata.X[5, 1] = np.nan
    with pytest.raises(InputError, match="'gene1' of cell 'cell5' of the AnnData object is nan"):
        Populations.from_anndata(adata, columns)
    assert len(Populations.from_anndata(adata, columns.model_copy(update={"features": ("gene0",)}))) == 12


def test_blood_of_eight_donors(data_dir: Path) -> None:
    """The real file, read from disk, has the 54 pairs of donor and named cell type that its description counts."""
    columns = Columns(donor="donor", condition="condition", control="Ref", cell_type="cell_type")
    populations = read_populations(data_dir / "cells" / "bcrxl_cytof_8donor.h5ad", columns, minimum_cells=60)
    assert populations.conditions == ("BCRXL",)
    assert len(populations.donors) == 8
    assert all(min(len(populations.rows(k)), len(populations.control_rows(k))) >= 60 for k in populations)
    named = [name for name in populations.cell_types if name not in ("other", "surface-")]
    assert len(populations.select(cell_types=named)) == 54
