"""Peptides: complete, in a minimum of the force field, of the right hand; torsions by name."""

import numpy as np
import pytest
from biotite.structure.info import residue as component

from helicell.core.errors import InputError
from helicell.protein.conformers.peptide import build_peptide, reference_energy
from helicell.protein.conformers.torsions import find_torsions


def test_alanine_dipeptide_is_complete_and_at_rest(alanine):
    """It has 22 atoms and 21 bonds, and no atom is pushed."""
    assert len(alanine.names) == 22
    assert len(alanine.bonds) == 21
    _, gradient = reference_energy(alanine, alanine.positions)
    assert np.abs(gradient).max() < 0.1


def test_every_amino_acid_has_a_template():
    """A chain of all twenty is known to the force field, keeps its hand, and peptide bonds are trans."""
    letters = "ACDEFGHIKLMNPQRSTVWY"
    peptide = build_peptide(letters, solvent="vacuum")
    for number, letter in enumerate(letters, start=1):
        if letter == "G":
            continue
        n, ca, c, cb = (peptide.positions[peptide.atom(number, name)] for name in ("N", "CA", "C", "CB"))
        assert np.dot(np.cross(n - ca, c - ca), cb - ca) > 0, letter
    carbons = [peptide.positions[peptide.atom(number, "CA")] for number in range(1, 21)]
    steps = np.linalg.norm(np.diff(carbons, axis=0), axis=1)
    assert np.all(np.abs(steps - 3.8) < 0.25)
    # The hand of the components is the same: the test would find one that is turned over.
    free = component("ALA")
    n, ca, c, cb = (free.coord[free.atom_name == name][0] for name in ("N", "CA", "C", "CB"))
    assert np.dot(np.cross(n - ca, c - ca), cb - ca) > 0


def test_torsions_by_name(alanine, mixed):
    """Phi and psi of the dipeptide; side chains turn at their chi bonds, rings and guanidinium do not."""
    assert [torsion.name for torsion in find_torsions(alanine, ("phi", "psi"))] == ["phi1", "psi1"]
    names = {torsion.name for torsion in find_torsions(mixed, ("phi", "psi", "chi"))}
    chis = {"chi1,1", "chi2,1", "chi3,1", "chi4,1", "chi1,3", "chi2,3", "chi1,4", "chi2,4"}
    # Proline's phi is in its ring.
    assert names == chis | {"phi1", "phi3", "phi4", "psi1", "psi2", "psi3", "psi4"}
    spins = find_torsions(mixed, ("spin",))
    assert all(all(mixed.elements[atom] == "H" for atom in torsion.moved) for torsion in spins)


def test_what_cannot_be_built():
    """Unknown letters, solvents and kinds are refused in words."""
    with pytest.raises(InputError, match="one-letter codes"):
        build_peptide("AXB")
    with pytest.raises(InputError, match="one-letter codes"):
        build_peptide("")
    with pytest.raises(InputError, match="gbn2"):
        build_peptide("A", solvent="gbn")
    peptide = build_peptide("A", solvent="vacuum")
    with pytest.raises(InputError, match="did you mean 'psi'"):
        find_torsions(peptide, ("psy",))
    with pytest.raises(InputError, match="no torsions of the kinds chi"):
        find_torsions(peptide, ("chi",))
