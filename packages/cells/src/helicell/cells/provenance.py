"""Where predicted cells are from: what a file of predictions says of the model that made them, in `uns["helicell"]`.

Whoever evaluates predictions needs to know which columns tell populations apart, which populations the model was
trained on (whose shifts are the baselines), and what was done to the measurements. One JSON text holds it, which h5ad,
zarr and every reader of them keep as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from helicell.cells.columns import Columns
from helicell.cells.preprocessing import PreprocessingSettings
from helicell.cells.responses import PopulationKey
from helicell.core.errors import InputError

KEY = "helicell"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How cells were predicted.

    Attributes
    ----------
    columns
        What told populations apart in the data that the model was trained on; the predicted cells have them too.
    trained_on
        The populations that the model has seen.
    preprocessing
        What was done to the measurements before the model saw them.
    facts
        What else a reader should know: model, checksum, seed, steps, versions.
    """

    columns: Columns
    trained_on: tuple[PopulationKey, ...] = ()
    preprocessing: PreprocessingSettings | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_uns(self) -> dict[str, str]:
        """Return the entry of `uns`.

        Examples
        --------
        >>> columns = Columns(donor="patient", condition="drug", control="DMSO")
        >>> Provenance.from_uns(Provenance(columns).to_uns()).columns == columns
        True
        """
        record = {
            "columns": self.columns.to_mapping(),
            "trained_on": [asdict(key) for key in self.trained_on],
            "preprocessing": None if self.preprocessing is None else self.preprocessing.to_mapping(),
            "facts": dict(self.facts),
        }
        return {KEY: json.dumps(record)}

    @classmethod
    def from_uns(cls, uns: Mapping[str, Any], *, name: str = "the AnnData object") -> Self | None:
        """Read the entry of `uns`; None where there is none.

        Raises
        ------
        InputError
            If there is one that cannot be read.
        """
        if KEY not in uns:
            return None
        try:
            record = json.loads(str(uns[KEY]))
            preprocessing = record["preprocessing"]
            return cls(
                columns=Columns.from_mapping(record["columns"]),
                trained_on=tuple(PopulationKey(**key) for key in record["trained_on"]),
                preprocessing=None if preprocessing is None else PreprocessingSettings.from_mapping(preprocessing),
                facts=record["facts"],
            )
        except (ValueError, KeyError, TypeError) as error:
            message = f"uns[{KEY!r}] of {name} cannot be read: {error}; predict again"
            raise InputError(message) from error
