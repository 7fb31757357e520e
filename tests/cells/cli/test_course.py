"""`helicell cells course`, `interpolate` and `follow`: a time course from a file to files, and what they refuse."""

import json

import numpy as np
import pytest

from helicell.cells.tables import build_anndata, read_anndata, write_anndata
from helicell.core.runs.manifest import Manifest

SETTINGS = """
model:
  optimiser: {steps: 4, warm_up: 1, average_decay: 0.5}
  field: {width: 16, layers: 2}
  cells: 16
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a file of two donors on four days."""
    rng = np.random.default_rng(0)
    days = np.tile(np.repeat([0.0, 2.0, 4.0, 6.0], 30), 2)
    adata = build_anndata(
        rng.normal(size=(240, 3)).astype(np.float32) + days[:, None] + 5,
        features=["CD3", "CD4", "CD8"],
        obs={"donor": np.repeat(["A", "B"], 120), "day": days},
        obsm={"X_umap": rng.normal(size=(240, 2))},
    )
    path = tmp_path_factory.mktemp("data") / "visits.h5ad"
    write_anndata(path, adata)
    return path


def test_a_time_course_from_a_file_to_files(run_cli, data, tmp_path):
    """Training tests itself on a hidden visit; other days are predicted; velocities are where scvelo looks."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS, encoding="utf-8")
    run, between, followed = tmp_path / "run", tmp_path / "between.h5ad", tmp_path / "followed.h5ad"
    columns = ("--donor", "donor", "--time", "day", "--preprocessing", "arcsinh", "--settings", settings)
    hold = ("--holdout", "combination=donor:B+time:4")
    result = run_cli("cells", "course", data, *columns, *hold, "--out", run, "--json")
    assert result.code == 0, result.err
    metrics = json.loads(result.out)["metrics"]
    assert {"model", "linear_ot", "unbalanced_ot", "nearest_visit", "floor"} <= set(metrics["w2"])
    assert metrics["populations"] == 1
    assert not Manifest.read(run).changed_outputs(run)

    result = run_cli("cells", "interpolate", run, "--data", data, "--times", "1,3", "--cells", 10, "--out", between)
    assert result.code == 0, result.err
    predicted = read_anndata(between)
    assert predicted.shape == (40, 3)
    assert set(predicted.obs["day"]) == {1.0, 3.0}

    result = run_cli(
        "cells", "follow", run, "--data", data, "--times", "0,6", "--embedding", "umap", "--out", followed, "--quiet"
    )
    assert result.code == 0, result.err
    cells = read_anndata(followed)
    assert cells.layers["velocity"].shape == (240, 3)
    assert cells.obsm["velocity_umap"].shape == (240, 2)
    assert cells.obsm["trajectory"].shape == (240, 6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--donor", "donor"), "--time"),
        (("--donor", "donor", "--time", "donor"), "expected a number"),
        (("--donor", "patient", "--time", "day"), "patient"),
        (("--donor", "donor", "--time", "day", "--holdout", "time=0"), "both sides"),
        (("--donor", "donor", "--time", "day", "--holdout", "time=soon"), "soon"),
    ],
)
def test_bad_input_is_named(run_cli, data, tmp_path, options, said):
    """Missing options, columns that do not fit and visits that cannot be held out end with code 2; nothing is made."""
    result = run_cli("cells", "course", data, *options, "--out", tmp_path / "run")
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "run").exists()
