"""Preprocessing: equal to scanpy and to plain formulas, undone by its inverse, restored bit by bit, no leakage."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scanpy
import torch
from anndata import AnnData
from safetensors.torch import load_file, save_file

from helicell.cells import Columns, Populations, Preprocessing, PreprocessingSettings, tables
from helicell.cells import preprocessing as module
from helicell.cells.splits import split_by_donor
from helicell.core.errors import InputError

SETTINGS = [
    PreprocessingSettings(kind="none"),
    PreprocessingSettings(kind="none", scale="none"),
    PreprocessingSettings(kind="arcsinh"),
    PreprocessingSettings(kind="arcsinh", cofactor=150, scale="each", components=3),
    PreprocessingSettings(kind="counts"),
    PreprocessingSettings(kind="counts", target_sum=1e4, highly_variable=4, components=3, scale="each"),
]


@pytest.fixture
def populations(adata: AnnData, columns: Columns) -> Populations:
    """Return the populations of the small table."""
    return Populations.from_anndata(adata, columns)


def test_arcsinh_and_one_scale(populations: Populations, adata: AnnData) -> None:
    """Cytometry is arcsinh(x / 5), minus the mean, divided by one number: the mean of the standard deviations."""
    fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), populations)
    plain = np.arcsinh(adata.X.astype(float) / 5)
    expected = (plain - plain.mean(axis=0)) / plain.std(axis=0).mean()
    np.testing.assert_allclose(fitted.transform(adata.X), expected, atol=1e-5)
    assert fitted.fitted_on == {"cells": adata.n_obs, "donors": ["A", "B", "C"]}


def test_counts_as_scanpy_does_them(populations: Populations, adata: AnnData) -> None:
    """Normalised counts, variable genes and components are those of the usual calls of scanpy, up to signs."""
    settings = PreprocessingSettings(kind="counts", highly_variable=4, components=2, scale="none")
    fitted = Preprocessing.fit(settings, populations)
    usual = adata.copy()
    usual.X = usual.X.astype(np.float64)
    scanpy.pp.normalize_total(usual)
    scanpy.pp.log1p(usual)
    scanpy.pp.highly_variable_genes(usual, n_top_genes=4, flavor="seurat")
    assert fitted.kept_features == tuple(usual.var_names[usual.var["highly_variable"]])
    scanpy.pp.pca(usual, n_comps=2, mask_var="highly_variable", svd_solver="arpack", dtype="float64")
    ours, theirs = fitted.transform(adata.X), usual.obsm["X_pca"]
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-4)


def test_counts_without_components_are_normalised_logarithms(populations: Populations, adata: AnnData) -> None:
    """With a target sum of its own, each cell's counts add up to it before the logarithm."""
    settings = PreprocessingSettings(kind="counts", target_sum=1e4, scale="none")
    transformed = Preprocessing.fit(settings, populations).transform(adata.X)
    np.testing.assert_allclose(np.expm1(transformed.astype(float)).sum(axis=1), 1e4, rtol=1e-5)


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s.components is None])
def test_the_inverse_undoes_the_transform(
    settings: PreprocessingSettings, populations: Populations, adata: AnnData
) -> None:
    """Without components, measurements come back; counts with the totals of their cells."""
    fitted = Preprocessing.fit(settings, populations)
    totals = adata.X.sum(axis=1) if settings.kind == "counts" else None
    np.testing.assert_allclose(fitted.inverse(fitted.transform(adata.X), totals=totals), adata.X, atol=2e-4)


def test_the_inverse_of_components_is_the_projection(populations: Populations, adata: AnnData) -> None:
    """With components, the way there, back and there again ends where the first way there did."""
    for settings in (PreprocessingSettings(kind="arcsinh", components=3), PreprocessingSettings(components=2)):
        fitted = Preprocessing.fit(settings, populations)
        once = fitted.transform(adata.X)
        np.testing.assert_allclose(fitted.transform(fitted.inverse(once)), once, atol=1e-4)


def test_predicted_counts_are_never_negative(populations: Populations) -> None:
    """A point of the model's space that no cell has still comes back as counts."""
    fitted = Preprocessing.fit(PreprocessingSettings(kind="counts", components=2), populations)
    assert (fitted.inverse(np.array([[50.0, -50.0], [-50.0, 50.0]])) >= 0).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_restored_to_the_same_bits(
    settings: PreprocessingSettings, populations: Populations, adata: AnnData, tmp_path: Path
) -> None:
    """Through a safetensors file and a card, both directions give exactly the same numbers."""
    fitted = Preprocessing.fit(settings, populations)
    save_file(fitted.state(), tmp_path / "state.safetensors")
    restored = Preprocessing.from_state(load_file(tmp_path / "state.safetensors"), fitted.describe())
    once = fitted.transform(adata.X)
    assert np.array_equal(restored.transform(adata.X), once)
    assert np.array_equal(restored.inverse(once), fitted.inverse(once))
    assert restored.settings == settings
    assert restored.describe() == fitted.describe()


@pytest.mark.parametrize("settings", SETTINGS)
def test_held_out_donors_do_not_leak(settings: PreprocessingSettings, adata: AnnData, columns: Columns) -> None:
    """Whatever a held-out donor's cells measure, what is fitted to the others is the same to the last bit."""
    fitted = Preprocessing.fit(settings, split_by_donor(Populations.from_anndata(adata, columns), ["C"])[0])
    held_out = (adata.obs["donor"] == "C").to_numpy()
    adata.X[held_out] = 7 * adata.X[held_out] + 3
    again = Preprocessing.fit(settings, split_by_donor(Populations.from_anndata(adata, columns), ["C"])[0])
    for name, value in fitted.state().items():
        assert torch.equal(value, again.state()[name]), name
    assert fitted.fitted_on["donors"] == ["A", "B"]
    # The check has teeth: fitted to everybody, the same change shows.
    leaky = Preprocessing.fit(settings, Populations.from_anndata(adata, columns)).state()
    if settings.scale != "none":
        assert not torch.equal(leaky["centre"], fitted.state()["centre"])


