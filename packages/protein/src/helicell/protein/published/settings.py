"""Settings of published networks: their sizes, how they are sampled, and the losses that they were trained with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.runs.settings import Settings

RotationSchedule = Literal["clamped", "exponential", "linear"]
ROTATION_SCHEDULES: tuple[RotationSchedule, ...] = ("clamped", "exponential", "linear")


class FrameDiffSettings(Settings):
    """Sizes of the published network; the defaults are those of all released checkpoints."""

    width: int = Field(256, ge=2, le=4096, multiple_of=2, description="channels of a residue")
    pair_width: int = Field(128, ge=4, le=2048, multiple_of=4, description="channels of a pair of residues")
    position_width: int = Field(
        128, ge=2, le=4096, multiple_of=2, description="channels of the embedded residue number"
    )
    time_width: int = Field(128, ge=4, le=4096, multiple_of=2, description="channels of each embedded time")
    pair_features: int = Field(64, ge=2, le=2048, multiple_of=2, description="channels of the offset along the chain")
    distance_bins: int = Field(22, ge=2, le=256, description="bins of the distances between CA atoms")
    head_width: int = Field(128, ge=1, le=2048, description="scalar channels of a head of the point attention")
    heads: int = Field(8, ge=1, le=64, description="heads of the point attention")
    query_points: int = Field(8, ge=1, le=64, description="query points of a head")
    value_points: int = Field(12, ge=1, le=64, description="value points of a head")
    transformer_heads: int = Field(4, ge=1, le=64, description="heads of the transformer along the chain")
    transformer_layers: int = Field(2, ge=1, le=16, description="layers of the transformer along the chain")
    blocks: int = Field(6, ge=1, le=64, description="blocks, each with its own weights")


class FrameDiffSampling(Settings):
    """How a published network is sampled unless asked otherwise; part of its card."""

    steps: int = Field(100, ge=1, description="evaluations of the network per backbone")
    noise_scale: float = Field(10.0, gt=0, description="standard deviation of the noise per axis, Angstrom")
    rotation_schedule: RotationSchedule = Field(
        "clamped",
        description="pace of the rotations: published exponential or linear, or exponential without overshoot",
    )
    rotation_rate: float = Field(10.0, gt=0, description="rate of the exponential schedule")
    least_time: float = Field(0.01, ge=0, lt=1, description="time at which sampling starts")


class FrameDiffLossSettings(Settings):
    """Weights and limits of the published losses."""

    translation: float = Field(2.0, ge=0, description="weight of the translations")
    rotation: float = Field(1.0, ge=0, description="weight of the rotations")
    structure: float = Field(1.0, ge=0, description="weight of backbone atoms and their distances")
    structure_from: float = Field(0.5, ge=0, lt=1, description="time after which the structure counts")
    latest_scale: float = Field(0.9, ge=0, lt=1, description="errors are divided by 1 - t, with t at most this")
    largest: float = Field(5.0, gt=0, description="translation and structure losses of an example are cut off here")
