"""Predictions held against the treated cells of populations that no predictor was fitted to.

`evaluate_responses` measures every predictor on every population and adds the floor; `Evaluation` holds the table, sums
it up with intervals, and reads and writes it. All measures of a population look at the same cells: at most so many of
the predicted and of the treated ones, drawn anew for every seed, and the same rows for all predictors that keep rows.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from helicell.cells.baselines import Predictor
from helicell.cells.evaluation.floor import floor
from helicell.cells.evaluation.intervals import Interval, difference_interval, mean_interval
from helicell.cells.evaluation.measures import MEASURES, find_measure
from helicell.cells.responses import Response
from helicell.core.citations import cited
from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.files import atomic_write, write_json
from helicell.core.runs.seeds import sample_generator

if TYPE_CHECKING:
    import pandas as pd

CELLS = 500
FLOOR = "floor"
# Columns that say what a row of the table is about, before those of the measures.
KEY_COLUMNS = ("donor", "cell_type", "condition", "dose", "time")
ROW_COLUMNS = (*KEY_COLUMNS, "predictor", "repetition", "seed", "controls", "treated")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured.

    Attributes
    ----------
    table
        A row for each population, predictor, repetition (of predictors of one name) and seed, with its measures.
    cells
        At most so many cells of each were compared.
    facts
        What else a reader should know, such as where the populations are from.
    """

    table: pd.DataFrame
    cells: int = CELLS
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that were taken."""
        return tuple(name for name in MEASURES if name in self.table)

    @property
    def predictors(self) -> tuple[str, ...]:
        """What was measured, in the order of the table."""
        return tuple(dict.fromkeys(self.table["predictor"]))

    @property
    def populations(self) -> int:
        """How many populations were predicted."""
        return len(self.table[list(KEY_COLUMNS)].drop_duplicates())

    def values(self, measure: str, predictor: str) -> NDArray[np.float64]:
        """Return what was measured of one predictor, shape [populations, repetitions].

        Raises
        ------
        InputError
            If the measure was not taken, or there is no such predictor.
        """
        if measure not in self.measures:
            raise unknown_option("measure", measure, self.measures)
        if predictor not in self.predictors:
            raise unknown_option("predictor", predictor, self.predictors)
        rows = self.table[self.table["predictor"] == predictor]
        names = [self.table[column].astype(object).where(self.table[column].notna(), "") for column in KEY_COLUMNS]
        population = list(zip(*(column[rows.index] for column in names), strict=True))
        order = {key: place for place, key in enumerate(dict.fromkeys(zip(*names, strict=True)))}
        repetition = list(zip(rows["repetition"], rows["seed"], strict=True))
        columns = {pair: place for place, pair in enumerate(sorted(set(repetition)))}
        result = np.full((len(order), len(columns)), np.nan)
        for key, pair, value in zip(population, repetition, rows[measure].to_numpy(dtype=float), strict=True):
            result[order[key], columns[pair]] = value
        return result

    def interval(self, measure: str, predictor: str) -> Interval:
        """Return the mean over populations and repetitions, with its interval."""
        return mean_interval(self.values(measure, predictor))

    def difference(self, measure: str, first: str, second: str) -> Interval:
        """Return the mean of first minus second over populations, with its interval; below 0 the first is smaller."""
        return difference_interval(self.values(measure, first), self.values(measure, second))

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Return the mean of every measure for every predictor; None where it is not defined."""
        return {
            measure: {name: _number(self.interval(measure, name).mean) for name in self.predictors}
            for measure in self.measures
        }

    def metrics(self, *, model: str = "model") -> dict[str, Any]:
        """Return everything in sum as plain values, as `metrics.json` holds it.

        Parameters
        ----------
        model
            The predictor whose differences from all others are given; none if there is no such.
        """
        intervals: dict[str, dict[str, list[float | None]]] = {}
        differences: dict[str, dict[str, list[float | None]]] = {}
        for measure in self.measures:
            found = {name: self.interval(measure, name) for name in self.predictors}
            intervals[measure] = {name: _limits(one) for name, one in found.items()}
            if model in self.predictors:
                others = [name for name in self.predictors if name != model]
                compared = {name: self.difference(measure, model, name) for name in others}
                differences[measure] = {name: [_number(one.mean), *_limits(one)] for name, one in compared.items()}
        return {
            **self.summary(),
            "intervals": intervals,
            "differences": differences,
            "populations": self.populations,
            "cells": self.cells,
            "facts": dict(self.facts),
        }

    def write(self, path: str | Path) -> None:
        """Write the sums to `path` as JSON, and the table beside it as CSV, each whole or not at all.

        Raises
        ------
        InputError
            If the name does not end in .json, or is that of a folder.
        """
        path = check_output(path)
        with atomic_write(path.with_suffix(".csv")) as temporary:
            self.table.to_csv(temporary, index=False, float_format="%.8g")
        write_json(path, self.metrics())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        InputError
            If a file is absent or damaged.
        """
        import pandas as pd

        path = Path(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            names = dict.fromkeys((*KEY_COLUMNS[:3], "predictor"), str)
            table = pd.read_csv(path.with_suffix(".csv"), dtype=names)
            _check_columns(table)
            return cls(table, int(record["cells"]), record["facts"])
        except OSError as error:
            message = f"cannot read {error.filename}: {error.strerror}; write it with `helicell cells evaluate`"
            raise InputError(message) from error
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path} is not what `helicell cells evaluate` writes; evaluate again"
            raise InputError(message) from error

    @classmethod
    def together(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Return evaluations of different populations, such as the folds of a cross-validation, as one.

        Raises
        ------
        InputError
            If there is none, a population is in two of them, or they compared different numbers of cells.
        """
        import pandas as pd

        if not parts:
            message = "there are no evaluations to put together"
            raise InputError(message)
        if len({part.cells for part in parts}) > 1:
            message = f"the evaluations compared {', '.join(str(part.cells) for part in parts)} cells; take one number"
            raise InputError(message)
        table = pd.concat([part.table for part in parts], ignore_index=True)
        twice = table.duplicated([*KEY_COLUMNS, "predictor", "repetition", "seed"])
        if twice.any():
            row = table[twice].iloc[0]
            message = f"{row['donor']} / {row['condition']} was evaluated twice; put different populations together"
            raise InputError(message)
        return cls(table, parts[0].cells, parts[0].facts)

    def beside(self, other: Evaluation) -> Evaluation:
        """Return the same rows with the measures of both, such as those of two spaces.

        Raises
        ------
        InputError
            If the other evaluation is of other rows.
        """
        rows = [*KEY_COLUMNS, "predictor", "repetition", "seed"]
        if not self.table[rows].astype(str).equals(other.table[rows].astype(str)):
            message = "the two evaluations are of different populations or predictors"
            raise InputError(message)
        table = self.table.assign(**{name: other.table[name] for name in other.measures})
        return type(self)(table, self.cells, {**self.facts, **other.facts})