def test_held_out_conditions_do_not_leak(adata: AnnData, columns: Columns) -> None:
    """A held-out treatment's cells are not fitted to, although their donors' controls are."""
    train = Populations.from_anndata(adata, columns).select(conditions=["x"])
    fitted = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), train)
    seen = adata.X[(adata.obs["drug"] != "y").to_numpy()]
    np.testing.assert_allclose(fitted.centre, np.arcsinh(seen / 5.0).mean(axis=0), rtol=1e-6)


def test_large_tables_are_fitted_in_pieces(
    populations: Populations, adata: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in small chunks, and with components found from a part of the cells, moments are those of all cells."""
    whole = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), populations)
    monkeypatch.setattr(tables, "CHUNK_ROWS", 37)
    monkeypatch.setattr(module, "FIT_CELLS", 100)
    pieces = Preprocessing.fit(PreprocessingSettings(kind="arcsinh"), populations)
    np.testing.assert_allclose(pieces.centre, whole.centre, rtol=1e-12)
    np.testing.assert_allclose(pieces.spread, whole.spread, rtol=1e-12)
    fitted = Preprocessing.fit(PreprocessingSettings(components=2, scale="each"), populations)
    np.testing.assert_allclose(fitted.transform(adata.X).std(axis=0), 1.0, rtol=1e-4)


def test_features_that_do_not_vary(adata: AnnData, columns: Columns) -> None:
    """A constant feature is centred and left at that; if all are constant, that is an error."""
    adata.X[:, 0] = 4.0
    fitted = Preprocessing.fit(PreprocessingSettings(scale="each"), Populations.from_anndata(adata, columns))
    assert np.abs(fitted.transform(adata.X)[:, 0]).max() == 0
    adata.X[:] = 4.0
    with pytest.raises(InputError, match="no feature varies among the training cells"):
        Preprocessing.fit(PreprocessingSettings(), Populations.from_anndata(adata, columns))
    adata.X[:] = 0.0
    with pytest.raises(InputError, match="all counts are 0"):
        Preprocessing.fit(PreprocessingSettings(kind="counts"), Populations.from_anndata(adata, columns))


def test_cells_without_counts(populations: Populations) -> None:
    """A cell of zero counts stays at zero instead of becoming NaN."""
    fitted = Preprocessing.fit(PreprocessingSettings(kind="counts", scale="none"), populations)
    assert np.array_equal(fitted.transform(np.zeros((1, 5))), np.zeros((1, 5)))


def test_input_that_does_not_fit(adata: AnnData, columns: Columns, populations: Populations) -> None:
    """Negative counts, wrong widths and impossible settings are each answered in one line."""
    counts = PreprocessingSettings(kind="counts")
    fitted = Preprocessing.fit(counts, populations)
    with pytest.raises(InputError, match=re.escape("shape [2, 4], expected [cells, 5 features]: gene0, gene1")):
        fitted.transform(np.ones((2, 4)))
    with pytest.raises(InputError, match=re.escape("shape [5], expected [cells, 5 dimensions]")):
        fitted.inverse(np.ones(5))
    with pytest.raises(InputError, match="a count of 'gene3' is -1, expected 0 or more"):
        fitted.transform(np.array([[1.0, 2, 3, -1, 0]]))
    for settings, message in {
        PreprocessingSettings(kind="counts", highly_variable=6): "highly_variable is 6, but there are only 5 features",
        PreprocessingSettings(components=5): "components is 5, but 360 cells with 5 features have at most 4",
    }.items():
        with pytest.raises(InputError, match=message):
            Preprocessing.fit(settings, populations)
    adata.X[3, 3] = -2
    with pytest.raises(InputError, match="a count of 'gene3' is -2, expected 0 or more"):
        Preprocessing.fit(counts, Populations.from_anndata(adata, columns))
    with pytest.raises(InputError, match="highly_variable needs counts, the kind is arcsinh"):
        PreprocessingSettings.from_mapping({"kind": "arcsinh", "highly_variable": 3})


def test_identity(adata: AnnData) -> None:
    """The preprocessing that does nothing gives back what it gets."""
    nothing = Preprocessing.identity(list(adata.var_names))
    assert np.array_equal(nothing.transform(adata.X), adata.X)
    assert np.array_equal(nothing.inverse(adata.X), adata.X)


def test_glioblastoma_counts(data_dir: Path) -> None:
    """Real counts in 20 components: the scale is one number, and a held-out patient is not in the fit."""
    columns = Columns(donor="donor", condition="condition", control="ctrl")
    path = data_dir / "cells" / "glioblastoma_panobinostat.h5ad"
    from helicell.cells import read_populations

    train, test = split_by_donor(read_populations(path, columns), ["PW030"])
    fitted = Preprocessing.fit(PreprocessingSettings(kind="counts", components=20), train)
    values = np.concatenate([response.treated.numpy() for response in test.responses(fitted)])
    assert values.shape == (500, 20)
    assert np.unique(fitted.spread).size == 1
    assert "PW030" not in fitted.fitted_on["donors"]
    assert fitted.fitted_on["cells"] == 4000
