"""Which columns of a table of cells say whose a cell is, how it was treated, and what was measured of it."""

from __future__ import annotations

from pydantic import Field

from helicell.core.runs.settings import Settings


class Columns(Settings):
    """Names of the columns of `obs`, and what of the table is read.

    Examples
    --------
    >>> Columns(donor="patient", condition="drug", control="DMSO").labels
    ('patient', 'drug')
    """

    donor: str = Field(description="column of the donor, patient, sample or cell line")
    condition: str = Field(description="column of the treatment")
    control: str = Field(description="value of the condition column of untreated cells")
    cell_type: str | None = Field(None, description="column of the cell type, to tell populations of a donor apart")
    dose: str | None = Field(None, description="column of the dose, a number")
    time: str | None = Field(None, description="column of the time, a number")
    layer: str | None = Field(None, description="layer that holds the measurements; unless given, X")
    features: tuple[str, ...] | None = Field(None, min_length=1, description="features to read; unless given, all")

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of names: donor, condition and, where there is one, cell type."""
        return tuple(column for column in (self.donor, self.condition, self.cell_type) if column is not None)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers: dose and time, where there are such."""
        return tuple(column for column in (self.dose, self.time) if column is not None)
