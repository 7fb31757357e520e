"""Settings of a study of conformers: which peptide, how its sampler is trained, and what it is held against."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.runs.settings import Settings
from helicell.core.samplers.settings import (
    PolicySettings,
    ProcessSettings,
    ReplaySettings,
    SamplerSettings,
    SearchSettings,
    TrainingSettings,
)

Kind = Literal["phi", "psi", "omega", "chi", "spin"]

# What torsions are well learned with: few steps, whose energies cost more than the network, and a search by parallel
# tempering that carries chains over barriers which paths of the sampler find late.
TORSION_SAMPLER = SamplerSettings(
    energy="conformers",
    objective="tb",
    policy=PolicySettings(hidden=128),
    process=ProcessSettings(steps=20),
    # All points alike, as the search finds rare regions in their right share.
    replay=ReplaySettings(rank_weight=None),
    search=SearchSettings(
        enabled=True,
        every=50,
        chains=60,
        steps=60,
        burn_in=20,
        persistent=True,
        temperatures=(1.0, 2.0, 4.0, 8.0),
        likelihood_share=0.5,
    ),
    training=TrainingSettings(iterations=1000, batch=200, learning_rate=3e-3, exploration=0.5),
)


class ReferenceSettings(Settings):
    """What the samples are held against."""

    method: Literal["auto", "quadrature", "tempering", "none"] = Field(
        "auto", description="exact on a grid for two torsions, parallel tempering for more; auto chooses"
    )
    points: int = Field(180, ge=36, description="points of the grid for each torsion; a multiple of 36")
    chains: int = Field(50, ge=2, description="independent ladders of the tempering")
    steps: int = Field(4000, ge=100, description="steps of each; the first fifth is left out")
    keep_every: int = Field(10, ge=1, description="steps between states that are kept")
    temperatures: tuple[float, ...] = Field(
        (1.0, 1.5, 2.2, 3.3, 5.0), min_length=1, description="ladder of the tempering, as multiples of the temperature"
    )
    annealings: int = Field(3, ge=0, description="runs of annealed sampling, which estimate log Z beside a tempering")
    particles: int = Field(500, ge=10, description="particles of each")
    stages: int = Field(100, ge=2, description="temperatures of each")


class ConformerSettings(Settings):
    """Everything that determines a study."""

    sequence: str = Field("A", min_length=1, description="one-letter codes; acetyl and N-methyl caps are added")
    torsions: tuple[Kind, ...] = Field(("phi", "psi", "chi"), min_length=1, description="kinds of torsions that move")
    solvent: Literal["gbn2", "obc2", "vacuum"] = Field("gbn2", description="implicit solvent")
    temperature: float = Field(300.0, gt=0, description="in kelvin")
    samples: int = Field(20_000, ge=100, description="conformations that are drawn from the trained sampler")
    structures: int = Field(100, ge=0, description="how many of them are written with all atoms")
    reference: ReferenceSettings = ReferenceSettings()
    sampler: SamplerSettings = TORSION_SAMPLER
