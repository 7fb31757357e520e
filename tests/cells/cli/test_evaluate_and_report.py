"""`helicell cells evaluate` and `report`: files in, files out; bad input is one line and code 2, and leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from helicell.cells.tables import write_anndata
from studies import Study, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Cytometry of five donors, of which two are predicted."""
    return make_study(tmp_path_factory.mktemp("study"), preprocessing={"kind": "arcsinh"})


def test_metrics_and_table_are_written(run_cli, study: Study, tmp_path: Path):
    """The files hold every measure beside the baselines; the table is printed; the model makes no difference."""
    out = tmp_path / "new" / "metrics.json"
    done = run_cli("cells", "evaluate", *study.predicted, "--reference", study.data, "--out", out, "--cells", 40)
    assert (done.code, out.with_suffix(".csv").exists()) == (0, True)
    assert "4 populations, at most 40 cells of each" in done.out
    record = json.loads(out.read_text())
    names = {"model", "identity", "global_shift", "nearest_shift", "own_shift", "floor"}
    assert set(record["w2"]) == set(record["mmd"]) == names
    options = ("--model", study.model, "--cells", 40, "--json")
    again = run_cli("cells", "evaluate", *study.predicted, "-r", study.data, *options, "-o", tmp_path / "b.json")
    printed = json.loads(again.out)
    assert printed["w2"] == pytest.approx(record["w2"], rel=1e-4)


def test_report_is_written(run_cli, study: Study, tmp_path: Path):
    """From the same files, the page with the title that was asked for."""
    metrics, page = tmp_path / "metrics.json", tmp_path / "new" / "report.html"
    files = [*study.predicted, "--reference", study.data]
    assert run_cli("cells", "evaluate", *files, "--out", metrics, "--cells", 30, "--quiet").code == 0
    more = ("--metrics", metrics, "--model", study.model, "--populations", 1, "--title", "Mine")
    done = run_cli("cells", "report", *files, *more, "--out", page)
    assert (done.code, done.out.strip()) == (0, str(page))
    assert "<title>Mine</title>" in page.read_text()


@pytest.fixture
def broken(study: Study, tmp_path: Path) -> dict[str, Path]:
    """Files with one fault each."""
    files = {}

    def save(name: str, adata: anndata.AnnData) -> None:
        files[name] = tmp_path / "bad" / f"{name}.h5ad"
        write_anndata(files[name], adata)

    data, predicted = anndata.read_h5ad(study.data), anndata.read_h5ad(study.predicted[0])
    save("no_donor", anndata.AnnData(data.X, obs=data.obs.drop(columns="donor"), var=data.var))
    lost = (data.obs["donor"] == "donor2") & (data.obs["condition"] == "control")
    save("no_control", data[~lost].copy())
    few = np.flatnonzero((data.obs["donor"] == "donor2") & (data.obs["condition"] == "drug1"))[3:]
    save("three_cells", data[np.setdiff1d(np.arange(len(data)), few)].copy())
    holed = data.copy()
    holed.X[5, 1] = np.nan
    save("not_a_number", holed)
    save("other_markers", data[:, 1:].copy())
    wild = predicted.copy()
    wild.obsm["X_helicell"][:] = np.nan
    save("predicted_nan", wild)
    narrow = predicted.copy()
    narrow.obsm["X_helicell"] = narrow.obsm["X_helicell"][:, :3]
    save("predicted_narrow", narrow)
    unlabelled = predicted.copy()
    unlabelled.obs = unlabelled.obs.drop(columns="condition")
    save("predicted_unlabelled", unlabelled)
    for name, source in (("truncated", study.data), ("predicted_truncated", study.predicted[0])):
        files[name] = tmp_path / "bad" / f"{name}.h5ad"
        files[name].write_bytes(source.read_bytes()[:5000])
    files["text"] = tmp_path / "bad" / "text.h5ad"
    files["text"].write_text("donor,condition\n")
    return files


def test_bad_input_is_one_line_and_leaves_nothing(run_cli, study: Study, broken: dict[str, Path], tmp_path: Path):
    """Every kind of broken data or prediction ends with code 2, an error that names it, and no output."""
    good = list(study.predicted)
    cases = (
        (good, broken["no_donor"], [], "has no column 'donor'"),
        (good, broken["no_control"], [], "no control cells (condition = control) of the donor donor2"),
        (good, broken["three_cells"], [], "donor2 / drug1 (60 control and 3 treated cells)"),
        (good, broken["not_a_number"], [], "expected finite numbers"),
        (good, broken["other_markers"], ["--model", study.model], "lacks 1 of 10 features: marker1"),
        (good, broken["truncated"], [], "is the file whole?"),
        (good, broken["text"], [], "is the file whole?"),
        (good, tmp_path / "absent.h5ad", [], "there is no"),
        (good, study.data.with_suffix(".csv"), [], "neither .h5ad nor .zarr"),
        ([broken["predicted_nan"]], study.data, [], "not finite"),
        ([broken["predicted_narrow"]], study.data, [], "has 3 dimensions"),
        ([broken["predicted_unlabelled"]], study.data, [], "has no column 'condition'"),
        ([broken["predicted_truncated"]], study.data, [], "is the file whole?"),
        (good, study.data, ["--donor", "donor"], "give --condition and --control as well"),
        (good, study.data, ["--donor", "d", "--condition", "condition", "--control", "control"], "no column 'd'"),
        (good, study.data, ["--donor", "donor", "--condition", "condition", "--control", "none"], "control condition"),
        (good, study.data, ["--model", broken["text"]], "text.h5ad"),
        (good, study.data, ["--minimum-cells", 1000], "fewer than 1000 cells"),
        (good, study.data, ["--cells", 1], "--cells"),
    )
    for predicted, reference, options, message in cases:
        out = tmp_path / "out" / "metrics.json"
        done = run_cli("cells", "evaluate", *predicted, "--reference", reference, *options, "--out", out)
        assert done.code == 2, (message, done.err)
        assert done.err.startswith("error: "), (message, done.err)
        assert len(done.err.splitlines()) == 1, done.err
        assert message in done.err
        assert not out.parent.exists(), message
    wrong = run_cli("cells", "evaluate", *good, "--reference", study.data, "--out", tmp_path / "metrics.txt")
    assert (wrong.code, "does not end in .json" in wrong.err) == (2, True)


def test_a_report_of_bad_input_leaves_nothing(run_cli, study: Study, broken: dict[str, Path], tmp_path: Path):
    """Metrics of something else, absent ones, and broken files end with code 2 and no page."""
    metrics = tmp_path / "metrics.json"
    files = [*study.predicted, "--reference", study.data]
    run_cli("cells", "evaluate", *files, "--out", metrics, "--cells", 30, "--quiet")
    for arguments, message in (
        ([*files, "--metrics", tmp_path / "absent.json"], "helicell cells evaluate"),
        ([study.predicted[0], "--reference", study.data, "--metrics", metrics], "no predicted cells"),
        ([*study.predicted, "--reference", broken["truncated"], "--metrics", metrics], "is the file whole?"),
        ([*files, "--metrics", metrics, "--model", study.data], "data.h5ad"),
        ([*files, "--metrics", metrics, "--populations", 0], "--populations"),
    ):
        done = run_cli("cells", "report", *arguments, "--out", tmp_path / "out" / "report.html")
        assert done.code == 2, (message, done.err)
        assert len(done.err.splitlines()) == 1, done.err
        assert message in done.err
        assert not (tmp_path / "out").exists()
