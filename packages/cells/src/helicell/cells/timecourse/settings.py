"""Settings of a flow through time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.cells.settings import EncoderSettings, FieldSettings
from helicell.core.runs.settings import Settings
from helicell.core.training.settings import OptimiserSettings


class TimeFlowSettings(Settings):
    """Everything that determines the training of a `TimeCourseFlow`, but for its data and seed."""

    path: Literal["neighbours", "spline"] = Field(
        "neighbours", description="straight lines between neighbouring visits, or smooth ones through all of them"
    )
    coupling: Literal["transport", "unbalanced"] = Field(
        "unbalanced", description="exact plans that keep all mass, or plans by which populations grow and shrink"
    )
    regularisation: float = Field(0.02, gt=0, description="entropy of unbalanced transport, as a share of the cost")
    marginal_weight: float = Field(0.3, gt=0, description="price of unbalanced mass, as a share of the cost")
    pool: int = Field(500, ge=2, description="cells of a visit that are coupled")
    encoder: EncoderSettings = Field(
        EncoderSettings(kind="none", width=16),
        description="what tells courses apart: nothing, which of them it is (index), or their first visit (all others)",
    )
    condition_width: int = Field(16, ge=1, description="channels of the treatment's vector")
    waves: int = Field(8, ge=1, description="waves of time that the network sees")
    field: FieldSettings = FieldSettings(width=96, layers=3)
    optimiser: OptimiserSettings = OptimiserSettings(
        steps=500, warm_up=50, learning_rate=2e-3, decay_share=0.5, average_decay=0.99
    )
    rows: int = Field(8, ge=1, description="courses, each at a time of its own, in a batch")
    cells: int = Field(128, ge=2, description="cells of each in a batch")
    steps: int = Field(32, ge=1, description="steps of the solver over the whole range of times")
    method: Literal["euler", "midpoint", "heun", "rk4"] = Field("midpoint", description="solver")
