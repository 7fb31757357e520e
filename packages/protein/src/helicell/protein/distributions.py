"""How single chains, bonds and angles spread, for figures: of samples, and of natural chains beside them.

A mean says little about a set of backbones, so the report draws whole distributions. Those of natural chains ship with
the package (``natural_distributions.npz``) and are made again from any store of chains with
``python -m helicell.protein.distributions STORE natural_distributions.npz``.
"""

from __future__ import annotations

import argparse
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write
from helicell.protein.evaluation import geometry
from helicell.protein.evaluation.building import natural_chains
from helicell.protein.evaluation.ramachandran import RamachandranMap
from helicell.protein.evaluation.secondary_structure import assign_secondary_structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from helicell.protein.chains.store import ChainStore
    from helicell.protein.structures import Chain

__all__ = ["Distributions", "Histogram", "backbone_angles", "longest_like", "shortest_like"]

SHIPPED = "natural_distributions.npz"
# Chains measured of a store; enough for smooth histograms, few enough for seconds.
CHAINS = 2000
# The seed by which chains are drawn from a store, fixed so that a store always gives the same figures.
SEED = 0
# Natural chains that are compared with samples may be shorter and longer by this share.
LENGTH_MARGIN = 0.15

# Edges of the histograms, in Angstrom and degrees; values outside count in the first and last bin.
CA_CA_EDGES = np.linspace(3.3, 4.3, 101)
C_N_EDGES = np.linspace(1.0, 1.8, 81)
N_CA_C_EDGES = np.linspace(90.0, 135.0, 91)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Share of the values in each bin.

    Parameters
    ----------
    edges : ndarray, shape (bins + 1,)
        Borders of the bins.
    shares : ndarray, shape (bins,)
        Share of the values in each; they add up to one. Values beyond the edges are in the outermost bins.
    """

    edges: NDArray[np.floating]
    shares: NDArray[np.floating]

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: NDArray[np.floating]) -> Self:
        """Count values, those beyond the edges in the outermost bins.

        Examples
        --------
        >>> import numpy as np
        >>> Histogram.of(np.array([0.5, 1.5, 1.6, 9.0]), np.array([0.0, 1.0, 2.0])).shares.tolist()
        [0.25, 0.75]
        """
        inside = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
        counts, _ = np.histogram(inside, bins=edges)
        return cls(edges, counts / max(len(values), 1))


@dataclass(frozen=True, slots=True)
class Distributions:
    """What the chains of a set are like, one by one and bond by bond.

    Parameters
    ----------
    description : str
        Which chains these are.
    lengths : ndarray, shape (chains,)
        Residues of each chain.
    rg : ndarray, shape (chains,)
        Radius of gyration of the CA atoms in Angstrom.
    helix, strand : ndarray, shape (chains,)
        Share of the residues in helices and strands, by DSSP.
    ca_ca, c_n : Histogram
        Distances of consecutive CA atoms, and lengths of peptide bonds, in Angstrom.
    n_ca_c : Histogram
        Angles N-CA-C in degrees.
    ramachandran : RamachandranMap
        Where phi and psi lie.
    """

    description: str
    lengths: NDArray[np.integer]
    rg: NDArray[np.floating]
    helix: NDArray[np.floating]
    strand: NDArray[np.floating]
    ca_ca: Histogram
    c_n: Histogram
    n_ca_c: Histogram
    ramachandran: RamachandranMap

    @classmethod
    def of(cls, chains: Sequence[Chain], *, description: str) -> Self:
        """Measure chains.

        Parameters
        ----------
        chains
            At least one, with three residues or more.
        description
            Which chains these are.
        """
        coordinates = [np.asarray(chain.coordinates, dtype=np.float64) for chain in chains]
        states = [
            assign_secondary_structure(chain, sequence=source.sequence)
            for chain, source in zip(coordinates, chains, strict=True)
        ]
        phi, psi = backbone_angles(coordinates)
        return cls(
            description=description,
            lengths=np.array([len(chain) for chain in coordinates]),
            rg=np.array([geometry.radius_of_gyration(chain[:, geometry.CA]) for chain in coordinates]),
            helix=np.array([state.count("H") / len(state) for state in states]),
            strand=np.array([state.count("E") / len(state) for state in states]),
            ca_ca=Histogram.of(_joined(geometry.ca_distances, coordinates), CA_CA_EDGES),
            c_n=Histogram.of(_joined(geometry.peptide_bonds, coordinates), C_N_EDGES),
            n_ca_c=Histogram.of(np.rad2deg(_joined(geometry.n_ca_c_angles, coordinates)), N_CA_C_EDGES),
            ramachandran=RamachandranMap.from_angles(phi, psi),
        )

    @classmethod
    def of_store(cls, store: ChainStore, *, shortest: int, longest: int, source: str | None = None) -> Self:
        """Measure natural chains of a store (see `natural_chains`); at most 2,000, drawn by a fixed seed.

        Parameters
        ----------
        store
            Where the chains are.
        shortest, longest
            Lengths of the chains that are measured.
        source
            Where the store's chains come from, for the description; the name of its folder by default.

        Raises
        ------
        InputError
            If the store holds no such chain.
        """
        chains = natural_chains(store)
        fitting = np.flatnonzero((chains.lengths >= shortest) & (chains.lengths <= longest))
        if not len(fitting):
            message = (
                f"the store {store.path} holds no natural chain of {shortest}-{longest} residues; "
                "give a store with such chains, or leave the reference out"
            )
            raise InputError(message)
        drawn = np.random.default_rng(SEED).permutation(fitting)[:CHAINS]
        description = f"{len(drawn)} chains of {shortest}-{longest} residues from {source or store.path.name}"
        return cls.of([chains[int(index)] for index in np.sort(drawn)], description=description)

    @classmethod
    def natural(cls) -> Distributions:
        """The distributions of natural chains that come with the package."""
        return _shipped()

    def near(self, lengths: NDArray[np.integer]) -> Self:
        """Keep the chains about as long as the given ones (15 % beyond either end), or all if none is.

        The histograms, which hardly depend on the length, stay as they are.
        """
        kept = (self.lengths >= shortest_like(lengths)) & (self.lengths <= longest_like(lengths))
        if not kept.any():
            return self
        single = {name: getattr(self, name)[kept] for name in ("lengths", "rg", "helix", "strand")}
        return replace(self, **single)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is absent, damaged or something else.
        """
        try:
            with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return cls(
                description=json.loads(str(arrays["header"]))["description"],
                lengths=arrays["lengths"],
                rg=arrays["rg"],
                helix=arrays["helix"],
                strand=arrays["strand"],
                ca_ca=Histogram(CA_CA_EDGES, arrays["ca_ca"]),
                c_n=Histogram(C_N_EDGES, arrays["c_n"]),
                n_ca_c=Histogram(N_CA_C_EDGES, arrays["n_ca_c"]),
                ramachandran=RamachandranMap(arrays["ramachandran"]),
            )
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            message = f"{path} holds no distributions of this version; make it with python -m {__name__}"
            raise InputError(message) from error

    def save(self, path: str | Path) -> None:
        """Write the distributions as a NumPy archive, whole or not at all."""
        header = json.dumps({"description": self.description})
        with atomic_write(path) as temporary:
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                header=np.array(header),
                lengths=self.lengths.astype(np.int16),
                rg=self.rg.astype(np.float32),
                helix=self.helix.astype(np.float32),
                strand=self.strand.astype(np.float32),
                ca_ca=self.ca_ca.shares.astype(np.float32),
                c_n=self.c_n.shares.astype(np.float32),
                n_ca_c=self.n_ca_c.shares.astype(np.float32),
                ramachandran=self.ramachandran.mass,
            )


