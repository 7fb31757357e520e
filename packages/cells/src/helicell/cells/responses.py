"""What a model of responses learns from: a control population, what a treatment made of it, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, order=True)
class PopulationKey:
    """Which population is meant.

    Attributes
    ----------
    donor
        The donor, patient, sample or cell line.
    condition
        The treatment; several treatments together are joined by "+".
    cell_type
        The type of its cells, where populations are told apart by it.
    dose
        The dose of the treatment, in the units of the data.
    time
        When it was taken, in the units of the data.
    """

    donor: str
    condition: str
    cell_type: str | None = None
    dose: float | None = None
    time: float | None = None

    def __str__(self) -> str:
        parts = (self.donor, self.cell_type, self.condition, self.dose, self.time)
        return " / ".join(str(part) for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class Response:
    """A control population and its treated counterpart, in the features that the model works in.

    The cells of the two are different cells; rows are not pairs unless `paired` says so.

    Attributes
    ----------
    key
        Of the treated population; the control shares donor and cell type.
    control
        Shape [controls, features].
    treated
        Shape [treated, features].
    paired
        Whether row i of both is the same cell, as in simulations.
    """

    key: PopulationKey
    control: Float[Tensor, "controls features"]
    treated: Float[Tensor, "treated features"]
    paired: bool = False
