"""Peptides that several tests share; all of them need OpenMM."""

import pytest

pytest.importorskip("openmm")

from helicell.protein.conformers import ConformerEnergy, build_peptide


@pytest.fixture(scope="session")
def alanine():
    """Return alanine dipeptide."""
    return build_peptide("A")


@pytest.fixture(scope="session")
def alanine_energy(alanine):
    """Return the energy of its phi and psi."""
    return ConformerEnergy(alanine)


@pytest.fixture(scope="session")
def mixed():
    """Return a peptide with long, branched and ring side chains, and a proline."""
    return build_peptide("RPIW", solvent="vacuum")
