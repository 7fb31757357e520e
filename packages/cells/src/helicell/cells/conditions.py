"""Treatments as the network takes them: sets of treatments with doses, named or by given embeddings, and cell types.

`Conditions` knows the names and turns keys into numbers, `ConditionEncoder` turns these into a vector. A set of
treatments is a sum over its members, so their order does not matter.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from helicell.cells.responses import PopulationKey
from helicell.core.errors import InputError, suggestion

logger = logging.getLogger(__name__)

# Treatments given together are joined by this sign; a treatment's own dose follows the other one.
TOGETHER, AT_DOSE = "+", "@"


@dataclass(frozen=True, slots=True)
class ConditionBatch:
    """Conditions of several populations.

    Attributes
    ----------
    treatments
        One row for each treatment of a set, padded.
    given
        Which rows are treatments.
    cell_types
        One-hot; all zero where the type is not known.
    """

    treatments: Float[Tensor, "populations slots treatment_features"]
    given: Bool[Tensor, "populations slots"]
    cell_types: Float[Tensor, "populations cell_types"]

    def to(self, device: torch.device) -> ConditionBatch:
        """Return the batch on a device."""
        return ConditionBatch(self.treatments.to(device), self.given.to(device), self.cell_types.to(device))

    def among(self, rows: Sequence[int]) -> ConditionBatch:
        """Return the conditions of some populations, in this order."""
        chosen = torch.tensor(rows)
        return ConditionBatch(self.treatments[chosen], self.given[chosen], self.cell_types[chosen])


def parse_condition(text: str, *, dose: float | None = None) -> dict[str, float | None]:
    """Return the treatments that a condition names, each with its dose.

    Parameters
    ----------
    text
        Treatments joined by "+"; a dose of its own may follow "@".
    dose
        The dose of treatments without one of their own.

    Raises
    ------
    InputError
        If a name is empty or given twice.

    Examples
    --------
    >>> parse_condition("trametinib+JQ1@0.5", dose=2.0)
    {'trametinib': 2.0, 'JQ1': 0.5}
    """
    treatments: dict[str, float | None] = {}
    for part in text.split(TOGETHER):
        name, sign, amount = part.strip().rpartition(AT_DOSE)
        own = _number(amount) if sign else None
        name = name if own is not None else part.strip()
        if not name or name in treatments:
            fault = f"{name!r} twice" if name else "an empty name"
            message = f"the condition {text!r} holds {fault}; give different treatments joined by {TOGETHER!r}"
            raise InputError(message)
        treatments[name] = own if own is not None else dose
    return treatments


class Conditions:
    """The treatments and cell types of a model, by name.

    Parameters
    ----------
    treatments
        Names of the treatments that were trained on.
    cell_types
        Names of the cell types.
    embeddings
        Vectors of treatments, of one length, shape [features]. With them treatments are known by their vectors only,
        so that those without training data can be asked for; without them, by their names.
    dose_centre, dose_scale
        Of the logarithm of the doses.

    See Also
    --------
    Conditions.of : gathers them from the keys of training populations.
    """

    def __init__(
        self,
        treatments: Sequence[str],
        cell_types: Sequence[str] = (),
        *,
        embeddings: Mapping[str, Tensor] | None = None,
        dose_centre: float = 0.0,
        dose_scale: float = 1.0,
    ) -> None:
        self.treatments, self.cell_types = tuple(treatments), tuple(cell_types)
        self.embeddings = None if embeddings is None else _checked_embeddings(embeddings)
        self.dose_centre, self.dose_scale = dose_centre, dose_scale
        for name in self.treatments if self.embeddings is not None else ():
            if name not in self.embeddings:  # type: ignore[operator]
                message = f"the treatment {name!r} has no embedding; give one for each treatment that is trained on"
                raise InputError(message)

    @classmethod
    def of(
        cls,
        keys: Iterable[PopulationKey],
        *,
        embeddings: Mapping[str, Tensor] | None = None,
        cell_types: bool = True,
    ) -> Conditions:
        """Return the conditions that occur in keys."""
        keys = list(keys)
        parsed = [parse_condition(key.condition, dose=key.dose) for key in keys]
        names = sorted({name for treatments in parsed for name in treatments})
        types = sorted({key.cell_type for key in keys if key.cell_type is not None}) if cell_types else []
        logs = [_log_dose(dose) for treatments in parsed for dose in treatments.values() if dose is not None]
        centre = sum(logs) / len(logs) if logs else 0.0
        spread = math.sqrt(sum((x - centre) ** 2 for x in logs) / len(logs)) if logs else 0.0
        return cls(names, types, embeddings=embeddings, dose_centre=centre, dose_scale=spread or 1.0)

    @property
    def treatment_features(self) -> int:
        """Numbers that describe a treatment, with two for its dose."""
        if self.embeddings is not None:
            return len(next(iter(self.embeddings.values()))) + 2
        return len(self.treatments) + 2

    def encode(self, keys: Sequence[PopulationKey]) -> ConditionBatch:
        """Return what the network is told of these keys' conditions.

        Raises
        ------
        InputError
            If a treatment is known neither by its name nor by an embedding.
        """
        sets = [parse_condition(key.condition, dose=key.dose) for key in keys]
        slots = max(len(treatments) for treatments in sets)
        rows = torch.zeros(len(keys), slots, self.treatment_features)
        given = torch.zeros(len(keys), slots, dtype=torch.bool)
        types = torch.zeros(len(keys), len(self.cell_types))
        for i, (key, treatments) in enumerate(zip(keys, sets, strict=True)):
            for slot, (name, dose) in enumerate(treatments.items()):
                rows[i, slot] = self._treatment(name, dose)
                given[i, slot] = True
            if key.cell_type in self.cell_types:
                types[i, self.cell_types.index(key.cell_type)] = 1
            elif self.cell_types and key.cell_type is not None:
                logger.warning("the cell type %r was not trained on; it is left open", key.cell_type)
        return ConditionBatch(rows, given, types)

    def _treatment(self, name: str, dose: float | None) -> Tensor:
        row = torch.zeros(self.treatment_features)
        if self.embeddings is not None:
            if name not in self.embeddings:
                raise self._unknown(name, "has no embedding", self.embeddings)
            row[:-2] = self.embeddings[name]
        else:
            if name not in self.treatments:
                raise self._unknown(name, "was not trained on and has no embedding", self.treatments)
            row[self.treatments.index(name)] = 1
        if dose is not None:
            row[-2], row[-1] = 1, (_log_dose(dose) - self.dose_centre) / self.dose_scale
        return row

    @staticmethod
    def _unknown(name: str, fault: str, known: Iterable[str]) -> InputError:
        names = list(known)
        message = f"the treatment {name!r} {fault}{suggestion(name, names)}; known: {', '.join(names)}"
        return InputError(message)

    def with_embeddings(self, embeddings: Mapping[str, Tensor]) -> Conditions:
        """Return the conditions with embeddings of further treatments.

        Raises
        ------
        InputError
            If the model was trained on names, or lengths differ.
        """
        if self.embeddings is None:
            message = "this model knows treatments by their names; train it with embeddings to ask for others by theirs"
            raise InputError(message)
        merged = {**self.embeddings, **embeddings}
        return Conditions(
            self.treatments,
            self.cell_types,
            embeddings=merged,
            dose_centre=self.dose_centre,
            dose_scale=self.dose_scale,
        )

    def describe(self) -> dict[str, Any]:
        """Return everything but the embeddings, as JSON can hold it."""
        return {
            "treatments": list(self.treatments),
            "cell_types": list(self.cell_types),
            "embedded": list(self.embeddings) if self.embeddings is not None else None,
            "dose_centre": self.dose_centre,
            "dose_scale": self.dose_scale,
        }


class ConditionEncoder(nn.Module):
    """Turns conditions into vectors.

    Parameters
    ----------
    treatment_features, cell_types
        Sizes of what `Conditions` encodes.
    width
        Channels of the vector.
    """

    def __init__(self, treatment_features: int, cell_types: int, *, width: int) -> None:
        super().__init__()
        self.treatment = nn.Sequential(nn.Linear(treatment_features, width), nn.SiLU(), nn.Linear(width, width))
        self.cell_type = nn.Linear(cell_types, width, bias=False) if cell_types else None
        self.null = nn.Parameter(torch.zeros(width))

    def forward(
        self, conditions: ConditionBatch, dropped: Bool[Tensor, " populations"] | None = None
    ) -> Float[Tensor, "populations width"]:
        """Return the vectors; those of `dropped` populations do not tell their treatments."""
        each = self.treatment(conditions.treatments)
        vector = (each * conditions.given[..., None]).sum(dim=1)
        if dropped is not None:
            vector = torch.where(dropped[:, None], self.null.to(vector.dtype), vector)
        return vector if self.cell_type is None else vector + self.cell_type(conditions.cell_types)


def _checked_embeddings(embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = {name: torch.as_tensor(vector, dtype=torch.float32).cpu() for name, vector in embeddings.items()}
    shapes = {tuple(vector.shape) for vector in tensors.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        message = f"the embeddings of treatments have the shapes {sorted(shapes)}; give vectors of one length"
        raise InputError(message)
    for name, vector in tensors.items():
        if not vector.isfinite().all():
            message = f"the embedding of the treatment {name!r} is not finite; give finite numbers"
            raise InputError(message)
    return tensors


def _log_dose(dose: float) -> float:
    if not dose >= 0 or math.isinf(dose):
        message = f"the dose {dose} is no amount; give a finite number of 0 or more"
        raise InputError(message)
    return math.log1p(dose)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
