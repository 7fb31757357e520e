"""A small study with a hardly trained model and its predictions, as tests of evaluation and report need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helicell.cells import PopulationFlow, PopulationFlowSettings, Preprocessing, PreprocessingSettings
from helicell.cells.populations import read_populations
from helicell.cells.simulate.donors import DonorSettings, DonorSimulation
from helicell.cells.splits import split_by_donor
from helicell.cells.tables import write_anndata

HELD_OUT = ("donor2", "donor4")
SETTINGS = PopulationFlowSettings.from_mapping(
    {
        "optimiser": {"steps": 10, "warm_up": 2, "average_decay": 0.5},
        "field": {"width": 16, "layers": 2},
        "populations": 2,
        "cells": 32,
        "steps": 4,
    }
)


@dataclass(frozen=True, slots=True)
class Study:
    """Files of a study: the data, the model, and predictions of each drug for the held-out donors."""

    data: Path
    model: Path
    predicted: tuple[Path, ...]
    simulation: DonorSimulation


def make_study(folder: Path, *, measurement: str = "cytometry", preprocessing: dict[str, object]) -> Study:
    """Simulate five donors and two drugs, train for a moment, and predict two donors."""
    settings = {"donors": 5, "drugs": 2, "cells": 60, "genes": 30, "measurement": measurement}
    simulation = DonorSimulation.create(DonorSettings.from_mapping(settings))
    data, model_file = folder / "data.h5ad", folder / "model.safetensors"
    write_anndata(data, simulation.anndata())
    train, _ = split_by_donor(read_populations(data, simulation.columns), HELD_OUT)
    fitted = Preprocessing.fit(PreprocessingSettings.from_mapping(preprocessing), train)
    model = PopulationFlow.fit(train, SETTINGS, preprocessing=fitted)
    model.save(model_file)
    predicted = []
    for drug in simulation.drugs:
        adata = model.predict(data, drug)
        adata = adata[adata.obs["donor"].isin(HELD_OUT)].copy()
        predicted.append(folder / f"{drug}.h5ad")
        write_anndata(predicted[-1], adata)
    return Study(data, model_file, tuple(predicted), simulation)
