"""Data and treatments that do not fit: one line that names the fault, exit code 2, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from helicell.cells.tables import write_anndata
from studies import Study, make_study

COLUMNS = ("--donor", "donor", "--condition", "condition", "--control", "control")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Counts of five donors, and a model."""
    return make_study(tmp_path_factory.mktemp("study"), measurement="counts", preprocessing={"kind": "counts"})


@pytest.fixture
def fails(run_cli, tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs a command which has to fail without leaving anything."""

    def run(message: str, *arguments: object) -> None:
        out = tmp_path / "out" / "here.h5ad"
        done = run_cli("cells", *arguments, "--out", out)
        assert done.code == 2, (arguments, done.err)
        lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert done.err.splitlines()[-1:] == lines, done.err
        assert message in lines[0]
        assert not out.parent.exists()

    return run


@pytest.fixture
def changed(study: Study, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the data with a change, as a file."""

    def write(change: Callable[[anndata.AnnData], anndata.AnnData | None]) -> Path:
        adata = anndata.read_h5ad(study.data)
        adata.X = adata.X.toarray()
        result = change(adata)
        write_anndata(tmp_path / "changed.h5ad", adata if result is None else result)
        return tmp_path / "changed.h5ad"

    return write


def rows(adata: anndata.AnnData, donor: str, condition: str) -> np.ndarray:
    """The rows of a population."""
    return np.flatnonzero((adata.obs["donor"] == donor) & (adata.obs["condition"] == condition))


def without(adata: anndata.AnnData, left_out: np.ndarray) -> anndata.AnnData:
    """The table without some cells."""
    return adata[np.setdiff1d(np.arange(len(adata)), left_out)].copy()


def set_value(adata: anndata.AnnData, value: float) -> None:
    """Change one measurement."""
    adata.X[7, 2] = value


def test_training_refuses_columns_that_are_not_there(fails, study: Study):
    """A misspelt column is corrected, a control value that nobody has is named with those that exist."""
    fails("(did you mean 'donor'?)", "train", study.data, "--donor", "doner", *COLUMNS[2:])
    fails("DMSO", "train", study.data, *COLUMNS[:5], "DMSO")
    fails("no layer 'raw'", "train", study.data, *COLUMNS, "--layer", "raw")
    fails("gene99", "train", study.data, *COLUMNS, "--features", "gene1,gene99")
    fails("donor9", "train", study.data, *COLUMNS, "--holdout", "donor=donor9")


def test_training_refuses_populations_that_are_not_whole(fails, changed):
    """No control, no treated cells at all, three cells."""
    lost = changed(lambda adata: without(adata, rows(adata, "donor3", "control")))
    fails("no control cells (condition = control) of the donor donor3", "train", lost, *COLUMNS)
    few = changed(lambda adata: without(adata, rows(adata, "donor3", "drug1")[3:]))
    fails("donor3 / drug1 (60 control and 3 treated cells)", "train", few, *COLUMNS)
    control = changed(lambda adata: adata[adata.obs["condition"] == "control"].copy())
    fails("add treated cells", "train", control, *COLUMNS)
    fails("holds no cells", "train", changed(lambda adata: adata[:0].copy()), *COLUMNS)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "is nan"), (np.inf, "is inf"), (-3.0, "is -3, expected 0 or")])
def test_training_refuses_numbers_that_are_no_counts(fails, changed, value: float, message: str):
    """A missing, an infinite and a negative count are found before anything is trained or written."""
    data = changed(lambda adata: set_value(adata, value))
    fails(message, "train", data, *COLUMNS, "--preprocessing", "counts")
    # The changed cell is one of donor1: what is held out is looked at before the training, too.
    fails(message, "train", data, *COLUMNS, "--preprocessing", "counts", "--holdout", "donor=donor1")


def test_prediction_refuses_cells_that_do_not_fit_the_model(fails, study: Study, changed):
    """Genes that are missing, counts below zero, too few cells, no cell at all, a donor that is not there."""
    model = ("predict", study.model, "--condition", "drug1", "--control")
    fails("lacks 1 of 30 features: gene5", *model, changed(lambda adata: adata[:, adata.var_names != "gene5"].copy()))
    fails("is -3, expected 0 or", *model, changed(lambda adata: set_value(adata, -3.0)))
    fails("is nan", *model, changed(lambda adata: set_value(adata, np.nan)))
    fails("3 cells", *model, changed(lambda adata: without(adata, rows(adata, "donor2", "control")[3:])))
    fails("holds no cells", *model, changed(lambda adata: adata[:0].copy()))
    fails("donor9", *model, study.data, "--donors", "donor9")


def test_prediction_refuses_treatments_it_does_not_know(fails, study: Study, tmp_path: Path):
    """An unseen treatment needs an embedding and a model that takes such; the known ones are listed."""
    fails("drug7", "predict", study.model, "--control", study.data, "--condition", "drug7")
    fails("drug7", "predict", study.model, "--control", study.data, "--condition", "drug1+drug7")
    (tmp_path / "vectors.csv").write_text("drug7,0.5,1.0\n")
    embedding = ("--embeddings", tmp_path / "vectors.csv")
    fails("embedding", "predict", study.model, "--control", study.data, "--condition", "drug7", *embedding)


def test_damaged_files_are_called_so(fails, study: Study, tmp_path: Path):
    """A truncated table, a table that is text, a model that is none, and files that are not there."""
    (tmp_path / "short.h5ad").write_bytes(study.data.read_bytes()[:4000])
    (tmp_path / "text.h5ad").write_text("no table")
    for name in ("short.h5ad", "text.h5ad"):
        fails("is the file whole?", "train", tmp_path / name, *COLUMNS)
        fails("is the file whole?", "predict", study.model, "--control", tmp_path / name, "--condition", "drug1")
        fails(name, "predict", tmp_path / name, "--control", study.data, "--condition", "drug1")
    fails("there is no", "train", tmp_path / "absent.h5ad", *COLUMNS)
    fails("absent", "predict", tmp_path / "absent.safetensors", "--control", study.data, "--condition", "drug1")
