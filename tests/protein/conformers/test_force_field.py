"""The compiled force field is OpenMM's: energies to 1e-4 kJ/mol, gradients against its forces."""

import numpy as np
import pytest
import torch

from helicell.protein.conformers import ConformerEnergy, build_peptide
from helicell.protein.conformers.force_field import ForceField
from helicell.protein.conformers.peptide import reference_energy


@pytest.mark.parametrize(("sequence", "solvent"), [("A", "gbn2"), ("A", "obc2"), ("A", "vacuum"), ("SPDK", "gbn2")])
def test_energies_are_those_of_openmm(sequence, solvent):
    """At random torsions energies agree to 1e-4 kJ/mol, or to nine digits where atoms overlap."""
    peptide = build_peptide(sequence, solvent=solvent)
    energy = ConformerEnergy(peptide, kinds=("phi", "psi", "omega", "chi", "spin"))
    generator = torch.Generator().manual_seed(0)
    start = energy.kinematics.start
    angles = start + 0.4 * torch.randn(6, energy.dim, generator=generator, dtype=torch.float64)
    ours = energy.potential(angles).numpy()
    theirs = np.array([reference_energy(peptide, positions)[0] for positions in energy.positions(angles).numpy()])
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-9)


@pytest.mark.parametrize("solvent", ["gbn2", "obc2"])
def test_gradients_are_those_of_openmm(solvent):
    """Less the forces of bonds and angles, which the rigid pieces take up, gradients agree with OpenMM's forces."""
    import openmm

    peptide = build_peptide("A", solvent=solvent)
    ours = ForceField(peptide)
    rng = np.random.default_rng(0)
    positions = peptide.positions + 0.05 * rng.normal(size=peptide.positions.shape)
    _, found = ours.energy_and_gradient(positions[None])
    for force in peptide.system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for i in range(force.getNumBonds()):
                a, b, length, _ = force.getBondParameters(i)
                force.setBondParameters(i, a, b, length, 0.0)
        if isinstance(force, openmm.HarmonicAngleForce):
            for i in range(force.getNumAngles()):
                a, b, c, angle, _ = force.getAngleParameters(i)
                force.setAngleParameters(i, a, b, c, angle, 0.0)
    _, expected = reference_energy(peptide, positions)
    np.testing.assert_allclose(found[0], expected, atol=1e-4, rtol=1e-6)


def test_a_batch_is_its_members():
    """Energies do not depend on what else is in the batch."""
    field = ForceField(build_peptide("A", solvent="obc2"))
    rng = np.random.default_rng(1)
    batch = 3 * rng.normal(size=(3, field.atoms, 3))
    together = field.energy_and_gradient(batch)[0]
    alone = [field.energy_and_gradient(batch[i : i + 1])[0][0] for i in range(3)]
    np.testing.assert_array_equal(together, alone)
