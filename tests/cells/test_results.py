"""Predictions find their populations in the data, the training populations are the model's, and spaces fit."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import torch

from helicell.cells import Columns, PopulationFlow, PreprocessingSettings
from helicell.cells.baselines import fit_baselines
from helicell.cells.evaluation import evaluate_responses
from helicell.cells.evaluation.measures import FEATURE_SCORES, MEASURES
from helicell.cells.populations import read_populations
from helicell.cells.results import evaluate_results, read_results
from helicell.cells.tables import write_anndata
from helicell.core.errors import InputError
from studies import HELD_OUT, Study, make_study

ARCSINH = {"kind": "arcsinh"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Cytometry of five donors."""
    return make_study(tmp_path_factory.mktemp("cytometry"), preprocessing=ARCSINH)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Counts of five donors, in six principal components."""
    settings = {"kind": "counts", "components": 6}
    return make_study(tmp_path_factory.mktemp("counts"), measurement="counts", preprocessing=settings)


def test_held_out_are_the_predicted_and_train_what_the_model_saw(study: Study):
    """Two donors under two drugs are judged; the baselines see the six other populations, which the model saw."""
    results = read_results(study.predicted, study.data)
    assert {key.donor for key in results.model_space.predicted} == set(HELD_OUT)
    assert len(results.model_space.held_out) == len(results.model_space.predicted) == 4
    assert {response.key.donor for response in results.model_space.train} == {"donor1", "donor3", "donor5"}
    assert len(results.model_space.train) == 6
    assert {response.key for response in results.model_space.train} == set(results.provenance.trained_on)
    assert results.feature_space is None, "without components the model's coordinates are the features"
    assert "SHA-256 of data.h5ad" in results.facts
    assert "condition" not in results.facts, "what differs between files is not said of all"


def test_the_space_is_that_of_the_model(study: Study):
    """Fitted again from what the predictions say, the preprocessing is the model's own, and so are all cells."""
    again = read_results(study.predicted, study.data)
    own = read_results(study.predicted, study.data, preprocessing=PopulationFlow.load(study.model).preprocessing)
    for first, second in zip(again.model_space.held_out, own.model_space.held_out, strict=True):
        torch.testing.assert_close(first.treated, second.treated)
        torch.testing.assert_close(again.model_space.predicted[first.key], own.model_space.predicted[second.key])


def test_predicted_cells_are_what_the_model_makes_of_the_controls(study: Study):
    """From file to file the same cells arrive as by the model itself."""
    results = read_results(study.predicted, study.data)
    model = PopulationFlow.load(study.model)
    for response in results.model_space.held_out:
        expected = model.transport(response.control, response.key)
        torch.testing.assert_close(results.model_space.predicted[response.key], expected, rtol=1e-4, atol=1e-4)


def test_measures_are_those_of_the_responses(study: Study):
    """By file or in memory, the same numbers, for all measures and baselines."""
    results = read_results(study.predicted, study.data)
    evaluation = evaluate_results(results, cells=40)
    direct = evaluate_responses(fit_baselines(results.model_space.train), results.model_space.held_out, cells=40)
    assert evaluation.measures == tuple(MEASURES)
    for measure in ("w2", "mmd", "energy"):
        ours = evaluation.summary()[measure]
        assert {name: ours[name] for name in direct.predictors} == pytest.approx(direct.summary()[measure])
        assert ours["model"] > 0
    assert evaluation.facts["Training populations"] == "6"


def test_without_the_stored_space_cells_are_transformed_again(study: Study, tmp_path: Path):
    """A file that holds only measurements gives the same cells within rounding."""
    adata = anndata.read_h5ad(study.predicted[0])
    del adata.obsm["X_helicell"]
    write_anndata(tmp_path / "bare.h5ad", adata)
    bare, stored = (read_results([path], study.data) for path in (tmp_path / "bare.h5ad", study.predicted[0]))
    for key, cells in stored.model_space.predicted.items():
        torch.testing.assert_close(bare.model_space.predicted[key], cells, rtol=1e-3, atol=1e-3)


def test_files_of_others_need_columns(study: Study, tmp_path: Path):
    """Without a word of its model, a file is read by the columns that are given; training populations are the rest."""
    adata = anndata.read_h5ad(study.predicted[0])
    adata.uns, adata.obsm = {}, {}
    write_anndata(tmp_path / "bare.h5ad", adata)
    with pytest.raises(InputError, match="does not say which columns"):
        read_results([tmp_path / "bare.h5ad"], study.data)
    columns = Columns(donor="donor", condition="condition", control="control")
    results = read_results(
        [tmp_path / "bare.h5ad"], study.data, columns=columns, preprocessing=PreprocessingSettings(kind="arcsinh")
    )
    assert len(results.model_space.held_out) == 2
    assert len(results.model_space.train) == 8


