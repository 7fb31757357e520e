"""Distributions of chains: what is counted is what was given, and the shipped natural chains are natural."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.distributions import C_N_EDGES, CA_CA_EDGES, Distributions, Histogram, backbone_angles
from helicell.protein.evaluation import geometry
from helicell.protein.structures import Chain, read_chains


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    """The chains of a crystal structure, in the file that comes with tmtools."""
    file = resources.files("tmtools") / "data" / "2gtl.pdb"
    return read_chains(Path(str(file)))


def share_within(histogram: Histogram, low: float, high: float) -> float:
    """The share of the values between two edges."""
    inside = (histogram.edges[:-1] >= low - 1e-9) & (histogram.edges[1:] <= high + 1e-9)
    return float(histogram.shares[inside].sum())


def test_histogram_counts_like_numpy() -> None:
    """Inside the edges the shares are NumPy's counts; what lies beyond is in the outermost bins, nothing is lost."""
    values = np.random.default_rng(0).normal(3.8, 0.3, 1000)
    histogram = Histogram.of(values, CA_CA_EDGES)
    counts, _ = np.histogram(values, CA_CA_EDGES)
    np.testing.assert_allclose(histogram.shares[1:-1], counts[1:-1] / 1000)
    assert histogram.shares[0] == pytest.approx(np.mean(values < CA_CA_EDGES[1]))
    assert histogram.shares.sum() == pytest.approx(1.0)


def test_measures_are_those_of_the_evaluation(chains: list[Chain]) -> None:
    """Radius, secondary structure and bonds are what the evaluation's own functions give for each chain."""
    measured = Distributions.of(chains, description="a crystal")
    assert measured.lengths.tolist() == [len(chain) for chain in chains]
    radii = [geometry.radius_of_gyration(chain.coordinates[:, 1].astype(float)) for chain in chains]
    np.testing.assert_allclose(measured.rg, radii, rtol=1e-6)
    bonds = np.concatenate([geometry.peptide_bonds(chain.coordinates.astype(float)) for chain in chains])
    assert share_within(measured.c_n, 1.2, 1.5) == pytest.approx(geometry.within(bonds, (1.2, 1.5)))
    assert np.all(measured.helix + measured.strand <= 1.0)
    phi, psi = backbone_angles([chain.coordinates.astype(float) for chain in chains])
    assert len(phi) == len(psi) == sum(len(chain) - 2 for chain in chains)


def test_shipped_natural_chains_are_natural() -> None:
    """Bonds, angles, sizes and secondary structure of the shipped chains are those that textbooks give."""
    natural = Distributions.natural()
    assert len(natural.lengths) == 2000
    assert share_within(natural.ca_ca, 3.6, 4.0) > 0.99
    assert share_within(natural.c_n, 1.28, 1.38) > 0.99
    assert C_N_EDGES[np.argmax(natural.c_n.shares)] == pytest.approx(1.33, abs=0.015)
    assert natural.n_ca_c.edges[np.argmax(natural.n_ca_c.shares)] == pytest.approx(111.0, abs=1.0)
    # Compact chains: 2.2 A * length^0.38 (Skolnick et al., J. Mol. Biol. 265, 217 (1997)).
    np.testing.assert_allclose(np.mean(natural.rg / (2.2 * natural.lengths**0.38)), 1.0, atol=0.07)
    assert 0.25 < natural.helix.mean() < 0.45
    assert 0.18 < natural.strand.mean() < 0.35
    alpha, forbidden = (
        natural.ramachandran.contour(np.deg2rad([phi]), np.deg2rad([psi]))[0] for phi, psi in ((-63, -42), (5, 0))
    )
    assert alpha < 0.2 < 0.99 < forbidden


def test_saved_distributions_read_back(chains: list[Chain], tmp_path: Path) -> None:
    """A file holds everything, in single precision; a damaged or foreign file is a one-line error."""
    measured = Distributions.of(chains, description="a crystal")
    measured.save(tmp_path / "crystal.npz")
    again = Distributions.load(tmp_path / "crystal.npz")
    assert again.description == "a crystal"
    np.testing.assert_array_equal(again.lengths, measured.lengths)
    np.testing.assert_allclose(again.rg, measured.rg, rtol=1e-6)
    np.testing.assert_allclose(again.n_ca_c.shares, measured.n_ca_c.shares, atol=1e-7)
    np.testing.assert_array_equal(again.ramachandran.mass, measured.ramachandran.mass)
    (tmp_path / "broken.npz").write_bytes((tmp_path / "crystal.npz").read_bytes()[:500])
    np.savez(tmp_path / "foreign.npz", x=np.arange(3))
    for name in ("broken", "foreign", "absent"):
        with pytest.raises(InputError, match="holds no distributions of this version"):
            Distributions.load(tmp_path / f"{name}.npz")


def test_near_keeps_chains_of_like_length() -> None:
    """Chains within 15 % of the samples' lengths stay; where there are none, all do, rather than an empty figure."""
    natural = Distributions.natural()
    near = natural.near(np.array([60, 100]))
    assert near.lengths.min() >= 51
    assert near.lengths.max() <= 115
    kept = (natural.lengths >= 51) & (natural.lengths <= 115)
    np.testing.assert_array_equal(near.rg, natural.rg[kept])
    assert len(natural.near(np.array([5000])).lengths) == 2000


def test_store_gives_its_natural_chains_only(chains: list[Chain], tmp_path: Path) -> None:
    """Predicted and loose chains of a store are left out, and so are other lengths; none left is an error."""
    length = len(chains[0])
    columns = {"predicted": [False, True, False], "globular": [True, True, False], "cluster30": [0, 1, 2]}
    write_store(tmp_path / "store", [chains[0]] * 3, columns=columns)
    store = ChainStore.open(tmp_path / "store")
    measured = Distributions.of_store(store, shortest=length, longest=length)
    assert measured.lengths.tolist() == [length]
    assert measured.description == f"1 chains of {length}-{length} residues from store"
    with pytest.raises(InputError, match="holds no natural chain of 1-5 residues"):
        Distributions.of_store(store, shortest=1, longest=5)
