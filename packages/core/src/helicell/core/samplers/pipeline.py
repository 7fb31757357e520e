"""The settings of the samplers' workflow: the keys of its ``config.yaml``.

The JSON schema that the workflow checks its configuration with is made from these classes; write it again after a
change with ``python -m helicell.core.samplers.pipeline workflows/samplers/workflow/schemas/config.schema.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints

from helicell.core.runs.files import write_text
from helicell.core.runs.settings import Settings
from helicell.core.samplers.settings import Objective

__all__ = ["PipelineSettings", "Task", "schema_text"]

# Names become parts of file names.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Task(Settings):
    """An energy to sample, and what differs from the common settings for it."""

    name: Name = Field(description="name of the task, which its files carry")
    energy: str = Field(min_length=1, description="name of an energy, or module:attribute of one's own")
    dim: int | None = Field(None, ge=1, description="dimensions, where they can be chosen")
    settings: str | None = Field(None, description="settings file of the trainings on it; null for the common one")


class PipelineSettings(Settings):
    """Configuration of the samplers' workflow."""

    results: str = Field("results", min_length=1, description="folder of all results")
    tasks: list[Task] = Field(
        [Task(name="gmm25", energy="gmm25"), Task(name="many-well-8", energy="many-well", dim=8)],
        min_length=1,
        description="what is sampled",
    )
    objectives: list[Objective] = Field(["tb", "fl-subtb"], min_length=1, description="objectives to compare")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1, 2], min_length=1, description="seeds; each has its own training"
    )
    settings: str | None = Field(None, description="settings file of all trainings; null for the defaults")
    iterations: int | None = Field(1000, ge=1, description="iterations; null for those of the settings file")
    langevin: bool | None = Field(None, description="gradients in the drift; null for what the settings file says")
    local_search: bool | None = Field(None, description="local search; null for what the settings file says")


def schema_text() -> str:
    """The JSON schema of the configuration as YAML, ready to be written."""
    head = "# Made from helicell.core.samplers.pipeline.PipelineSettings; do not edit (see its docstring).\n"
    return head + yaml.safe_dump(PipelineSettings.json_schema(), sort_keys=False, width=120)


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), schema_text())