def test_genes_are_judged_in_genes_and_distances_in_components(counted: Study):
    """Counts have two spaces; the scores of features are those of the genes' logarithms, real ones not smoothed."""
    results = read_results(counted.predicted, counted.data)
    assert results.model_space.held_out[0].control.shape[1] == 6
    assert results.feature_space is not None
    real = results.feature_space.held_out[0].treated
    assert real.shape == (60, 30)
    populations = read_populations(counted.data, counted.simulation.columns)
    key = results.feature_space.held_out[0].key
    counts = populations.matrix(populations.rows(key)).astype(float)
    expected = np.log1p(counts * (results.preprocessing.target_sum / counts.sum(axis=1, keepdims=True)))
    np.testing.assert_allclose(real.numpy(), expected, rtol=1e-5)
    evaluation = evaluate_results(results, cells=40)
    assert set(evaluation.measures) == set(MEASURES)
    genes = evaluate_responses(
        fit_baselines(results.feature_space.train),
        results.feature_space.held_out,
        cells=40,
        measures=FEATURE_SCORES,
    )
    assert evaluation.summary()["pearson_delta"]["global_shift"] == pytest.approx(
        genes.summary()["pearson_delta"]["global_shift"]
    )


def test_predictions_in_genes_are_the_components_decoded(counted: Study):
    """What is compared of a prediction in genes is its own inverse, before normalised counts are made of it."""
    results = read_results(counted.predicted, counted.data)
    assert results.feature_space is not None
    key = results.feature_space.held_out[0].key
    decoded = results.feature_space.predicted[key].numpy()
    inverse = results.preprocessing.inverse(results.model_space.predicted[key].numpy())
    np.testing.assert_allclose(np.expm1(np.maximum(decoded, 0)), inverse, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_named(study: Study, counted: Study, tmp_path: Path):
    """Other data, the same file twice, files of different models, no training populations left, empty files."""
    with pytest.raises(InputError, match=r"donor2 / drug1 is predicted in .*drug1\.h5ad and in"):
        copy = tmp_path / "copy.h5ad"
        copy.write_bytes(study.predicted[0].read_bytes())
        read_results([study.predicted[0], copy], study.data)
    with pytest.raises(InputError, match="lacks 10 of 10 features"):
        read_results(study.predicted, counted.data, preprocessing=PopulationFlow.load(study.model).preprocessing)
    whole = anndata.read_h5ad(study.data)
    write_anndata(tmp_path / "others.h5ad", whole[~whole.obs["donor"].isin(HELD_OUT)].copy())
    with pytest.raises(InputError, match=r"no population of .*drug1\.h5ad \(donor2 / drug1\) has treated cells in"):
        read_results(study.predicted, tmp_path / "others.h5ad")
    write_anndata(tmp_path / "tests.h5ad", whole[whole.obs["donor"].isin(HELD_OUT)].copy())
    with pytest.raises(InputError, match="no population that the model was trained on"):
        read_results(study.predicted, tmp_path / "tests.h5ad")
    predicted = anndata.read_h5ad(study.predicted[0])
    write_anndata(tmp_path / "empty.h5ad", predicted[:0].copy())
    with pytest.raises(InputError, match="holds no cells"):
        read_results([tmp_path / "empty.h5ad"], study.data)
    with pytest.raises(InputError, match="differently trained"):
        other = anndata.read_h5ad(study.predicted[1])
        other.uns = {}
        write_anndata(tmp_path / "unknown.h5ad", other)
        read_results([study.predicted[0], tmp_path / "unknown.h5ad"], study.data)
    with pytest.raises(InputError, match="no predictions"):
        read_results([], study.data)
    predicted.uns["helicell"] = "{}"
    write_anndata(tmp_path / "odd.h5ad", predicted)
    with pytest.raises(InputError, match=r"uns\['helicell'\] of .*odd\.h5ad cannot be read"):
        read_results([tmp_path / "odd.h5ad"], study.data)


def test_seen_populations_are_called_so(study: Study, caplog: pytest.LogCaptureFixture):
    """Predictions of what the model was trained on are measured, with a warning that they test nothing."""
    model = PopulationFlow.load(study.model)
    predicted = study.data.parent / "seen.h5ad"
    write_anndata(predicted, model.predict(study.data, "drug1"))
    with caplog.at_level("WARNING", logger="helicell"):
        results = read_results([predicted], study.data)
    assert len(results.model_space.held_out) == 5
    assert "the model was trained on donor1 / drug1, donor3 / drug1, donor5 / drug1" in caplog.text
