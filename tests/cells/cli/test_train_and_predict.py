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