def check_output(path: str | Path) -> Path:
    """Return the path that sums can be written to.

    Raises
    ------
    InputError
        If the name does not end in .json (the table goes beside it, as .csv), or is that of a folder.
    """
    path = Path(path)
    if path.is_dir():
        message = f"{path} is a folder; give the name of a file to write, such as {path / 'metrics.json'}"
        raise InputError(message)
    if path.suffix != ".json":
        message = f"the sums are written as JSON and {path.name} does not end in .json; rename it"
        raise InputError(message)
    return path


@cited(
    "atanackovic2024meta",
    "bunne2023learning",
    "feydy2019interpolating",
    "flamary2021pot",
    "nguyen2024sliced",
    "owen2007pigeonhole",
    "szekely2013energy",
)
def evaluate_responses(
    predictors: Sequence[Predictor],
    held_out: Sequence[Response],
    *,
    cells: int = CELLS,
    measures: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    facts: Mapping[str, str] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure predictors on populations.

    Parameters
    ----------
    predictors
        A model and what it is held against; see `baselines.fit_baselines`. Predictors of one name count as repetitions.
        The floor is always added.
    held_out
        Populations that no predictor was fitted to, in the space to measure in.
    cells
        At most so many predicted and treated cells are compared.
    measures
        Names of `measures.MEASURES`; all unless given.
    seeds
        Of the draws of cells; one repetition for each.
    facts
        Kept with the result.
    advance
        Told the number of populations just done.

    Raises
    ------
    InputError
        If there is no population or predictor, a name is unknown, or a prediction does not fit its population.

    Examples
    --------
    >>> from helicell.cells.baselines import Identity
    >>> from helicell.cells.responses import PopulationKey
    >>> key = PopulationKey(donor="A", condition="drug")
    >>> response = Response(key=key, control=torch.zeros(20, 2), treated=torch.ones(20, 2))
    >>> evaluation = evaluate_responses([Identity()], [response], measures=["w1", "mean_error"])
    >>> round(evaluation.summary()["w1"]["identity"], 4)
    1.4142
    """
    import pandas as pd

    _check_input(predictors, held_out, cells, seeds)
    chosen = [find_measure(name) for name in (measures or MEASURES)]
    repetitions = _repetitions(predictors)
    rows: list[dict[str, Any]] = []
    for response in held_out:
        control, treated = response.control, response.treated
        predictions = [_checked(predictor, response) for predictor in predictors]
        for seed in seeds:
            generator = sample_generator(seed, 0, stream=f"evaluation of {response.key}")
            taken = _drawn(len(control), cells, generator)
            truth = treated[_drawn(len(treated), cells, generator)]
            for predictor, repetition, predicted in zip(predictors, repetitions, predictions, strict=True):
                kept = len(predicted) == len(control)
                some = predicted[taken if kept else _drawn(len(predicted), cells, generator)]
                found = {measure.name: measure(control, some, truth) for measure in chosen}
                rows.append({**_row(response, predictor.name, repetition, seed), **found})
            size = 2 / (1 / len(taken) + 1 / len(truth))
            floors = {one.name: floor(one, control, treated, size=size, generator=generator) for one in chosen}
            rows.append({**_row(response, FLOOR, 0, seed), **floors})
        advance(1)
    return Evaluation(pd.DataFrame(rows), cells, facts or {})


def _check_input(
    predictors: Sequence[Predictor], held_out: Sequence[Response], cells: int, seeds: Sequence[int]
) -> None:
    if not predictors or not held_out or not seeds:
        message = "there is nothing to evaluate; give one predictor, one held-out population and one seed or more"
        raise InputError(message)
    if cells < 2:
        message = f"{cells} cells were asked to be compared, expected 2 or more"
        raise InputError(message)
    if any(predictor.name == FLOOR for predictor in predictors):
        message = f"a predictor is called {FLOOR!r}, which is the name of the floor; choose another"
        raise InputError(message)
    twice = [str(key) for key, count in Counter(response.key for response in held_out).items() if count > 1]
    if twice:
        message = f"the population {twice[0]} is given twice; give every held-out population once"
        raise InputError(message)


def _repetitions(predictors: Sequence[Predictor]) -> list[int]:
    """Return for each predictor how many of its name come before it."""
    seen: Counter[str] = Counter()
    result = []
    for predictor in predictors:
        result.append(seen[predictor.name])
        seen[predictor.name] += 1
    return result


def _checked(predictor: Predictor, response: Response) -> torch.Tensor:
    predicted = predictor.predict(response).detach().cpu()
    features = response.treated.shape[1]
    if predicted.ndim != 2 or predicted.shape[1] != features or not len(predicted):
        message = (
            f"{predictor.name} predicted the shape {list(predicted.shape)} for {response.key}, expected cells of "
            f"{features} features"
        )
        raise InputError(message)
    if not predicted.isfinite().all():
        message = f"{predictor.name} predicted numbers for {response.key} that are not finite; train it anew"
        raise InputError(message)
    return predicted


def _drawn(count: int, most: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randperm(count, generator=generator)[:most]


def _row(response: Response, predictor: str, repetition: int, seed: int) -> dict[str, Any]:
    key = response.key
    return {
        **{name: getattr(key, name) for name in KEY_COLUMNS},
        "predictor": predictor,
        "repetition": repetition,
        "seed": seed,
        "controls": len(response.control),
        "treated": len(response.treated),
    }


def _check_columns(table: pd.DataFrame) -> None:
    missing = [name for name in ROW_COLUMNS if name not in table]
    if missing or not any(name in table for name in MEASURES):
        message = f"the table lacks {missing[0] if missing else 'measures'}"
        raise ValueError(message)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _limits(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]
