"""The settings of the protein workflow: one part a stage, the keys of its ``config.yaml``.

The JSON schema that the workflow checks its configuration with is made from these classes; write it again after a
change with ``python -m helicell.protein.pipeline workflows/protein/workflow/schemas/config.schema.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, model_validator

from helicell.core.runs.files import write_text
from helicell.core.runs.settings import Settings

__all__ = ["PipelineSettings", "schema_text"]


class SampleStage(Settings):
    """Which backbones are generated, and how."""

    model: str = Field(
        "compact", min_length=1, description="name of a model inside the package, or a .safetensors file"
    )
    lengths: list[int | str] = Field(
        [60, 80, 100, 120], min_length=1, description="lengths in residues, each a number or a range such as 60-120"
    )
    count: int = Field(16, ge=1, description="backbones of each length")
    steps: int | None = Field(None, ge=1, description="integration steps; null for the model's own number")
    seed: int = Field(7, ge=0, description="seed of the whole run")
    shards: int = Field(2, ge=1, description="jobs that share the backbones; the result does not depend on it")
    batch_size: int | None = Field(None, ge=1, description="backbones at once; null for the tool's own choice")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the network runs")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="number format of the network")
    format: Literal["cif", "pdb", "bcif"] = Field("cif", description="file format of the backbones")
    filter: str | None = Field(None, min_length=1, description="condition on the backbones to keep; null keeps all")
    until: int | None = Field(None, ge=1, description="go on until so many passed the filter, instead of count")
    at_most: int | None = Field(None, ge=1, description="backbones to try before giving up; null for 100 times until")
    reference: str | None = Field(None, description="store of chains, where the filter names novelty")

    @model_validator(mode="after")
    def _until_needs_a_filter(self) -> Self:
        if self.until is not None and self.filter is None:
            message = "until counts the backbones that pass a filter, which is missing"
            raise ValueError(message)
        if self.until is not None and self.until < self.shards:
            message = f"until is {self.until} and cannot be shared among {self.shards} shards; take fewer shards"
            raise ValueError(message)
        return self


class EvaluateStage(Settings):
    """What the backbones are held against."""

    reference: str | None = Field(None, description="store of natural chains; null for the reference in the package")


class ReportStage(Settings):
    """What the report shows."""

    title: str = Field("Generated protein backbones", min_length=1, description="title of the page")
    structures: int = Field(8, ge=1, le=64, description="structures in each gallery of the viewer")


class ChainsStage(Settings):
    """The chains to train on; used by the targets ``import`` and ``train`` only."""

    source: str | None = Field(None, description="folder of structures, cgdms package or structure_db.dat")
    settings: str | None = Field(None, description="settings file of the import; null for the defaults")
    store: str = Field("stores/chains", min_length=1, description="store to make")


class TrainStage(Settings):
    """Training; used by the target ``train`` only."""

    settings: str | None = Field(None, description="settings file of the training; null for the published recipe")
    run: str = Field("runs/train", min_length=1, description="run folder to make")


class PipelineSettings(Settings):
    """Configuration of the protein workflow."""

    results: str = Field("results", min_length=1, description="folder of all results")
    sample: SampleStage = SampleStage()
    evaluate: EvaluateStage = EvaluateStage()
    report: ReportStage = ReportStage()
    chains: ChainsStage = ChainsStage()
    train: TrainStage = TrainStage()


def schema_text() -> str:
    """The JSON schema of the configuration as YAML, ready to be written."""
    head = "# Made from helicell.protein.pipeline.PipelineSettings; do not edit (see its docstring).\n"
    return head + yaml.safe_dump(PipelineSettings.json_schema(), sort_keys=False, width=120)


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), schema_text())
