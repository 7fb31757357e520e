"""Prediction into a file: the same cells as in memory, a block at a time."""

import numpy as np
import pytest

from helicell.cells import PopulationFlow, PopulationFlowSettings, Populations, predicting, tables
from helicell.cells.predicting import move, predict, predict_to_file
from helicell.cells.tables import read_anndata
from helicell.core.errors import InputError

SETTINGS = {
    "optimiser": {"steps": 3, "warm_up": 1},
    "field": {"width": 16, "layers": 2},
    "coupling": {"pool": 16},
    "calibration": {"kind": "none"},
}


@pytest.fixture
def model(adata, columns):
    """Return a hardly trained model of the shared table."""
    return PopulationFlow.fit(Populations.from_anndata(adata, columns), PopulationFlowSettings.from_mapping(SETTINGS))


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_file_holds_what_memory_does(model, adata, tmp_path, monkeypatch, ending):
    """Values, labels, names, coordinates and origin are equal, whatever the size of the blocks."""
    expected = predict(model, adata, "x", seed=3)
    monkeypatch.setattr(predicting, "CHUNK_ROWS", 50)
    monkeypatch.setattr(tables, "CHUNK_NUMBERS", 150)
    path = tmp_path / f"predicted.{ending}"
    assert predict_to_file(model, adata, "x", path, seed=3) == expected.shape
    written = read_anndata(path)
    assert np.array_equal(written.X, expected.X)
    assert written.X.dtype == expected.X.dtype == np.float32
    assert written.obs.astype(str).equals(expected.obs.astype(str))
    assert written.var_names.equals(expected.var_names)
    assert np.array_equal(written.obsm["X_helicell"], expected.obsm["X_helicell"])
    assert dict(written.uns) == dict(expected.uns)
    if ending == "zarr":
        with pytest.raises(InputError, match="exists"):
            predict_to_file(model, adata, "x", path)


def test_measured_features_come_in_blocks(model, adata, monkeypatch):
    """No block has more rows than the limit, and together they are all cells."""
    monkeypatch.setattr(predicting, "CHUNK_ROWS", 50)
    moved = move(model, adata, "x")
    assert [len(block) for block in moved.measured()] == [50, 50, 20]


def test_nothing_is_left_of_a_file_that_failed(model, adata, tmp_path):
    """An unknown treatment, or another ending, leaves no file behind."""
    with pytest.raises(InputError, match="'z' was not trained on"):
        predict_to_file(model, adata, "z", tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="neither"):
        predict_to_file(model, adata, "x", tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
