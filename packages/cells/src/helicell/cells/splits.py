"""Hold-outs: which populations a model does not see, so that it can be judged on them.

A held-out donor's control cells leave the training set with its treated ones, unless other populations of that donor
stay: then its controls stay too, as they were measured for those as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helicell.cells.populations import Populations
from helicell.cells.responses import PopulationKey
from helicell.core.errors import InputError, unknown_option

KINDS = ("donor", "condition", "cell_type", "time")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Populations that share everything that is given here.

    Examples
    --------
    >>> HeldOut(donor="A", condition="X").matches(PopulationKey(donor="A", condition="Y"))
    False
    """

    donor: str | None = None
    condition: str | None = None
    cell_type: str | None = None
    time: float | None = None

    def matches(self, key: PopulationKey) -> bool:
        """Tell whether a population is one of these."""
        given = (
            (self.donor, key.donor),
            (self.condition, key.condition),
            (self.cell_type, key.cell_type),
            (self.time, key.time),
        )
        return all(wanted is None or wanted == value for wanted, value in given)


def split(populations: Populations, held_out: Sequence[HeldOut]) -> tuple[Populations, Populations]:
    """Return training and test populations.

    Parameters
    ----------
    populations
        All of them.
    held_out
        Those for the test; a population goes there if it matches any.

    Raises
    ------
    InputError
        If a name is unknown, an entry matches nothing, or one of the two sides would be empty.
    """
    for entry in held_out:
        _check_names(populations, entry)
    if not held_out:
        message = "nothing is held out; name donors, conditions or combinations"
        raise InputError(message)

    def tested(key: PopulationKey) -> bool:
        return any(entry.matches(key) for entry in held_out)

    if all(tested(key) for key in populations.keys):
        message = f"all {len(populations)} populations of {populations.name} are held out; leave some to train on"
        raise InputError(message)
    return populations.where(lambda key: not tested(key)), populations.where(tested)


def split_by_donor(populations: Populations, donors: Sequence[str]) -> tuple[Populations, Populations]:
    """Return training and test populations, all of these donors in the test."""
    return split(populations, [HeldOut(donor=donor) for donor in donors])


def split_by_condition(populations: Populations, conditions: Sequence[str]) -> tuple[Populations, Populations]:
    """Return training and test populations, all of these conditions in the test."""
    return split(populations, [HeldOut(condition=condition) for condition in conditions])


def split_by_combination(
    populations: Populations, combinations: Sequence[tuple[str, str]]
) -> tuple[Populations, Populations]:
    """Return training and test populations, these pairs of donor and condition in the test."""
    return split(populations, [HeldOut(donor=donor, condition=condition) for donor, condition in combinations])


def parse_holdout(text: str) -> list[HeldOut]:
    """Read a hold-out as the command line takes it.

    Parameters
    ----------
    text
        `donor=A,B`, `condition=X`, `cell_type=T`, `time=8`, or `combination=donor:A+condition:X`, several of them
        separated by commas.

    Raises
    ------
    InputError
        If the text is none of these.

    Examples
    --------
    >>> [entry.donor for entry in parse_holdout("donor=A,B")]
    ['A', 'B']
    >>> parse_holdout("combination=donor:A+condition:X+Y")
    [HeldOut(donor='A', condition='X+Y', cell_type=None, time=None)]
    """
    kind, equals, listed = text.partition("=")
    values = [value for value in listed.split(",") if value]
    if not equals or not values:
        message = f"the hold-out is {text!r}, expected for example donor=A,B or combination=donor:A+condition:X"
        raise InputError(message)
    if kind == "combination":
        return [_combination(value) for value in values]
    if kind not in KINDS:
        raise unknown_option("hold-out", kind, [*KINDS, "combination"])
    return [_held_out({kind: value}) for value in values]


def _combination(text: str) -> HeldOut:
    """Read `donor:A+condition:X`; a plus sign within a condition belongs to it."""
    parts = re.split(rf"\+(?=(?:{'|'.join(KINDS)}):)", text)
    given: dict[str, str] = {}
    for part in parts:
        kind, colon, value = part.partition(":")
        if not colon or not value or kind in given:
            message = f"the combination is {text!r}, expected for example donor:A+condition:X"
            raise InputError(message)
        if kind not in KINDS:
            raise unknown_option("part of a combination", kind, KINDS)
        given[kind] = value
    return _held_out(given)


def _held_out(given: Mapping[str, str]) -> HeldOut:
    """Return the entry of these texts, of which the time has to be a number."""
    time = None
    if "time" in given:
        try:
            time = float(given["time"])
        except ValueError as error:
            message = f"the time that is held out is {given['time']!r}, expected a number"
            raise InputError(message) from error
    return HeldOut(given.get("donor"), given.get("condition"), given.get("cell_type"), time)


def _check_names(populations: Populations, entry: HeldOut) -> None:
    known = (populations.donors, populations.conditions, populations.cell_types)
    for what, name, names in zip(KINDS, (entry.donor, entry.condition, entry.cell_type), known, strict=False):
        if name is not None and name not in names:
            raise unknown_option(what.replace("_", " "), name, names)
    if not any(entry.matches(key) for key in populations.keys):
        message = f"no population is {entry}; {populations.name} holds {len(populations)} others"
        raise InputError(message)
