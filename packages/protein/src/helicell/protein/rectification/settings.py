"""The settings of a rectification, one part a stage."""

from __future__ import annotations

from pydantic import Field

from helicell.core.runs.settings import Settings
from helicell.core.training.settings import OptimiserSettings
from helicell.protein.model import EMBEDDED
from helicell.protein.rectification.objective import RectificationObjectiveSettings
from helicell.protein.settings import SamplingDefaults

# Limits of measures that a pair must keep, least and greatest; the names are those of `helicell protein evaluate`.
LIMITS = {
    "ca_ca_valid": (0.99, 1.0),
    "c_n_valid": (0.98, 1.0),
    "backbone_clashes": (0.0, 0.0),
    "rg_ratio_to_natural": (0.8, 1.2),
    "coil": (0.0, 0.7),
}


class PairSettings(Settings):
    """The pairs, and how the flow is followed to make them; what is null is as in the model's card."""

    count: int = Field(2048, ge=1, le=10_000_000, description="pairs to sample, before any is left out")
    lengths: str = Field("50-128", description="residues: a range, or several numbers and ranges")
    seed: int = Field(1, ge=0, lt=2**63, description="seed of the noise; another one than that of samples to be judged")
    steps: int | None = Field(None, ge=1, le=10_000, description="network evaluations per pair")
    noise_scale: float = Field(1.0, gt=0, le=10, description="factor on the starting noise of the translations")
    rotation_exponent: float | None = Field(None, gt=0, le=100, description="how far rotations run ahead")
    rotation_speed: float | None = Field(None, gt=0, le=100, description="how much faster orientations settle")
    finer_at_data: float | None = Field(None, gt=0, le=10, description="above 1, steps get shorter towards the data")
    steric_sweeps: int | None = Field(None, ge=0, le=100, description="sweeps of steric guidance a step; 0 for none")
    precision: str = Field("auto", pattern="^(auto|float32|bfloat16)$", description="arithmetic of the network")
    shard: int = Field(64, ge=1, description="pairs of a file")
    limits: dict[str, tuple[float, float]] = Field(LIMITS, description="least and greatest value of measures to keep")
    score: float | None = Field(None, gt=0, description="greatest ProteinMPNN score to keep; null to score none")


class RectificationSettings(Settings):
    """Everything that determines a round of rectification."""

    model: str = Field(EMBEDDED, description="name of an embedded model, or a .safetensors file")
    seed: int = Field(0, ge=0, description="seed of the order of pairs and of times")
    pairs: PairSettings = PairSettings()
    inverted: int = Field(0, ge=0, description="real chains, followed back to their noise, that join the pairs")
    objective: RectificationObjectiveSettings = RectificationObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings(steps=2000, learning_rate=3e-4, warm_up=50, decay_share=0.5)
    residues_per_batch: int = Field(1024, ge=64, description="residues of a batch, padding included")
    precision: str = Field("bf16-mixed", pattern="^(32-true|bf16-mixed)$", description="arithmetic of the network")
    sampling: SamplingDefaults = Field(
        SamplingDefaults(steps=10), description="how the rectified model is sampled unless asked otherwise"
    )
