"""What predicting a million cells takes: by how much the memory of the process grows.

Cells of 14 features lie in an h5ad file, X written piece by piece, of four donors in two conditions of which one is the
control. A process of its own predicts a small file first, so that what is loaded once counts for nothing, and then the
large one, into AnnData in memory and again straight into a file (`predict_to_file`).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from harness import Row, peak_memory

CELLS, FEATURES = 1_000_000, 14
WARM_CELLS, TRAINED_CELLS = 20_000, 8_000
BLOCK = 50_000
# Of the solver; memory does not depend on them.
STEPS = 1
# What a million cells of 14 features are in one table of 32-bit numbers.
TABLE_MB = CELLS * FEATURES * 4 / 1e6
GOAL_MIB = 1000.0
DONORS = ("A", "B", "C", "D")


def rows() -> list[Row]:
    """Measure in a process of its own and return the rows."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.h5ad" for name in ("trained", "warm", "million")}
        write_cells(files["trained"], TRAINED_CELLS, treated=True)
        write_cells(files["warm"], WARM_CELLS)
        write_cells(files["million"], CELLS)
        found = {way: _asked(way, folder) for way in ("memory", "file")}
    title = f"predicted {CELLS:,} cells of {FEATURES} features"
    return [
        Row(f"{title}: a table of them", TABLE_MB, "MB"),
        Row.at_most(f"{title}: memory grows by, into AnnData", found["memory"], GOAL_MIB, unit="MiB"),
        Row.at_most(f"{title}: memory grows by, into a file", found["file"], GOAL_MIB, unit="MiB"),
    ]


def write_cells(path: Path, count: int, *, treated: bool = False) -> None:
    """Write cells to an h5ad file without ever holding all of their measurements."""
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    rng = np.random.default_rng(0)
    obs = pd.DataFrame(index=np.char.add("cell", np.arange(count).astype(str)))
    obs["donor"] = pd.Categorical.from_codes(np.arange(count) % len(DONORS), list(DONORS))
    conditions = np.arange(count) // len(DONORS) % 2 if treated else np.zeros(count, dtype=int)
    obs["condition"] = pd.Categorical.from_codes(conditions, ["control", "drug"])
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", obs)
        write_elem(file, "var", pd.DataFrame(index=[f"marker{number}" for number in range(FEATURES)]))
        values = file.create_dataset("X", (count, FEATURES), dtype="float32", chunks=(BLOCK // 50, FEATURES))
        values.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            block = rng.gamma(2.0, 20.0, (size, FEATURES)) * (1 + conditions[start : start + size, None])
            values[start : start + size] = block


def _asked(way: str, folder: str) -> float:
    command = [sys.executable, __file__, way, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure(way: str, folder: Path) -> float:
    """Return the growth of the peak of memory in this process, in MiB."""
    import torch

    from helicell.cells import Columns, PopulationFlow, PopulationFlowSettings, read_populations

    torch.set_num_threads(1)
    columns = Columns(donor="donor", condition="condition", control="control")
    settings = PopulationFlowSettings.from_mapping(
        {"optimiser": {"steps": 10, "warm_up": 5}, "calibration": {"kind": "none"}}
    )
    model = PopulationFlow.fit(read_populations(folder / "trained.h5ad", columns), settings)
    _predict(model, way, folder / "warm.h5ad")
    before = peak_memory()
    _predict(model, way, folder / "million.h5ad")
    return peak_memory() - before


def _predict(model, way: str, file: Path) -> None:  # type: ignore[no-untyped-def]
    if way == "file":
        from helicell.cells.predicting import predict_to_file

        predict_to_file(model, file, "drug", file.with_suffix(".predicted.h5ad"), steps=STEPS)
    else:
        predicted = model.predict(file, "drug", steps=STEPS)
        assert np.isfinite(predicted.X).all()


if __name__ == "__main__":
    print(_measure(sys.argv[1], Path(sys.argv[2])))
