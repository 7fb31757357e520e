"""Making a reference profile from a store of chains.

The profile inside the package was made, from a store of all the chains that the data of the project hold, by::

    python -m helicell.protein.evaluation.building STORE src/helicell/protein/evaluation/reference_profile.npz
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation import geometry
from helicell.protein.evaluation.measures import measure_chain
from helicell.protein.evaluation.parallel import ordered_map
from helicell.protein.evaluation.ramachandran import RamachandranMap
from helicell.protein.evaluation.reference import RadiusLaw, ReferenceProfile
from helicell.protein.evaluation.similarity import tm_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from helicell.protein.structures import Chain

# Lengths at which a profile gives its figures, and how far from them a chain may be to count, in residues.
LENGTHS = np.arange(40, 301, 20)
REACH = 10
# Chains measured at each length, and pairs of them aligned: means then stand to about one percent.
CHAINS_PER_LENGTH = 400
PAIRS_PER_LENGTH = 60


def natural_chains(store: ChainStore) -> ChainStore:
    """Return the chains that stand for nature: globular and experimental, one of each cluster.

    Raises
    ------
    InputError
        If there are none.
    """
    keep = store.column("globular").astype(bool) & ~store.column("predicted").astype(bool)
    if not keep.any():
        message = f"{store.path} holds no globular experimental chain; import more chains"
        raise InputError(message)
    chosen = store.select(keep)
    _, first = np.unique(chosen.column("cluster30"), return_index=True)
    return chosen.select(np.sort(first))


def build_profile(
    store: ChainStore, *, seed: int = 0, advance: Callable[[int], None] = lambda _: None
) -> ReferenceProfile:
    """Measure real chains.

    Parameters
    ----------
    store : ChainStore
        Chains with the columns `globular`, `predicted` and `cluster30`.
    seed : int
        For the choice of chains where a length has more than are needed.
    advance : callable
        Told the number of lengths just done.

    Raises
    ------
    InputError
        If the store holds no chain that stands for nature.
    """
    chains = natural_chains(store)
    rng = np.random.default_rng(seed)
    chosen = [_near(chains, length, rng=rng) for length in LENGTHS.tolist()]
    known = [(length, group) for length, group in zip(LENGTHS.tolist(), chosen, strict=True) if group]
    everything = [chain for _, group in known for chain in group]
    angles = np.concatenate([geometry.backbone_dihedrals(chain.coordinates) for chain in everything])
    ramachandran = RamachandranMap.from_angles(angles[:, 0], angles[:, 1])
    radii = np.array([geometry.radius_of_gyration(chain.coordinates[:, geometry.CA]) for chain in everything])
    law = RadiusLaw.fit(np.array([len(chain.sequence) for chain in everything]), radii)
    rows = []
    for _, group in known:
        rows.append(_means(group, ramachandran, law, rng=rng))
        advance(1)
    measures = {name: np.array([row.get(name, np.nan) for row in rows]) for name in rows[0]}
    description = f"{len(everything)} globular experimental chains of {known[0][0]} to {known[-1][0]} residues"
    return ReferenceProfile(
        description, len(everything), law, ramachandran, np.array([length for length, _ in known]), measures
    )


def _near(chains: ChainStore, length: int, *, rng: np.random.Generator) -> list[Chain]:
    members = np.flatnonzero(np.abs(chains.lengths - length) <= REACH)
    chosen = np.sort(rng.permutation(members)[:CHAINS_PER_LENGTH])
    return [chains[int(member)] for member in chosen]


def _means(
    group: list[Chain], ramachandran: RamachandranMap, law: RadiusLaw, *, rng: np.random.Generator
) -> dict[str, float]:
    rows = [
        measure_chain(chain, ramachandran=ramachandran, natural_rg=law.mean(len(chain.sequence))) for chain in group
    ]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "length"}
    if len(group) > 1:
        pairs = [rng.choice(len(group), 2, replace=False) for _ in range(PAIRS_PER_LENGTH)]
        traces = [(group[i].coordinates[:, geometry.CA], group[j].coordinates[:, geometry.CA]) for i, j in pairs]
        means["pairwise_tm"] = float(np.mean(list(ordered_map(_pair_score, traces))))
    return means


def _pair_score(pair: tuple[np.ndarray, np.ndarray]) -> float:
    return sum(tm_score(*pair)) / 2


if __name__ == "__main__":
    build_profile(ChainStore.open(sys.argv[1])).save(sys.argv[2])
