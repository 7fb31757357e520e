"""`helicell cells train` and `predict`, on simulated donors: what they leave behind, and what they refuse."""

import json

import pytest

from helicell.core.runs.manifest import Manifest

# Lightning's remarks on how it is used.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*srun.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*"),
]

SETTINGS = """
model:
  optimiser: {steps: 4, warm_up: 1, average_decay: 0.5}
  field: {width: 16, layers: 2}
  cells: 32
  coupling: {pool: 32}
"""
COLUMNS = ("--donor", "donor", "--condition", "condition", "--control", "control")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a file of simulated donors."""
    from helicell.cells.simulate.donors import DonorSettings, DonorSimulation
    from helicell.cells.tables import write_anndata

    path = tmp_path_factory.mktemp("data") / "donors.h5ad"
    simulation = DonorSimulation.create(DonorSettings(donors=4, drugs=2, cells=60, states=4))
    write_anndata(path, simulation.anndata())
    return path


def test_train_predict_evaluate(run_cli, data, tmp_path):
    """A run folder is complete and true to its manifest; its predictions are evaluated as they are."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS, encoding="utf-8")
    run, out = tmp_path / "run", tmp_path / "predicted.h5ad"
    options = ("--settings", settings, "--preprocessing", "arcsinh", "--holdout", "donor=donor4", "--quiet")
    result = run_cli("cells", "train", data, *COLUMNS, *options, "--out", run)
    assert result.code == 0, result.err
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    names = {"model", "identity", "global_shift", "nearest_shift", "own_shift", "floor"}
    assert names <= set(metrics["mmd"])
    assert names <= set(metrics["w2"])
    assert metrics["populations"] == 2
    assert not Manifest.read(run).changed_outputs(run)
    result = run_cli(
        "cells", "predict", run, "--control", data, "--condition", "drug1", "--donors", "donor4", "-o", out
    )
    assert result.code == 0, result.err
    assert "60 cells" in result.out
    result = run_cli("cells", "evaluate", out, "--reference", data, "--out", tmp_path / "m.json", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["w2"]["model"] > 0


def test_a_treatment_without_data_is_predicted_by_its_vector(run_cli, data, tmp_path):
    """Vectors of treatments come from a file, in training as in prediction; a treatment without one is named."""
    settings, known, new = tmp_path / "settings.yaml", tmp_path / "known.csv", tmp_path / "new.csv"
    settings.write_text(SETTINGS, encoding="utf-8")
    known.write_text("drug1,1.0,0.0\ndrug2,0.0,1.0\n", encoding="utf-8")
    new.write_text("drug3,0.5,0.5\n", encoding="utf-8")
    run, out = tmp_path / "run", tmp_path / "predicted.h5ad"
    result = run_cli(
        "cells", "train", data, *COLUMNS, "--settings", settings, "--embeddings", known, "--quiet", "--out", run
    )
    assert result.code == 0, result.err
    assert set(Manifest.read(run).inputs) == {"donors.h5ad", "known.csv"}
    predict = ("cells", "predict", run, "--control", data, "--condition", "drug3", "-o", out)
    result = run_cli(*predict)
    assert result.code == 2
    assert "drug3" in result.err
    result = run_cli(*predict, "--embeddings", new)
    assert result.code == 0, result.err
    new.write_text("drug1,1.0,0.0\n", encoding="utf-8")
    result = run_cli("cells", "train", data, *COLUMNS, "--embeddings", new, "--out", tmp_path / "other")
    assert result.code == 2
    assert "drug2" in result.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--donor, --condition, --control"),
        ((*COLUMNS[:4], "--control", "nothing"), "nothing"),
        (("--donor", "patient", *COLUMNS[2:]), "patient"),
        ((*COLUMNS, "--holdout", "donor=nobody"), "nobody"),
        ((*COLUMNS, "--preprocessing", "arcsine"), "arcsine"),
    ],
)
def test_bad_input_is_named(run_cli, data, tmp_path, options, said):
    """Missing options, columns, controls and donors end with code 2 and one line that names them; nothing is made."""
    result = run_cli("cells", "train", data, *options, "--out", tmp_path / "run")
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "run").exists()
