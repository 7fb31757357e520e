"""Donors: cells of several types that signal to each other, so that a response depends on the whole population.

A cell is a point z, its state. A donor is a mixture of cell types in proportions of its own. Cells of some states
secrete signals, and every cell of the sample feels their mean level s. A drug moves a cell by

    z' = z + sum over its drugs of  h(dose) Phi(receptor . z + b) (u + strength * sum_j (s_j - s0_j) M_j),

where the gate Phi (the standard normal's distribution function) asks whether the cell has the receptor, u is the drug's
effect in a typical donor, and M_j is what signal j makes of it. Two donors' cells of equal state respond differently,
and nothing in the cell itself says how: only the population does. `DonorSimulation.oracle` is this map, exactly, and
`signals` the levels of a donor in closed form, since the mean of Phi over a Gaussian is Phi again.

What is measured of a state is either cytometry (intensities whose arcsinh is the state plus noise) or counts
(negative binomial counts of genes whose log rates are linear in the state).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from helicell.cells.columns import Columns
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.simulate.mixtures import (
    CellTypes,
    Donor,
    Readouts,
    draw_donor,
    draw_types,
    gamma_like,
    towards_types,
    unit_vectors,
)
from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.seeds import sample_generator
from helicell.core.runs.settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData

CONTROL = "control"
COFACTOR = 5.0
OFFSET = 2.0  # of cytometry: the arcsinh of a marker at the middle of all states
DRUG_SIZE = 1.0  # length of a drug's effect in a typical donor
SIGNAL_SIZE = 6.0  # how much that changes when everybody secretes instead of nobody
RECEPTOR_OFFSET = 1.0  # so that most cells have some of a receptor
HALF_DOSE = 0.5  # dose of half the effect
GENE_RATE = 1.0  # standard deviation of a gene's log rate per unit of state, times sqrt(states)
LIBRARY_SPREAD = 0.3  # standard deviation of the log of a cell's counts


class DonorSettings(Settings):
    """What is simulated."""

    donors: int = Field(24, ge=2, description="number of donors")
    cell_types: int = Field(4, ge=1, description="number of cell types")
    states: int = Field(10, ge=2, description="dimensions of a cell's state; the markers of cytometry")
    signals: int = Field(2, ge=0, description="number of signals, each secreted mainly by one cell type")
    drugs: int = Field(3, ge=1, description="number of drugs")
    pairs: bool = Field(default=False, description="also every pair of drugs, whose effects add up")
    doses: tuple[float, ...] = Field((), description="doses of every drug; unless given, one that gives all its effect")
    signalling: float = Field(1.0, ge=0, description="strength of the signals; with 0, donors respond alike")
    donor_shift: float = Field(0.1, ge=0, description="standard deviation of what is a donor's own in all its states")
    composition: float = Field(1.0, gt=0, description="how even donors are: concentration of the cell types' shares")
    cells: int = Field(1000, ge=1, description="cells of a population")
    measurement: Literal["cytometry", "counts"] = Field("cytometry", description="what is measured of a state")
    noise: float = Field(0.1, ge=0, description="of cytometry: standard deviation in arcsinh units")
    genes: int = Field(100, ge=2, description="of counts: number of genes")
    library: float = Field(5000.0, gt=0, description="of counts: typical sum of a cell's counts")
    dispersion: float = Field(0.2, ge=0, description="of counts: variance is mean + dispersion * mean^2")
    seed: int = Field(0, ge=0, description="of everything")


@dataclass(frozen=True, slots=True)
class DonorSimulation:
    """A simulated study, every parameter of which is known; made by `create`.

    Attributes
    ----------
    settings
        What was asked for.
    types, donors
        Cells.
    secretion
        How much of each signal a cell secretes.
    receptors
        How much of each drug a cell takes.
    effects
        The drugs' effects u in a typical donor, [drugs, states].
    modulations
        What the signals make of them, M, [drugs, signals, states].
    typical
        The signals' levels of a typical donor, s0, [signals].
    genes
        Log rates of the genes: [genes, states] and [genes].
    """

    settings: DonorSettings
    types: CellTypes
    donors: tuple[Donor, ...]
    secretion: Readouts
    receptors: Readouts
    effects: Float[Tensor, "drugs states"]
    modulations: Float[Tensor, "drugs signals states"]
    typical: Float[Tensor, " signals"]
    genes: tuple[Tensor, Tensor]

    @classmethod
    def create(cls, settings: DonorSettings | None = None) -> DonorSimulation:
        """Draw types, donors, signals and drugs."""
        settings = settings or DonorSettings()
        _check(settings)
        generator = sample_generator(settings.seed, 0, stream="world of donors")
        drugs, states = settings.drugs, settings.states
        types = draw_types(settings.cell_types, states, generator=generator)
        secretion = towards_types(types, settings.signals)
        receptors = Readouts(
            weights=unit_vectors(drugs, states, generator=generator),
            offsets=torch.full((drugs,), RECEPTOR_OFFSET, dtype=torch.float64),
        )
        effects = DRUG_SIZE * unit_vectors(drugs, states, generator=generator)
        modulations = SIGNAL_SIZE * unit_vectors(drugs * settings.signals, states, generator=generator)
        return cls(
            settings=settings,
            types=types,
            donors=tuple(_donor(settings, types, number) for number in range(settings.donors)),
            secretion=secretion,
            receptors=receptors,
            effects=effects,
            modulations=modulations.view(drugs, settings.signals, states),
            typical=secretion.means(types.means, types).mean(dim=0),
            genes=_genes(settings, generator),
        )

    @property
    def drugs(self) -> tuple[str, ...]:
        """Names of the drugs."""
        return tuple(f"drug{number + 1}" for number in range(self.settings.drugs))

    @property
    def conditions(self) -> tuple[str, ...]:
        """All treatments: the drugs and, where asked for, pairs of them."""
        pairs = [f"{a}+{b}" for position, a in enumerate(self.drugs) for b in self.drugs[position + 1 :]]
        return (*self.drugs, *(pairs if self.settings.pairs else ()))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what is measured."""
        counted = self.settings.measurement == "counts"
        count = self.settings.genes if counted else self.settings.states
        return tuple(f"{'gene' if counted else 'marker'}{number + 1}" for number in range(count))

    @property
    def columns(self) -> Columns:
        """Where `anndata` puts the labels."""
        dose = "dose" if self.settings.doses else None
        return Columns(donor="donor", condition="condition", control=CONTROL, dose=dose)

    def signals(self, donor: int) -> Float[Tensor, " signals"]:
        """Return the levels of the signals in a donor's sample, exactly: expected over infinitely many cells."""
        chosen = self.donors[donor]
        return chosen.shares @ self.secretion.means(self.types.means + chosen.shift, self.types)

    def oracle(
        self,
        states: Float[Tensor, "cells states"],
        condition: str,
        *,
        dose: float | None = None,
        signals: Float[Tensor, " signals"] | None = None,
    ) -> Float[Tensor, "cells states"]:
        """Return the true states of cells after a treatment.

        Parameters
        ----------
        states
            Untreated cells.
        condition
            A drug, or several joined by "+".
        dose
            Of each of them; unless given, so much that it gives all its effect.
        signals
            The levels that the cells feel; unless given, what these cells themselves secrete.

        Raises
        ------
        InputError
            If a drug is unknown.
        """
        z = states.double()
        levels = self.secretion(z).mean(dim=0) if signals is None else signals.double()
        gates = self.receptors(z)
        saturation = 1.0 if dose is None else dose / (dose + HALF_DOSE)
        moved = z
        for name in condition.split("+"):
            if name not in self.drugs:
                raise unknown_option("drug", name, self.drugs)
            drug = self.drugs.index(name)
            modulation = (levels - self.typical) @ self.modulations[drug]
            effect = self.effects[drug] + self.settings.signalling * modulation
            moved = moved + saturation * gates[:, drug, None] * effect
        return moved.to(states.dtype)

    def draw(
        self, donor: int, cells: int, *, generator: torch.Generator
    ) -> tuple[Float[Tensor, "cells states"], Int[Tensor, " cells"]]:
        """Draw untreated cells of a donor; returns their states and the numbers of their types."""
        chosen = self.donors[donor]
        kinds = torch.multinomial(chosen.shares, cells, replacement=True, generator=generator)
        z = torch.randn(cells, self.settings.states, dtype=torch.float64, generator=generator)
        z = torch.einsum("nij,nj->ni", self.types.factors[kinds], z)
        return (self.types.means[kinds] + chosen.shift + z).float(), kinds

    def measure(
        self, states: Float[Tensor, "cells states"], *, generator: torch.Generator
    ) -> Float[Tensor, "cells features"]:
        """Return what is measured of cells: intensities or counts."""
        if self.settings.measurement == "cytometry":
            noise = torch.randn(states.shape, generator=generator) * self.settings.noise
            return COFACTOR * torch.sinh(states + OFFSET + noise)
        weights, offsets = self.genes
        shares = torch.softmax(states.double() @ weights.T + offsets, dim=1)
        spread = torch.randn(len(states), 1, dtype=torch.float64, generator=generator) * LIBRARY_SPREAD
        rates = shares * self.settings.library * spread.exp()
        if self.settings.dispersion > 0:
            shape = torch.full_like(rates, 1 / self.settings.dispersion)
            rates = rates * gamma_like(shape, generator=generator) * self.settings.dispersion
        return torch.poisson(rates, generator=generator).float()

    def treatments(self) -> list[tuple[str, float | None]]:
        """Return all pairs of condition and dose."""
        doses: Sequence[float | None] = self.settings.doses or (None,)
        return [(condition, dose) for condition in self.conditions for dose in doses]

    def responses(self) -> list[Response]:
        """Return all populations as states: control and treated are different cells of the same donor."""
        rows = []
        for donor in range(len(self.donors)):
            control, _ = self._control(donor)
            for condition, dose in self.treatments():
                treated, _ = self._treated(donor, condition, dose)
                key = PopulationKey(donor=self.donors[donor].name, condition=condition, dose=dose)
                rows.append(Response(key=key, control=control, treated=treated))
        return rows

    def anndata(self) -> AnnData:
        """Return all cells as measured, `columns` reads them; `obsm` holds their true states, `uns` the signals."""
        from helicell.cells.tables import build_anndata

        states, frames, measured = [], [], []
        for donor in range(len(self.donors)):
            name = self.donors[donor].name
            generator = sample_generator(self.settings.seed, donor, stream="measurements")
            populations = [(CONTROL, 0.0, *self._control(donor))]
            populations += [(c, dose or 0.0, *self._treated(donor, c, dose)) for c, dose in self.treatments()]
            for condition, dose, z, kinds in populations:
                states.append(z.numpy())
                measured.append(self.measure(z, generator=generator).numpy())
                labels = {"donor": name, "condition": condition, "cell_type": [f"type{kind + 1}" for kind in kinds]}
                frames.append(pd.DataFrame(labels | ({"dose": dose} if self.settings.doses else {})))
        obs = pd.concat(frames, ignore_index=True).astype(
            dict.fromkeys(("donor", "condition", "cell_type"), "category")
        )
        values = np.concatenate(measured)
        if self.settings.measurement == "counts":
            from scipy.sparse import csr_matrix

            values = csr_matrix(values)
        levels = np.stack([self.signals(donor).numpy() for donor in range(len(self.donors))])
        return build_anndata(
            values,
            features=self.features,
            obs=obs,
            obsm={"state": np.concatenate(states)},
            uns={
                "simulation": "donors",
                "settings": self.settings.model_dump_json(),
                "donors": np.array([donor.name for donor in self.donors]),
                "signals": levels,
            },
        )

    def _control(self, donor: int) -> tuple[Tensor, Tensor]:
        generator = sample_generator(self.settings.seed, donor, stream="control cells")
        return self.draw(donor, self.settings.cells, generator=generator)

    def _treated(self, donor: int, condition: str, dose: float | None) -> tuple[Tensor, Tensor]:
        generator = sample_generator(self.settings.seed, donor, stream=f"cells for {condition} at {dose}")
        states, kinds = self.draw(donor, self.settings.cells, generator=generator)
        return self.oracle(states, condition, dose=dose, signals=self.signals(donor)), kinds


def _check(settings: DonorSettings) -> None:
    if settings.signals > settings.cell_types:
        message = (
            f"signals is {settings.signals}, more than the {settings.cell_types} cell types that could secrete them"
        )
        raise InputError(message)
    if any(dose <= 0 for dose in settings.doses) or len(set(settings.doses)) < len(settings.doses):
        message = f"doses are {list(settings.doses)}, expected different numbers above 0"
        raise InputError(message)


def _donor(settings: DonorSettings, types: CellTypes, number: int) -> Donor:
    name = f"donor{number + 1:0{len(str(settings.donors))}d}"
    generator = sample_generator(settings.seed, number, stream="donors")
    return draw_donor(name, types, composition=settings.composition, shift=settings.donor_shift, generator=generator)


def _genes(settings: DonorSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    weights = torch.randn(settings.genes, settings.states, dtype=torch.float64, generator=generator)
    offsets = torch.randn(settings.genes, dtype=torch.float64, generator=generator)
    return weights * GENE_RATE / math.sqrt(settings.states), offsets
