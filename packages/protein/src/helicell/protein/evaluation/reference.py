"""What real proteins look like under the same measures: the reference profile.

A profile holds where phi and psi lie, the natural radius of gyration, and the mean of every measure at a ladder of
lengths, all measured on real chains by the code that measures the samples. One profile ships with the package, so that
`evaluate` shows natural figures without any data at hand; `helicell.protein.evaluation.building` makes it, or another
one, from a chain store.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write
from helicell.protein.evaluation.ramachandran import RamachandranMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "helicell-reference-profile"
VERSION = 1
SHIPPED = "reference_profile.npz"
_MEASURE = "measure/"


@dataclass(frozen=True, slots=True)
class RadiusLaw:
    """The mean radius of gyration of compact chains, ``scale * length ** exponent`` in Angstrom.

    The exponent of compact globules is near 1/3, as their volume grows with their length.
    """

    scale: float
    exponent: float

    @classmethod
    def fit(cls, lengths: NDArray[np.integer], radii: NDArray[np.floating]) -> Self:
        """Fit a straight line to the logarithms; `lengths` in residues, `radii` in Angstrom."""
        exponent, offset = np.polyfit(np.log(lengths), np.log(radii), 1)
        return cls(float(np.exp(offset)), float(exponent))

    def mean(self, length: int) -> float:
        """Return the mean radius of gyration at this length, in Angstrom."""
        return float(self.scale * length**self.exponent)


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """Natural figures of every measure.

    Parameters
    ----------
    description : str
        Which chains were measured.
    chains : int
        How many.
    radius_law : RadiusLaw
        Radius of gyration against length.
    ramachandran : RamachandranMap
        Where phi and psi lie.
    lengths : ndarray, shape (windows,)
        Lengths at which the measures are given, ascending.
    measures : mapping of str to ndarray, shape (windows,)
        Mean of each measure over the chains near each length.
    """

    description: str
    chains: int
    radius_law: RadiusLaw
    ramachandran: RamachandranMap
    lengths: NDArray[np.integer]
    measures: Mapping[str, NDArray[np.floating]]

    @classmethod
    def shipped(cls) -> ReferenceProfile:
        """Return the profile that comes with the package."""
        return _shipped()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a profile that `save` wrote.

        Raises
        ------
        InputError
            If the file is absent, damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT or header["version"] != VERSION:
                raise KeyError(FORMAT)
            return cls._from_arrays(header, arrays)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            message = f"{path} is no reference profile of this version; make one with python -m {__package__}.building"
            raise InputError(message) from error

    @classmethod
    def _from_arrays(cls, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        measures = {name.removeprefix(_MEASURE): array for name, array in arrays.items() if name.startswith(_MEASURE)}
        return cls(
            description=header["description"],
            chains=header["chains"],
            radius_law=RadiusLaw(**header["radius_law"]),
            ramachandran=RamachandranMap(arrays["ramachandran"]),
            lengths=arrays["lengths"],
            measures=measures,
        )

    def save(self, path: str | Path) -> None:
        """Write the profile as a NumPy archive, whole or not at all.

        Raises
        ------
        InputError
            If the name does not end in .npz, which NumPy would append.
        """
        if Path(path).suffix != ".npz":
            message = f"a reference profile is a NumPy archive and {path} does not end in .npz; rename it"
            raise InputError(message)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "description": self.description,
            "chains": self.chains,
            "radius_law": {"scale": self.radius_law.scale, "exponent": self.radius_law.exponent},
        }
        arrays = {_MEASURE + name: values for name, values in self.measures.items()}
        with atomic_write(path) as temporary:
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                header=np.array(json.dumps(header)),
                ramachandran=self.ramachandran.mass,
                lengths=self.lengths,
                **arrays,
            )

    def natural(self, length: int) -> dict[str, float]:
        """Return the natural figure of each measure at a length.

        Between the lengths of the profile the figures are interpolated, beyond them the nearest is taken; the radius of
        gyration follows its law everywhere. A measure that is unknown at a length is left out.
        """
        figures = {}
        for name, values in self.measures.items():
            known = np.isfinite(values)
            if known.any():
                figures[name] = float(np.interp(length, self.lengths[known], values[known]))
        return figures | {"rg": self.radius_law.mean(length), "rg_ratio_to_natural": 1.0}


@cache
def _shipped() -> ReferenceProfile:
    with as_file(files(__package__) / SHIPPED) as path:
        return ReferenceProfile.load(path)
