"""Settings of a discrete sampler: its policy, what it minimises, where its walks come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.runs.settings import Settings


class DiscreteSettings(Settings):
    """Everything that, with the environment, determines a trained sampler."""

    objective: Literal["tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb"] = Field(
        "tb", description="what is minimised"
    )
    seed: int = Field(0, ge=0, description="seed of everything that is random")
    hidden: int = Field(256, ge=1, description="width of the policy's layers")
    layers: int = Field(2, ge=1, description="its hidden layers")
    experts: int = Field(1, ge=1, description="policies that are mixed in the forward policy")
    backward: Literal["learned", "uniform"] = Field("learned", description="backward policy")
    iterations: int = Field(2000, ge=1, description="iterations: batches of walks")
    batch: int = Field(16, ge=1, description="walks of an iteration")
    learning_rate: float = Field(1e-3, gt=0, description="of the policy")
    log_z_rate: float = Field(1e-1, gt=0, description="learning rate of log Z, for tb")
    decay_share: float = Field(0.3, ge=0, le=1, description="last share of the iterations, over which the rates fall")
    first_guess: bool = Field(
        default=True, description="start log Z and the flows where the first walks say, not at zero"
    )
    refit: int = Field(
        0,
        ge=0,
        description="iterations between two solutions for the flow head on its batch; 0 for the first guess only",
    )
    exploration: float = Field(0.0, ge=0, le=1, description="share of actions that are drawn blindly, at the start")
    exploration_share: float = Field(
        0.5, gt=0, description="share of the iterations over which exploration falls to zero"
    )
    lag: int = Field(
        0, ge=0, description="walk by log-probabilities that are up to this many iterations old; tables of states only"
    )
    decay: float = Field(0.9, gt=0, description="lambda of sub-trajectory balance")
    window: float | None = Field(
        None, gt=0, le=1, description="learn from stretches of walks only, of this share of the longest walk"
    )
    replay_share: float = Field(0.0, ge=0, le=1, description="share of the walks that go back from earlier ends")
    replay_capacity: int = Field(100_000, ge=1, description="ends that are kept")
    rank_weight: float = Field(0.01, gt=0, description="k in the probability 1 / (k N + rank) of an earlier end")
    reward_floor: float | None = Field(None, description="log-reward to take in the place of a lower one")

    def rate_factor(self, iteration: int) -> float:
        """Return the learning rates at an iteration as a share of their settings."""
        left = (self.iterations - iteration) / max(self.decay_share * self.iterations, 1)
        return max(min(1.0, left), 0.0)

    def exploration_at(self, iteration: int) -> float:
        """Return the exploration at an iteration."""
        return self.exploration * max(0.0, 1 - iteration / (self.exploration_share * self.iterations))
