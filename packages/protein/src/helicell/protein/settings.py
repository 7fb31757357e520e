"""Settings of the protein package."""

from __future__ import annotations

from pydantic import Field

from helicell.core.runs.settings import Settings
from helicell.core.training.settings import OptimiserSettings


class NetworkSettings(Settings):
    """Sizes of the compact network."""

    width: int = Field(256, ge=8, description="channels of a residue")
    pair_width: int = Field(64, ge=4, description="channels of a pair of residues")
    time_width: int = Field(64, ge=4, description="channels of the embedded times")
    blocks: int = Field(6, ge=1, description="blocks, each with attention, feed-forward and a move of the frames")
    heads: int = Field(8, ge=1, description="attention heads")
    head_width: int = Field(16, ge=1, description="scalar channels of a head")
    query_points: int = Field(8, ge=1, description="query points of a head")
    value_points: int = Field(8, ge=1, description="value points of a head")
    expansion: int = Field(4, ge=1, description="feed-forward width over residue width")


class LossWeights(Settings):
    """Weights of the parts of the loss."""

    translation: float = Field(1.0, ge=0, description="velocity of the translations")
    rotation: float = Field(1.0, ge=0, description="velocity of the rotations")
    blocks: float = Field(0.25, ge=0, description="both, for the predictions after all blocks but the last")
    local: float = Field(1.0, ge=0, description="distances between atoms of residues up to four apart")
    fold: float = Field(1.0, ge=0, description="distances between CA atoms")
    clash: float = Field(5.0, ge=0, description="overlapping atoms of the predicted backbone")


class ObjectiveSettings(Settings):
    """Noise, times and losses of training."""

    noise_scale: float = Field(10.0, gt=0, description="standard deviation of the noise per axis, Angstrom")
    rotation_exponents: tuple[float, float] = Field(
        (1.0, 4.0), description="least and greatest exponent p of the rotations' schedule 1 - (1 - t)^p"
    )
    uniform_time_share: float = Field(0.75, ge=0, le=1, description="share of uniformly drawn times")
    late_time_exponent: float = Field(1.0, ge=0, description="the other times have a density proportional to t^this")
    least_noise: float = Field(0.05, gt=0, lt=1, description="errors are divided by 1 - t, at least this")
    self_conditioning: float = Field(0.5, ge=0, le=1, description="share of steps with a first prediction fed back")
    structure_from: float = Field(0.15, ge=0, lt=1, description="time from which the predicted structure itself counts")
    weights: LossWeights = LossWeights()


class ChainSettings(Settings):
    """Which chains of a store are trained on."""

    lengths: tuple[int, int] = Field((40, 128), description="least and greatest number of residues")
    globular: bool = Field(default=True, description="only compact chains with a core (the store's column `globular`)")
    experimental: bool = Field(
        default=True, description="no predicted or designed models (the store's column `predicted`)"
    )
    validation_share: float = Field(0.05, gt=0, lt=1, description="share of the 30 % identity clusters held out")


class TrainingSettings(Settings):
    """Everything that determines a training run."""

    seed: int = Field(0, ge=0, description="seed of initial weights, order of chains and noise")
    chains: ChainSettings = ChainSettings()
    network: NetworkSettings = NetworkSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    residues_per_batch: int = Field(1024, ge=64, description="residues of a batch, padding included")
    precision: str = Field("bf16-mixed", pattern="^(32-true|bf16-mixed)$", description="arithmetic of the network")


class SamplingDefaults(Settings):
    """How a model is sampled unless asked otherwise; part of its card."""

    steps: int = Field(50, ge=1, description="evaluations of the network per backbone")
    noise_scale: float = Field(10.0, gt=0, description="standard deviation of the noise per axis, Angstrom")
    rotation_exponent: float = Field(1.0, gt=0, description="exponent p of the rotations' schedule 1 - (1 - t)^p")
    rotation_speed: float = Field(1.0, gt=0, description="how much faster orientations settle than the network is told")
    finer_at_data: float = Field(1.0, gt=0, description="above 1, steps get shorter towards the data")
    steric_sweeps: int = Field(2, ge=0, le=100, description="sweeps of steric guidance a step; 0 for none")
    from_noise: bool = Field(
        default=False, description="whether every step starts at the noise again, as for rectified flows"
    )
