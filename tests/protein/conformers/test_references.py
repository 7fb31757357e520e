"""References: quadrature against a density whose integral is known, tempering against quadrature, maps by hand."""

import math

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.samplers.energies import make_energy
from helicell.protein.conformers.maps import (
    cell_shares,
    coarse,
    free_energy_error,
    jensen_shannon,
    kullback_leibler,
    regions,
)
from helicell.protein.conformers.references import annealed_log_z, quadrature, tempering


def test_quadrature_of_a_known_density():
    """A normalised mixture of von Mises distributions has log Z zero to many digits; its samples have its shares."""
    energy = make_energy("von-mises", 2)
    exact = quadrature(energy, points=72)
    assert exact.log_z == pytest.approx(0.0, abs=1e-6)
    assert float(exact.shares.sum()) == pytest.approx(1.0)
    ours = cell_shares(*exact.sample(40_000, torch.Generator().manual_seed(0)).T)
    theirs = cell_shares(*energy.sample(40_000, torch.Generator().manual_seed(0)).T)
    assert jensen_shannon(ours, theirs) < 0.01
    with pytest.raises(InputError, match="two torsions"):
        quadrature(make_energy("von-mises", 3))


def test_quadrature_of_alanine_dipeptide_has_converged(alanine_energy):
    """Twice as many points a torsion change log Z by less than 1e-3."""
    coarse_grid, fine = (quadrature(alanine_energy, points=points).log_z for points in (72, 144))
    assert coarse_grid == pytest.approx(fine, abs=1e-3)


def test_tempering_and_annealing_against_quadrature():
    """Both find the exact maps and log Z of a density with several modes."""
    energy = make_energy("von-mises", 2)
    exact = quadrature(energy, points=72)
    found = tempering(energy, chains=40, steps=1500, temperatures=(1.0, 2.0, 4.0, 10.0), keep_every=5)
    shares = cell_shares(*torch.cat(found.halves).T)
    assert jensen_shannon(shares, coarse(exact.shares)) < 0.02
    assert 0.1 < found.swaps < 1
    estimates = annealed_log_z(energy, runs=2, particles=500, stages=50)
    assert estimates == pytest.approx([0.0, 0.0], abs=0.15)


def test_maps_by_hand():
    """Shares of cells, divergences and regions of a few points."""
    degrees = torch.tensor([[-60.0, -45.0], [-60.0, -45.0], [-120.0, 130.0], [60.0, 40.0]])
    phi, psi = (degrees * math.pi / 180).T
    shares = cell_shares(phi, psi)
    assert float(shares.max()) == 0.5
    assert regions(shares) == {"helix": 0.5, "extended": 0.25, "left": 0.25}
    weighted = cell_shares(phi, psi, torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert regions(weighted) == {"helix": 0.0, "extended": 0.5, "left": 0.5}
    assert kullback_leibler(shares, shares) == 0
    assert kullback_leibler(weighted, shares) == pytest.approx(math.log(2))
    elsewhere = cell_shares(phi + 1.0, psi)
    assert jensen_shannon(shares, elsewhere) == pytest.approx(math.log(2))
    # Both cells that the weighted map has differ by the same factor of two.
    assert free_energy_error(weighted, shares) == pytest.approx(math.log(2))
    assert float(coarse(torch.full((72, 72), 1 / 72**2)).max()) == pytest.approx(1 / 36**2)
