"""The settings of the cells workflow: one part a stage, the keys of its ``config.yaml``.

The JSON schema that the workflow checks its configuration with is made from these classes; write it again after a
change with ``python -m helicell.cells.pipeline workflows/cells/workflow/schemas/config.schema.yaml``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from helicell.cells.columns import Columns
from helicell.core.runs.files import write_text
from helicell.core.runs.settings import Settings

__all__ = ["PipelineSettings", "donors_of", "schema_text"]


class SimulateStage(Settings):
    """Donors to simulate where no data is given; their response depends on the whole population."""

    donors: int = Field(12, ge=3, description="number of donors, named donor01 and so on")
    drugs: int = Field(2, ge=1, description="number of drugs, named drug1 and so on")
    cells: int = Field(400, ge=10, description="cells of a population")
    measurement: Literal["cytometry", "counts"] = Field("cytometry", description="what is measured of a cell")
    seed: int = Field(7, ge=0, description="seed of the simulation")


class TrainStage(Settings):
    """The model, and what it does not see."""

    holdout: list[str] = Field(
        ["donor=donor03,donor07,donor11"],
        min_length=1,
        description="populations to test on, such as donor=A,B or combination=donor:A+condition:X",
    )
    preprocessing: Literal["none", "arcsinh", "counts"] | None = Field(
        "arcsinh", description="what is done to the measurements; null for what the settings file says"
    )
    minimum_cells: int | None = Field(
        None, ge=1, description="leave out populations with fewer cells a side; null makes such an error"
    )
    settings: str | None = Field(None, description="settings file of the training; null for the workflow's own")
    seed: int = Field(0, ge=0, description="seed of weights, order and draws")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the network trains")


class PredictStage(Settings):
    """What is predicted, a job for each treatment."""

    conditions: list[str] = Field(["drug1", "drug2"], min_length=1, description="treatments")
    doses: list[float] = Field([], description="doses of each; none where the data has no column of doses")
    donors: list[str] | None = Field(
        None, min_length=1, description="donors; null for those that the hold-out names, or all if it names none"
    )
    steps: int | None = Field(None, ge=1, description="steps of the solver; null for the model's own number")
    guidance: float = Field(1.0, description="above 1, exaggerates what the treatment adds")
    seed: int = Field(0, ge=0, description="seed of draws")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the network runs")


class EvaluateStage(Settings):
    """How predictions are held against the treated cells."""

    cells: int = Field(500, ge=2, description="at most so many cells of each population are compared")
    seeds: int = Field(1, ge=1, description="how often the compared cells are drawn")


class ReportStage(Settings):
    """What the report shows."""

    title: str = Field("Predicted responses of cell populations", min_length=1, description="title of the page")
    populations: int = Field(6, ge=1, le=24, description="populations that are drawn one by one")


class PipelineSettings(Settings):
    """Configuration of the cells workflow."""

    results: str = Field("results", min_length=1, description="folder of all results")
    data: str | None = Field(None, description="cells, .h5ad or .zarr; null simulates donors")
    columns: Columns = Columns(donor="donor", condition="condition", control="control")
    simulate: SimulateStage = SimulateStage()
    train: TrainStage = TrainStage()
    predict: PredictStage = PredictStage()
    evaluate: EvaluateStage = EvaluateStage()
    report: ReportStage = ReportStage()


def donors_of(holdout: Sequence[str]) -> list[str]:
    """Return the donors that hold-outs name, each once.

    Examples
    --------
    >>> donors_of(["donor=A,B", "combination=donor:C+condition:X+Y,donor:A+condition:X"])
    ['A', 'B', 'C']
    >>> donors_of(["condition=X"])
    []
    """
    found: list[str] = []
    for text in holdout:
        kind, _, listed = text.partition("=")
        for value in filter(None, listed.split(",")):
            pattern = r"(.+)" if kind == "donor" else r"(?:.*\+)?donor:(.+?)(?:\+(?:condition|cell_type):.*)?"
            match = re.fullmatch(pattern, value) if kind in ("donor", "combination") else None
            found += [match[1]] if match else []
    return list(dict.fromkeys(found))


def schema_text() -> str:
    """The JSON schema of the configuration as YAML, ready to be written."""
    head = "# Made from helicell.cells.pipeline.PipelineSettings; do not edit (see its docstring).\n"
    return head + yaml.safe_dump(PipelineSettings.json_schema(), sort_keys=False, width=120)


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), schema_text())
