"""Chain breaks, and oxygens placed in the peptide plane."""

import numpy as np
import pytest

from helicell.protein.peptides import LONGEST_PEPTIDE_BOND, place_oxygens, unbroken_segments


@pytest.mark.parametrize(("gap", "segments"), [(1.33, 1), (LONGEST_PEPTIDE_BOND, 1), (1.81, 2), (np.nan, 3)])
def test_only_long_bonds_cut(gap, segments):
    """A chain is cut behind a bond of over 1.8 A, or one that is not known."""
    chain = np.zeros((3, 4, 3))
    chain[:, 0, 0] = [0.0, gap, 2 * 1.33]
    chain[:, 2, 0] = [0.0, 1.33, 0.0]
    chain[2, 0, 0] = 1.33 if np.isfinite(gap) else np.nan
    assert len(unbroken_segments(chain)) == segments


def test_no_residues_have_no_segments():
    """An empty chain is no segment."""
    assert unbroken_segments(np.zeros((0, 4, 3))) == []


def test_oxygens_that_are_there_stay():
    """Only what is NaN is filled, and the input is left as it is."""
    chain = np.random.default_rng(0).normal(size=(4, 4, 3))
    chain[1, 3] = np.nan
    filled = place_oxygens(chain)
    assert np.isfinite(filled).all()
    assert np.isnan(chain[1, 3]).all()
    kept = [0, 2, 3]
    np.testing.assert_array_equal(filled[kept], chain[kept])


def test_the_last_oxygen_has_the_geometry_it_is_said_to_have():
    """A last oxygen lies 1.231 A from C, at 120.1 degrees to CA, and at a torsion N-CA-C-O of -45 degrees."""
    chain = np.array([[[1.2, 0.8, 0.3], [0.0, 0.1, 0.0], [-1.1, 1.0, 0.5], [np.nan] * 3]])
    nitrogen, alpha, carbon, oxygen = place_oxygens(chain)[0]
    assert np.linalg.norm(oxygen - carbon) == pytest.approx(1.231)
    to_alpha, to_oxygen = alpha - carbon, oxygen - carbon
    cosine = to_alpha @ to_oxygen / np.linalg.norm(to_alpha) / np.linalg.norm(to_oxygen)
    assert np.rad2deg(np.arccos(cosine)) == pytest.approx(120.1)
    from biotite.structure import dihedral

    assert np.rad2deg(dihedral(nitrogen, alpha, carbon, oxygen)) == pytest.approx(-45.0)
