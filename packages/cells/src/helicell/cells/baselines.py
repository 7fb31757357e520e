"""What a model of responses has to beat: predictions that anyone makes without one.

| name | predicts |
| --- | --- |
| `identity` | that nothing happens |
| `global_shift` | the mean shift of the training populations |
| `cell_type_shift` | the mean shift of the training populations of the same cell type |
| `nearest_shift` | the shift of the training population with the nearest control cells, of the same cell type |
| `own_shift` | the population's own shift, which looks at the answer: the best that moving all cells alike can do |

A shift is the difference between the means of treated and control cells; every population counts once, however many
cells it has. Only training populations of the same condition and dose are asked, or of the same condition, or all of
them where there is none. A `Predictor` is anything with a name that turns a response's control cells into predicted
ones; models and stored predictions are too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.responses import PopulationKey, Response
from helicell.core.errors import InputError

Cells = Float[Tensor, "cells features"]
Means = Float[Tensor, "populations features"]


@runtime_checkable
class Predictor(Protocol):
    """Turns the control cells of a population into what they become."""

    @property
    def name(self) -> str:
        """What tables call it; predictors of one name are repetitions, such as one model trained from several seeds."""
        ...

    def predict(self, response: Response) -> Cells:
        """Return the predicted cells of `response.key`.

        Only baselines that look at the answer on purpose read `response.treated`. If there are as many predicted as
        control cells, row i is what control cell i becomes.
        """
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Nothing happens."""

    name: str = "identity"

    def predict(self, response: Response) -> Cells:
        return response.control


@dataclass(frozen=True, slots=True)
class OwnShift:
    """All cells move by the true difference of the means; it looks at the answer."""

    name: str = "own_shift"

    def predict(self, response: Response) -> Cells:
        return response.control + _shift(response)


@dataclass(frozen=True, slots=True, eq=False)
class GlobalShift:
    """All cells move by the mean shift of the training populations.

    Attributes
    ----------
    keys, shifts
        The training populations and their shifts.
    """

    keys: tuple[PopulationKey, ...]
    shifts: Means
    name: str = "global_shift"

    @classmethod
    def fit(cls, train: Sequence[Response]) -> GlobalShift:
        """Take the shifts of the training populations."""
        return cls(tuple(response.key for response in train), _shifts(train))

    def predict(self, response: Response) -> Cells:
        return response.control + self.shifts[_same_condition(self.keys, response.key)].mean(dim=0)


@dataclass(frozen=True, slots=True, eq=False)
class CellTypeShift:
    """All cells move by the mean shift of the training populations of their cell type; of all where there is none."""

    keys: tuple[PopulationKey, ...]
    shifts: Means
    name: str = "cell_type_shift"

    @classmethod
    def fit(cls, train: Sequence[Response]) -> CellTypeShift:
        """Take the shifts of the training populations."""
        return cls(tuple(response.key for response in train), _shifts(train))

    def predict(self, response: Response) -> Cells:
        asked = _same_condition(self.keys, response.key)
        alike = [index for index in asked if self.keys[index].cell_type == response.key.cell_type]
        return response.control + self.shifts[alike or asked].mean(dim=0)


@dataclass(frozen=True, slots=True, eq=False)
class NearestShift:
    """All cells move by the shift of one training population: the one whose control cells are nearest.

    Nearest is the smallest Euclidean distance between the means of the control cells. Where there are training
    populations of the same cell type, only those are asked, which makes it a stronger baseline.

    Attributes
    ----------
    keys, shifts
        The training populations and their shifts.
    controls
        Means of their control cells.
    within_cell_types
        Whether to keep to the same cell type.
    """

    keys: tuple[PopulationKey, ...]
    shifts: Means
    controls: Means
    within_cell_types: bool = True
    name: str = "nearest_shift"

    @classmethod
    def fit(cls, train: Sequence[Response], *, within_cell_types: bool = True) -> NearestShift:
        """Take the shifts and the control means of the training populations."""
        controls = torch.stack([response.control.mean(dim=0) for response in train])
        return cls(tuple(response.key for response in train), _shifts(train), controls, within_cell_types)

    def nearest(self, response: Response) -> PopulationKey:
        """Return the training population that is asked."""
        return self.keys[self._nearest(response)]

    def predict(self, response: Response) -> Cells:
        return response.control + self.shifts[self._nearest(response)]

    def _nearest(self, response: Response) -> int:
        asked = _same_condition(self.keys, response.key)
        alike = [index for index in asked if self.keys[index].cell_type == response.key.cell_type]
        asked = alike if alike and self.within_cell_types else asked
        distances = (self.controls[asked] - response.control.mean(dim=0)).norm(dim=1)
        return asked[int(distances.argmin())]


@dataclass(frozen=True, slots=True, eq=False)
class StoredPrediction:
    """Cells that were predicted earlier, by population.

    Attributes
    ----------
    cells
        Predicted cells, in the space of the responses they are held against.
    """

    cells: Mapping[PopulationKey, Cells]
    name: str = "model"

    def predict(self, response: Response) -> Cells:
        if response.key not in self.cells:
            message = f"there are no predicted cells of {response.key}; predict them, or evaluate the others"
            raise InputError(message)
        return self.cells[response.key]


def fit_baselines(train: Sequence[Response]) -> list[Predictor]:
    """Return all baselines, fitted to the training populations.

    Parameters
    ----------
    train
        What the model that they are held against was trained on.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> key = PopulationKey(donor="A", condition="drug")
    >>> response = Response(key=key, control=torch.zeros(5, 2), treated=torch.ones(5, 2))
    >>> [predictor.name for predictor in fit_baselines([response])]
    ['identity', 'global_shift', 'nearest_shift', 'own_shift']
    """
    if not train:
        message = "there are no training populations, whose shifts the baselines are; give some"
        raise InputError(message)
    by_type = [CellTypeShift.fit(train)] if any(response.key.cell_type for response in train) else []
    return [Identity(), GlobalShift.fit(train), *by_type, NearestShift.fit(train), OwnShift()]


def _shift(response: Response) -> Float[Tensor, " features"]:
    return response.treated.mean(dim=0) - response.control.mean(dim=0)


def _shifts(train: Sequence[Response]) -> Means:
    return torch.stack([_shift(response) for response in train])


def _same_condition(keys: Sequence[PopulationKey], wanted: PopulationKey) -> list[int]:
    """Return which populations had the same treatment: to the dose if there are such, or else to the condition."""
    return next(filter(None, _candidates(keys, wanted)))


def _candidates(keys: Sequence[PopulationKey], wanted: PopulationKey) -> Iterator[list[int]]:
    alike = [index for index, key in enumerate(keys) if key.condition == wanted.condition]
    yield [index for index in alike if keys[index].dose == wanted.dose]
    yield alike
    yield list(range(len(keys)))
