"""Which chains belong into a training set: length, secondary structure, compactness, quality, origin.

The measures are kept as columns of the store, so that a training can choose more strictly than the import did.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from scipy.spatial import KDTree

from helicell.core.runs.settings import Settings
from helicell.protein.evaluation.geometry import CA, radius_of_gyration
from helicell.protein.structures import Chain

__all__ = [
    "ChainFilter",
    "Measures",
    "contacts_per_residue",
    "distorted_fraction",
    "gyration_ratio",
    "measure",
    "usual_radius",
]

# Natural globular chains follow Rg = 2.2 A * length^0.38 (Skolnick, Kolinski, Ortiz, J. Mol. Biol. 265, 217, 1997).
GYRATION_SCALE = 2.2
GYRATION_EXPONENT = 0.38
# CA atoms under 8 A apart touch; at least 12 residues apart, so that no helix counts by itself.
CONTACT_DISTANCE = 8.0
CONTACT_SEPARATION = 12

# What a globular chain is: compact, with long-range contacts (fewer are possible in a short chain), with secondary
# structure, and of a composition that is no repeat.
GLOBULAR_GYRATION = 1.25
GLOBULAR_CONTACTS_SHORT = 0.3
GLOBULAR_CONTACTS_LONG = 0.5
GLOBULAR_SHORT = 96
GLOBULAR_STRUCTURED = 0.2
GLOBULAR_LETTERS = 8

# Median lengths (A) of the bonds N-CA, CA-C and C-N of crystal chains. One that is 0.1 A off is 5 standard deviations
# from the mean at any resolution: the residue was misbuilt.
BONDS = np.array([1.460, 1.525, 1.330])
BOND_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Measures:
    """Facts of one chain that decide on its place in a training set; also the names of the columns.

    Attributes
    ----------
    coil
        Fraction of residues in neither helix nor strand.
    rg_ratio
        Radius of gyration of CA over 2.2 A * length^0.38.
    contacts12
        Contacts (CA under 8 A, at least 12 residues apart) per residue.
    distorted
        Fraction of residues with a backbone bond over 0.1 A off its normal length.
    globular
        Whether the chain is a compact fold: rg_ratio under 1.25, contacts12 at least 0.3 (0.5 above 96 residues), coil
        under 0.8, at least 8 kinds of residues.
    """

    coil: float
    rg_ratio: float
    contacts12: float
    distorted: float
    globular: bool


class ChainFilter(Settings):
    """Limits that a chain must keep to be imported; None sets no limit."""

    min_length: PositiveInt = 40
    """Fewest residues."""
    max_length: PositiveInt = 512
    """Most residues."""
    max_coil: float | None = Field(default=None, ge=0.0, le=1.0)
    """Largest fraction of residues in neither helix nor strand."""
    max_rg_ratio: float | None = Field(default=None, gt=0.0)
    """Largest radius of gyration, over 2.2 A * length^0.38."""
    min_contacts: float | None = Field(default=None, ge=0.0)
    """Fewest long-range contacts per residue."""
    max_distorted: float | None = Field(default=0.1, ge=0.0, le=1.0)
    """Largest fraction of residues with a misbuilt backbone bond."""
    globular_only: bool = False
    """Keep compact folds only."""
    experimental_only: bool = False
    """Leave out chains that say they are predictions."""

    @model_validator(mode="after")
    def _ordered(self) -> "ChainFilter":
        if self.min_length > self.max_length:
            message = f"min_length {self.min_length} is above max_length {self.max_length}"
            raise ValueError(message)
        return self

    def reject_length(self, length: int) -> str | None:
        """Return why a chain of this length is left out, if it is."""
        if length < self.min_length:
            return f"shorter than {self.min_length} residues"
        return f"longer than {self.max_length} residues" if length > self.max_length else None

    def reject(self, measures: Measures, *, predicted: bool) -> str | None:
        """Return why a chain with these measures is left out, if it is."""
        checks = (
            (self.experimental_only and predicted, "predicted, not experimental"),
            (_above(measures.distorted, self.max_distorted), f"over {self.max_distorted} of its residues distorted"),
            (_above(measures.coil, self.max_coil), f"coil fraction above {self.max_coil}"),
            (
                _above(measures.rg_ratio, self.max_rg_ratio),
                f"radius of gyration above {self.max_rg_ratio} of the usual",
            ),
            (_above(self.min_contacts, measures.contacts12), f"fewer than {self.min_contacts} contacts per residue"),
            (self.globular_only and not measures.globular, "not globular"),
        )
        return next((reason for rejected, reason in checks if rejected), None)


def measure(chain: Chain) -> Measures:
    """Take all measures of a chain."""
    length = len(chain)
    coil = chain.secondary_structure.count("C") / length
    rg_ratio = gyration_ratio(chain.coordinates)
    contacts = contacts_per_residue(chain.coordinates)
    enough = GLOBULAR_CONTACTS_SHORT if length <= GLOBULAR_SHORT else GLOBULAR_CONTACTS_LONG
    globular = (
        rg_ratio < GLOBULAR_GYRATION
        and contacts >= enough
        and 1.0 - coil > GLOBULAR_STRUCTURED
        and len(set(chain.sequence) - {"X"}) >= GLOBULAR_LETTERS
    )
    return Measures(coil, rg_ratio, contacts, distorted_fraction(chain.coordinates), globular)


def gyration_ratio(coordinates: NDArray[np.floating]) -> float:
    """Return the radius of gyration of CA over what is usual at that length; input [residues, 4, 3] in Angstrom."""
    radius = radius_of_gyration(coordinates[:, CA].astype(np.float64))
    return float(radius / usual_radius(np.float64(len(coordinates))))


def usual_radius(length: NDArray[np.floating] | np.floating) -> NDArray[np.floating] | np.floating:
    """Return the radius of gyration in Angstrom that globular chains of these lengths have."""
    return GYRATION_SCALE * length**GYRATION_EXPONENT


def contacts_per_residue(coordinates: NDArray[np.floating]) -> float:
    """Return the number of pairs of CA under 8 A and at least 12 residues apart, over the number of residues."""
    pairs = KDTree(coordinates[:, CA]).query_pairs(CONTACT_DISTANCE, output_type="ndarray")
    return float(np.count_nonzero(pairs[:, 1] - pairs[:, 0] >= CONTACT_SEPARATION) / len(coordinates))


def distorted_fraction(coordinates: NDArray[np.floating]) -> float:
    """Return the fraction of residues with a bond N-CA, CA-C or C-N (to the next) over 0.1 A off its normal length."""
    atoms = coordinates[:, :3].reshape(-1, 3).astype(np.float64)
    lengths = np.linalg.norm(np.diff(atoms, axis=0), axis=1)
    off = np.abs(lengths - np.resize(BONDS, len(lengths))) > BOND_TOLERANCE
    return float(np.unique(np.flatnonzero(off) // 3).size / len(coordinates))


def _above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit
