"""`helicell cells simulate`: what it writes and prints, and how it ends on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helicell.cells import Columns, Populations, read_populations
from helicell.cells.simulate.donors import DonorSettings, DonorSimulation
from helicell.cells.tables import read_anndata


def test_donors(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    """The file is what the Python API simulates, in the columns that the output names."""
    out = tmp_path / "donors.h5ad"
    result = run_cli(
        "cells", "simulate", "donors", "--donors", 2, "--cells", 30, "--doses", "0.1,1", "--out", out, "--json"
    )
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert (printed["cells"], printed["donors"], printed["conditions"]) == (2 * 7 * 30, 2, 3)
    expected = DonorSimulation.create(DonorSettings(donors=2, cells=30, doses=(0.1, 1.0))).anndata()
    assert (read_anndata(out).X == expected.X).all()
    assert len(read_populations(out, Columns.from_mapping(printed["columns"]))) == 12


def test_letters_and_settings_file(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    """A settings file is read, an option wins over it, and zarr is written as well."""
    (tmp_path / "letters.yaml").write_text("letters: XY\nrotations: 3\npaired: false\n")
    out = tmp_path / "letters.zarr"
    result = run_cli(
        "cells", "simulate", "letters", "--settings", tmp_path / "letters.yaml", "--rotations", 2, "-o", out
    )
    assert result.code == 0, result.err
    assert "helicell cells train" in result.out
    assert "--cell-type letter" in result.out
    adata = read_anndata(out)
    assert not adata.uns["paired"]
    columns = Columns(donor="population", condition="state", control="noisy", cell_type="letter")
    assert Populations.from_anndata(adata, columns).donors == ("X0", "X1", "Y0", "Y1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cells",), "unknown simulation 'cells'; choose one of: donors, letters"),
        (("letters", "--donors", "3"), "options of letters: unknown key 'donors'"),
        (("donors", "--doses", "a,b"), 'options of donors: doses.0 is "a"'),
        (("donors", "--out", "cells.csv"), "cells.csv is neither .h5ad nor .zarr"),
        (("donors", "--settings", "absent.yaml"), "cannot read the settings file absent.yaml"),
    ],
)
def test_bad_input(
    run_cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """One line, exit code 2, and no file."""
    monkeypatch.chdir(tmp_path)
    out = () if "--out" in arguments else ("--out", "out.h5ad")
    result = run_cli("cells", "simulate", *arguments, *out)
    assert result.code == 2
    assert message in result.err
    assert list(tmp_path.iterdir()) == []
