"""The energy of a peptide's torsions, in the form that samplers of `helicell.core.samplers` learn.

The density is exp(-(E(theta) - E_0) / kT) with respect to d theta, where E_0 is the energy of the reference structure:
torsions with rigid bond lengths and angles, without the metric correction that integrating out stiff ones would bring.
Where atoms overlap, E grows without bound; beyond a ceiling it goes on by its logarithm, so that one clash in a batch
cannot drown all that is learned. Densities there are below exp(-ceiling) of the reference's: no average sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies import Energy
from helicell.protein.conformers.force_field import ForceField
from helicell.protein.conformers.kinematics import Kinematics
from helicell.protein.conformers.peptide import Peptide
from helicell.protein.conformers.torsions import find_torsions

# kJ / mol / K.
BOLTZMANN = 0.00831446261815324
ROOM = 300.0
# Where the logarithm begins, in kT above the reference structure.
CEILING = 30.0
FREE = ("phi", "psi", "chi")


class ConformerEnergy(Energy):
    """The logarithm of the Boltzmann density of torsions.

    Parameters
    ----------
    peptide
        Its minimised structure gives lengths, angles, and the torsions that stay.
    kinds
        Which torsions move.
    temperature
        In kelvin.

    Raises
    ------
    InputError
        If the temperature is not positive, or no torsion is of the kinds.
    """

    periodic = True
    variance = 4.0

    def __init__(self, peptide: Peptide, *, kinds: Sequence[str] = FREE, temperature: float = ROOM) -> None:
        if not temperature > 0:
            message = f"the temperature is {temperature} K, expected a positive number"
            raise InputError(message)
        self.peptide, self.temperature = peptide, temperature
        self.kinematics = Kinematics(torch.from_numpy(peptide.positions), find_torsions(peptide, kinds))
        self.force_field = ForceField(peptide)
        self.dim = self.kinematics.dim
        self.thermal = BOLTZMANN * temperature
        self.lowest = float(self.force_field.energy_and_gradient(peptide.positions[None])[0][0])

    @property
    def names(self) -> list[str]:
        """The names of the torsions, in the order of the coordinates."""
        return [torsion.name for torsion in self.kinematics.torsions]

    def positions(self, angles: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch atoms 3"]:
        """Return the atoms' positions at torsions, in Angstrom and double precision."""
        return self.kinematics.positions(angles.detach().cpu().double())

    def potential(self, angles: Float[Tensor, "batch dim"]) -> Float[Tensor, " batch"]:
        """Return the energy in kJ/mol, without the ceiling."""
        energy, _ = self.force_field.energy_and_gradient(self.positions(angles).numpy())
        return torch.from_numpy(energy)

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        return self.value_and_gradient(x)[0]

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        positions = self.positions(x)
        energy, slope = (torch.from_numpy(part) for part in self.force_field.energy_and_gradient(positions.numpy()))
        above = (energy - self.lowest) / self.thermal
        gradient = self.kinematics.pull_back(positions, slope) / self.thermal
        beyond = (above - CEILING).clamp_min(0)
        bounded = above.clamp_max(CEILING) + beyond.log1p()
        return -bounded.to(x), -(gradient / (1 + beyond)[:, None]).to(x)

    def pairs(self) -> list[tuple[int, int, int]]:
        """Return residue, and the coordinates of phi and psi, of every residue that has both."""
        places = {(torsion.kind, torsion.residue): i for i, torsion in enumerate(self.kinematics.torsions)}
        residues = range(1, len(self.peptide.sequence) + 1)
        return [
            (residue, places["phi", residue], places["psi", residue])
            for residue in residues
            if ("phi", residue) in places and ("psi", residue) in places
        ]
