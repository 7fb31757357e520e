"""What is in a store of chains, in numbers: of all its chains, by length, by source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation.geometry import CA, backbone_dihedrals, radius_of_gyration

__all__ = ["Group", "StoreStatistics", "describe_store"]

# First lengths of the groups; the usual sizes of small, middle and large domains.
LENGTH_GROUPS = (1, 40, 65, 97, 129, 193, 301, 513)
# Chains whose dihedrals are taken, evenly spread over the store: about half a million residues.
DIHEDRAL_CHAINS = 3000


@dataclass(frozen=True, slots=True)
class Group:
    """Some chains of a store in sum; what the store does not know is None.

    Attributes
    ----------
    name
        Which chains these are.
    chains, residues
        Their number, and that of their residues.
    clusters, globular, predicted
        Sequence clusters that they belong to, and how many of them are globular or predicted.
    helix, strand, coil
        Shares of the residues.
    rg
        Mean radius of gyration of CA in Angstrom.
    """

    name: str
    chains: int
    residues: int
    clusters: int | None
    globular: int | None
    predicted: int | None
    helix: float
    strand: float
    coil: float
    rg: float


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """All that the tables and the figures of a store need.

    Attributes
    ----------
    total
        All chains.
    by_length, by_source
        The chains in groups; empty groups are left out.
    lengths, helix, strand, rg
        One value a chain: residues, shares of the residues, Angstrom.
    phi, psi
        Dihedrals in radians of the residues of some chains, evenly spread.
    """

    total: Group
    by_length: tuple[Group, ...]
    by_source: tuple[Group, ...]
    lengths: NDArray[np.int64]
    helix: NDArray[np.float64]
    strand: NDArray[np.float64]
    rg: NDArray[np.float64]
    phi: NDArray[np.float64]
    psi: NDArray[np.float64]


def describe_store(store: ChainStore, *, progress: Callable[[int], None] | None = None) -> StoreStatistics:
    """Go through the chains of a store and sum them up.

    Parameters
    ----------
    store
        A store or a part of one.
    progress
        Called after each chain with the number of chains just done, 1.

    Raises
    ------
    InputError
        If there are no chains.
    """
    if not len(store):
        message = f"{store.path} holds no chains; import some first"
        raise InputError(message)
    every = max(1, len(store) // DIHEDRAL_CHAINS)
    helix, strand, rg = np.empty((3, len(store)))
    angles = []
    for index, chain in enumerate(store):
        helix[index] = chain.secondary_structure.count("H") / len(chain)
        strand[index] = chain.secondary_structure.count("E") / len(chain)
        rg[index] = radius_of_gyration(chain.coordinates[:, CA])
        if index % every == 0:
            angles.append(backbone_dihedrals(chain.coordinates)[:, :2])
        if progress:
            progress(1)
    dihedrals = np.concatenate(angles)
    phi, psi = dihedrals[np.isfinite(dihedrals).all(axis=1)].T

    def group(name: str, chosen: NDArray[np.bool_]) -> Group:
        return _sum_up(name, store.select(chosen), helix=helix[chosen], strand=strand[chosen], rg=rg[chosen])

    lengths = store.lengths
    bands = np.searchsorted(LENGTH_GROUPS, lengths, side="right") - 1
    sources = store.column("source") if "source" in store.column_names else np.empty(0, str)
    return StoreStatistics(
        total=group("all", np.ones(len(store), bool)),
        by_length=tuple(group(_band_name(int(band)), bands == band) for band in np.unique(bands)),
        by_source=tuple(group(str(source), sources == source) for source in np.unique(sources)),
        lengths=lengths,
        helix=helix,
        strand=strand,
        rg=rg,
        phi=phi,
        psi=psi,
    )


def _sum_up(
    name: str, part: ChainStore, *, helix: NDArray[np.float64], strand: NDArray[np.float64], rg: NDArray[np.float64]
) -> Group:
    lengths = part.lengths
    helical, extended = float(helix @ lengths / lengths.sum()), float(strand @ lengths / lengths.sum())
    clusters = _column(part, "cluster30")
    globular, predicted = _column(part, "globular"), _column(part, "predicted")
    return Group(
        name=name,
        chains=len(part),
        residues=int(lengths.sum()),
        clusters=None if clusters is None else len(np.unique(clusters)),
        globular=None if globular is None else int(globular.sum()),
        predicted=None if predicted is None else int(predicted.sum()),
        helix=helical,
        strand=extended,
        coil=1.0 - helical - extended,
        rg=float(rg.mean()),
    )


def _column(store: ChainStore, name: str) -> NDArray[Any] | None:
    return store.column(name) if name in store.column_names else None


def _band_name(band: int) -> str:
    first, following = LENGTH_GROUPS[band], (*LENGTH_GROUPS, None)[band + 1]
    return f"{first} and more" if following is None else f"{first}-{following - 1}"
