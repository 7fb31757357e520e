"""Tables of cells: reading rows from memory and from files, and what is said about files that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csc_matrix, csr_matrix

from helicell.cells import tables
from helicell.cells.tables import Table, build_anndata, open_table, read_anndata, write_anndata
from helicell.core.errors import InputError


@pytest.fixture(params=["dense", "csr", "csc"])
def stored(adata: AnnData, request: pytest.FixtureRequest) -> AnnData:
    """Return the table with its measurements stored in different ways."""
    if request.param != "dense":
        adata.X = {"csr": csr_matrix, "csc": csc_matrix}[request.param](adata.X)
    return adata


def dense(adata: AnnData) -> np.ndarray:
    """Return all measurements."""
    return adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()


@pytest.mark.parametrize("ending", ["memory", "backed", "h5ad", "zarr"])
def test_rows_are_read_alike_from_everywhere(
    stored: AnnData, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory, a backed object, h5ad and zarr give the same rows and features, in the order that was asked for."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 50)  # so that rows are gathered from several blocks
    features = ["gene3", "gene0"]
    if ending == "memory":
        table = Table.from_anndata(stored, features=features)
    elif ending == "backed":
        stored.write_h5ad(tmp_path / "cells.h5ad")
        table = Table.from_anndata(anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r"), features=features)
    else:
        path = tmp_path / f"cells.{ending}"
        write_anndata(path, stored)
        table = open_table(path, features=features)
    rows = np.random.default_rng(1).integers(0, stored.n_obs, 200)  # unsorted and with repetitions
    expected = dense(stored)[:, [3, 0]]
    assert np.array_equal(table.matrix(rows), expected[rows])
    assert np.array_equal(table.matrix(), expected)
    assert np.array_equal(np.concatenate(list(table.chunks(rows))), expected[np.sort(rows)])
    assert table.matrix([]).shape == (0, 2)


def test_layers_and_parts(adata: AnnData, tmp_path: Path) -> None:
    """A layer is read instead of X, from memory and from a file; `restricted` picks features by name."""
    adata.layers["doubled"] = 2 * adata.X
    write_anndata(tmp_path / "cells.h5ad", adata)
    for table in (Table.from_anndata(adata, layer="doubled"), open_table(tmp_path / "cells.h5ad", layer="doubled")):
        assert np.array_equal(table.matrix([4]), 2 * adata.X[[4]])
        assert np.array_equal(table.restricted(["gene2"]).matrix([4]), 2 * adata.X[[4]][:, [2]])


def test_built_anndata_can_be_written_and_read(tmp_path: Path) -> None:
    """What is built keeps its names, representations and notes through a file."""
    built = build_anndata(
        np.eye(3, dtype=np.float32),
        features=["a", "b", "c"],
        obs={"donor": ["A", "A", "B"]},
        obsm={"X_pca": np.ones((3, 2))},
        layers={"raw": np.zeros((3, 3))},
        uns={"origin": "test"},
    )
    write_anndata(tmp_path / "built.zarr", built)
    read = read_anndata(tmp_path / "built.zarr")
    assert list(read.var_names) == ["a", "b", "c"]
    assert list(read.obs["donor"]) == ["A", "A", "B"]
    assert read.obsm["X_pca"].shape == (3, 2)
    assert read.uns["origin"] == "test"
    with pytest.raises(InputError, match=r"built.zarr exists; remove it first"):
        write_anndata(tmp_path / "built.zarr", built)


def damaged(path: Path, adata: AnnData) -> None:
    """Write an h5ad file and cut it in the middle, as a broken download would."""
    adata.write_h5ad(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_files_that_are_none(adata: AnnData, tmp_path: Path) -> None:
    """Absent, foreign, cut and empty files get one line that names the file and says what is wrong."""
    damaged(tmp_path / "cut.h5ad", adata)
    (tmp_path / "text.h5ad").write_text("no HDF5")
    (tmp_path / "empty.zarr").mkdir()
    import h5py

    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["numbers"] = np.arange(3)
    cases = {
        "absent.h5ad": "there is no .*absent.h5ad; give an .h5ad file or a .zarr store",
        "cells.csv": "is neither .h5ad nor .zarr",
        "cut.h5ad": "cut.h5ad cannot be read as h5ad: .*is the file whole",
        "text.h5ad": "text.h5ad cannot be read as h5ad: .*is the file whole",
        "empty.zarr": "empty.zarr cannot be read as zarr: .*is the file whole",
        "other.h5ad": "other.h5ad has no 'obs', so it is no AnnData file",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            open_table(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"cut.h5ad cannot be read as h5ad"):
        read_anndata(tmp_path / "cut.h5ad")


def test_what_a_table_lacks(adata: AnnData) -> None:
    """Features, layers and columns that do not exist are named, with the nearest name and what there is."""
    cases = [
        (
            {"features": ["gene0", "gen1", "CD3"]},
            "lacks 2 of 3 features: gen1, CD3 (did you mean 'gene1'?); it has: gene0",
        ),
        ({"features": ["gene0", "gene0"]}, "the feature 'gene0' is asked for twice"),
        ({"layer": "counts"}, "has no layer 'counts'; it has: none"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=re.escape(message)):
            Table.from_anndata(adata, **options)
    table = Table.from_anndata(adata)
    with pytest.raises(InputError, match=re.escape("has no column 'doner' in obs (did you mean 'donor'?); it has: ")):
        table.text("doner")
    with pytest.raises(InputError, match=r"the column 'donor' of the AnnData object holds '.', expected a number"):
        table.numbers("donor")


def test_names_that_are_not_unique(adata: AnnData) -> None:
    """Two features of one name are refused when one of them is asked for, and do not matter otherwise."""
    adata.var_names = ["gene0", "gene1", "gene2", "gene3", "gene3"]
    with pytest.raises(InputError, match="has several features named 'gene3'; make the names unique"):
        Table.from_anndata(adata)
    assert Table.from_anndata(adata, features=["gene1"]).matrix([0]) == adata.X[0, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(stored: AnnData, value: float) -> None:
    """The line names the cell and the feature."""
    values = stored.X if isinstance(stored.X, np.ndarray) else stored.X.tolil()
    values[7, 2] = value
    stored.X = values if isinstance(values, np.ndarray) else values.tocsr()
    table = Table.from_anndata(stored)
    with pytest.raises(InputError, match=f"'gene2' of cell 'cell7' of the AnnData object is {value}, expected finite"):
        table.matrix([1, 7])
    table.matrix([1, 8])