def shortest_like(lengths: NDArray[np.integer]) -> int:
    """Length of the shortest natural chains that are compared with samples of these lengths."""
    return math.floor(lengths.min() * (1 - LENGTH_MARGIN))


def longest_like(lengths: NDArray[np.integer]) -> int:
    """Length of the longest natural chains that are compared with samples of these lengths."""
    return math.ceil(lengths.max() * (1 + LENGTH_MARGIN))


def backbone_angles(coordinates: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Phi and psi, in radians, of all residues of all chains that have both."""
    angles = np.concatenate([geometry.backbone_dihedrals(chain)[:, :2] for chain in coordinates])
    phi, psi = angles[np.isfinite(angles).all(axis=1)].T
    return phi, psi


def _joined(
    measure: Callable[[NDArray[np.floating]], NDArray[np.floating]], coordinates: Sequence[NDArray[np.floating]]
) -> NDArray[np.floating]:
    """The values of all chains in one array."""
    return np.concatenate([measure(chain) for chain in coordinates])


@cache
def _shipped() -> Distributions:
    with resources.as_file(resources.files("helicell.protein") / SHIPPED) as path:
        return Distributions.load(path)


def _main() -> None:
    """Measure the chains of a store and write their distributions to a file."""
    from helicell.protein.chains.store import ChainStore

    parser = argparse.ArgumentParser(prog=f"python -m {__name__}", description=_main.__doc__)
    parser.add_argument("store", help="folder of the store")
    parser.add_argument("out", help="file to write (.npz)")
    parser.add_argument("--shortest", type=int, default=40, help="least residues of a chain")
    parser.add_argument("--longest", type=int, default=300, help="most residues of a chain")
    parser.add_argument("--source", help="where the chains come from, in words")
    given = parser.parse_args()
    store = ChainStore.open(given.store)
    measured = Distributions.of_store(store, shortest=given.shortest, longest=given.longest, source=given.source)
    measured.save(given.out)


if __name__ == "__main__":
    _main()
