"""Settings of the model of responses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.cells.columns import Columns
from helicell.cells.preprocessing import PreprocessingSettings
from helicell.core.runs.settings import Settings
from helicell.core.training.settings import OptimiserSettings


class EncoderSettings(Settings):
    """How a control population becomes a vector.

    The baselines are kinds too: "none" knows nothing of the population (plain flow matching), "index" only which of the
    training populations it is (CGFM, which feeds the mean of all indices for a new population).
    """

    kind: Literal["moments", "deep_sets", "attention", "graph", "index", "none"] = Field(
        "moments", description="what looks at the control cells"
    )
    width: int = Field(64, ge=1, description="channels of the population's vector and of what leads to it")
    layers: int = Field(2, ge=1, description="layers that look at single cells (deep sets, graph, attention)")
    cells: int = Field(512, ge=2, description="control cells of a population that are looked at, drawn once")
    random_features: int = Field(64, ge=0, description="random features whose means are moments")
    neighbours: int = Field(20, ge=1, description="neighbours of a cell in the graph")
    seeds: int = Field(8, ge=1, description="queries that attend to the cells")
    heads: int = Field(4, ge=1, description="heads of the attention")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the vector's channels dropped in training")


class FieldSettings(Settings):
    """The network of the velocity."""

    width: int = Field(128, ge=8, description="channels of a cell")
    layers: int = Field(4, ge=1, description="hidden layers")
    frequencies: int = Field(0, ge=0, description="random Fourier features of the position")
    bandwidths: int = Field(
        0, ge=0, description="kernels through which a cell sees the control cells around it; 0 for none"
    )
    widest: float = Field(
        0.5, gt=0, description="bandwidth of the widest kernel, as a share of the spread of a population's cells"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the hidden channels dropped in training")


class ShiftSettings(Settings):
    """The shift of a population's mean."""

    kind: Literal["regressed", "learned"] = Field(
        "regressed",
        description="by a Gaussian process over populations, leaving the rest to the flow; or all by the flow",
    )


class CouplingSettings(Settings):
    """Which control cell goes with which treated cell of a population."""

    kind: Literal["transport", "pairs", "independent", "unbalanced"] = Field(
        "transport",
        description="exact optimal transport within the population, pairs as given, at random, or unbalanced transport",
    )
    pool: int = Field(1024, ge=1, description="cells of a population that are coupled by one plan")
    regularisation: float = Field(0.05, gt=0, description="entropy of unbalanced transport, as a share of the cost")
    marginal_weight: float = Field(1.0, gt=0, description="price of unbalanced mass, as a share of the cost")


class PathSettings(Settings):
    """The path between a control cell and its treated counterpart."""

    gamma: Literal["none", "quadratic", "sine_squared", "brownian"] = Field(
        "none", description="noise around the straight path; any but none also learns the noise, for random sampling"
    )
    scale: float = Field(1.0, gt=0, description="scale of the noise, in units of the model's space")


class ConditionSettings(Settings):
    """How treatments and cell types are told to the network."""

    width: int = Field(32, ge=1, description="channels of a condition's vector")
    cell_types: bool = Field(default=True, description="tell the network the cell type, where keys have one")
    dropout: float = Field(
        0.0, ge=0, le=1, description="share of the populations trained without condition, for classifier-free guidance"
    )


class CalibrationSettings(Settings):
    """How it is found out how much of the flow carries over to donors that were never seen."""

    kind: Literal["held_out", "none"] = Field(
        "held_out", description="by holding donors out once more within training, or not at all: all of the flow"
    )
    folds: int = Field(2, ge=2, description="parts of the donors, each held out once")
    steps: float = Field(0.5, gt=0, le=1, description="training of each part, as a share of the steps of the model")
    donors: int = Field(24, ge=2, description="with more donors than this all of the flow is followed, unasked")


class PopulationFlowSettings(Settings):
    """Everything that determines the training of a `PopulationFlow`, but for its data and seed."""

    encoder: EncoderSettings = EncoderSettings()
    field: FieldSettings = FieldSettings()
    condition: ConditionSettings = ConditionSettings()
    shift: ShiftSettings = ShiftSettings()
    coupling: CouplingSettings = CouplingSettings()
    path: PathSettings = PathSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    optimiser: OptimiserSettings = OptimiserSettings(steps=2000, warm_up=100, average_decay=0.995)
    populations: int = Field(4, ge=1, description="populations in a batch")
    cells: int = Field(256, ge=1, description="cells of each population in a batch")
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="arithmetic of the network in training")
    steps: int = Field(8, ge=1, description="steps of the solver in prediction")
    method: Literal["euler", "midpoint", "heun", "ab2", "rk4", "dopri5"] = Field(
        "midpoint", description="solver in prediction"
    )


class TrainingSettings(Settings):
    """Everything that determines a training run on a table of cells."""

    seed: int = Field(0, ge=0, description="seed of weights, order and draws")
    columns: Columns = Field(description="what the columns of the table mean")
    holdout: tuple[str, ...] = Field(
        (), description="populations to test on, such as donor=A,B or combination=donor:A+condition:X"
    )
    minimum_cells: int | None = Field(
        None, ge=1, description="leave out populations with fewer cells a side; unless given, such are an error"
    )
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    model: PopulationFlowSettings = PopulationFlowSettings()
    evaluation_cells: int = Field(500, ge=2, description="cells of a held-out population that are compared")
