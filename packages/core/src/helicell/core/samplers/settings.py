"""Settings of a sampler: what it learns, how it is made, and how it is trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from helicell.core.runs.settings import Settings

Objective = Literal["tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb", "mle", "pis", "dds", "dis"]
# Objectives that need the log flow at every state, and those that need gradients through the path.
FLOW_OBJECTIVES = ("db", "subtb", "fl-db", "fl-subtb")
FORWARD_LOOKING = ("fl-db", "fl-subtb")
LEARNS_LOG_Z = ("tb", *FLOW_OBJECTIVES)
PATHWISE = ("pis", "dds", "dis")
# The reference process that each path-wise method is defined on.
PATHWISE_PROCESSES = {"pis": "brownian", "dds": "ornstein-uhlenbeck", "dis": "variance-preserving"}


class PolicySettings(Settings):
    """The size and the parts of the policy."""

    hidden: int = Field(64, ge=1, description="width of the layers")
    layers: int = Field(2, ge=0, description="hidden layers")
    learned_variance: bool = Field(default=True, description="learn the variance of every step")
    variance_range: float = Field(4.0, gt=0, description="largest change of the logarithm of a step's variance")
    coordinate_units: int = Field(4, ge=0, description="nonlinear units for each coordinate by itself")
    waves: int = Field(4, ge=1, description="multiples of each angle that the network sees, for energies of angles")
    langevin: bool = Field(default=False, description="let the gradient of the log reward enter the drift")
    learned_backward: bool = Field(default=False, description="learn the backward kernels as well")
    backward_share: float = Field(0.1, gt=0, lt=1, description="largest relative change of a backward kernel")


class ProcessSettings(Settings):
    """The reference process and its grid of times."""

    name: Literal["brownian", "ornstein-uhlenbeck", "variance-preserving"] = Field(
        "brownian", description="reference process; pis, dds and dis each bring their own"
    )
    variance: float | None = Field(None, gt=0, description="its variance at the target; null for the energy's own")
    steps: int = Field(100, ge=1, description="steps of sampling and evaluation")
    grid: Literal["auto", "uniform", "geometric"] = Field(
        "auto", description="equal steps, or finer towards the target; auto: finer for Brownian motion only"
    )
    train_steps: int | None = Field(None, ge=1, description="steps of training; null for as many as of sampling")
    random_times: bool = Field(default=False, description="draw the times of the training steps anew every iteration")


class ReplaySettings(Settings):
    """The buffer of earlier ends, from which every other iteration learns on backward paths."""

    enabled: bool = Field(default=False, description="learn from a buffer in every other iteration")
    capacity: int = Field(100_000, ge=1, description="points that the buffer holds")
    rank_weight: float | None = Field(
        0.01, gt=0, description="k in the probability 1 / (k N + rank); null draws all alike"
    )


class SearchSettings(Settings):
    """Local search, which fills the buffer that backward paths start from; it switches the buffer on."""

    enabled: bool = Field(default=False, description="search from points of the buffer")
    every: int = Field(100, ge=1, description="iterations between two searches")
    until: float = Field(1.0, gt=0, le=1, description="share of the iterations after which no search is made")
    chains: int = Field(300, ge=1, description="chains that run in parallel")
    steps: int = Field(200, ge=1, description="steps of each chain")
    burn_in: int = Field(100, ge=0, description="steps that only adapt the step size")
    first_step: float = Field(0.01, gt=0, description="step size to start from; it is adapted and remembered")
    temperatures: tuple[float, ...] = Field(
        (1.0,), min_length=1, description="a rising ladder from 1 makes replicas trade places"
    )
    persistent: bool = Field(default=False, description="let every search go on where the last one ended")
    likelihood_share: float = Field(
        0.0, ge=0, le=1, description="first share of the iterations, in which backward paths are learned by likelihood"
    )


class TrainingSettings(Settings):
    """The optimisation."""

    iterations: int = Field(2000, ge=1, description="iterations: batches of paths")
    batch: int = Field(300, ge=2, description="paths of an iteration")
    repeats: int = Field(10, ge=1, description="paths of each condition, for conditional energies")
    gradient_steps: int = Field(1, ge=1, description="gradient steps on every batch of paths")
    learning_rate: float = Field(1e-3, gt=0, description="of the networks, after the warm-up")
    log_z_rate: float = Field(1e-1, gt=0, description="learning rate of log Z")
    warm_up: int = Field(50, ge=0, description="iterations over which the rates rise from zero")
    decay_share: float = Field(0.4, ge=0, le=1, description="last share of the iterations, over which the rates fall")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    average_decay: float = Field(0.99, ge=0, lt=1, description="decay of the average of the weights that samples")
    exploration: float = Field(
        0.0, ge=0, description="share by which the variance of every step is larger at the start of training"
    )
    exploration_share: float = Field(0.5, gt=0, le=1, description="share of the iterations over which it falls to zero")
    decay: float = Field(0.9, gt=0, description="lambda of sub-trajectory balance")
    keep_activations: bool = Field(
        default=True, description="keep a rollout's activations; without, memory hardly grows with the steps, time does"
    )
    checkpoint_every: int = Field(500, ge=1, description="iterations between checkpoints")

    def rate_factor(self, iteration: int) -> float:
        """Return the learning rates at an iteration as a share of their settings."""
        warm = (iteration + 1) / max(self.warm_up, 1)
        left = (self.iterations - iteration) / max(self.decay_share * self.iterations, 1)
        return max(min(1.0, warm, left), 0.0)

    def exploration_at(self, iteration: int) -> float:
        """Return the exploration at an iteration."""
        return self.exploration * max(0.0, 1 - iteration / (self.exploration_share * self.iterations))


class EvaluationSettings(Settings):
    """What a trained sampler is held against."""

    samples: int = Field(2000, ge=2, description="paths of the evaluation, and exact samples where there are any")


class SamplerSettings(Settings):
    """Everything that determines a sampler."""

    energy: str = Field("gmm25", min_length=1, description="name of an energy, or module:attribute of one's own")
    dim: int | None = Field(None, ge=1, description="dimensions, where they can be chosen")
    objective: Objective = Field("tb", description="what is minimised")
    seed: int = Field(0, ge=0, description="seed of everything that is random")
    policy: PolicySettings = PolicySettings()
    process: ProcessSettings = ProcessSettings()
    replay: ReplaySettings = ReplaySettings()
    search: SearchSettings = SearchSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        learns_from_buffer = self.replay.enabled or self.search.enabled
        if self.objective in PATHWISE and (learns_from_buffer or self.policy.learned_backward):
            message = (
                f"{self.objective} learns through its own paths, not from a buffer, a search or backward kernels; "
                "leave them out, or choose another objective, such as tb"
            )
            raise ValueError(message)
        if self.objective == "mle" and not self.search.enabled:
            message = "mle learns from what a search finds; switch the search on, or choose another objective"
            raise ValueError(message)
        temperatures = self.search.temperatures
        if temperatures[0] != 1 or list(temperatures) != sorted(temperatures):
            message = f"search.temperatures are {list(temperatures)}, expected a rising sequence that starts at 1"
            raise ValueError(message)
        if self.search.burn_in >= self.search.steps:
            message = "search.burn_in leaves no step of search.steps; make it shorter"
            raise ValueError(message)
        return self

    @property
    def process_name(self) -> str:
        """The reference process: the method's own for the path-wise ones."""
        return PATHWISE_PROCESSES.get(self.objective, self.process.name)

    @property
    def grid_name(self) -> str:
        """The grid of times; the other processes slow down towards the target by themselves."""
        if self.process.grid != "auto":
            return self.process.grid
        return "geometric" if self.process_name == "brownian" else "uniform"


class BaselineSettings(Settings):
    """A sampler that needs no training."""

    method: Literal["smc", "ais", "mala", "tempering"] = Field("smc", description="what samples")
    energy: str = Field("gmm25", min_length=1, description="name of an energy, or module:attribute of one's own")
    dim: int | None = Field(None, ge=1, description="dimensions, where they can be chosen")
    count: int = Field(2000, ge=2, description="particles or chains")
    steps: int = Field(200, ge=2, description="stages of annealing, or steps of a chain")
    seed: int = Field(0, ge=0, description="seed of everything that is random")
    temperatures: tuple[float, ...] = Field(
        (1.0, 1.5, 2.2, 3.3, 5.0, 8.0), min_length=1, description="ladder of the method tempering"
    )
