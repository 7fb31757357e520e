"""Measuring real chains, with the code that measures samples, to get the figures that stand beside them.

The profile inside the package was made, from a store of all the chains that the data of the project hold, by::

    python -m helicell.protein.evaluation.building STORE OUT.npz
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation import geometry
from helicell.protein.evaluation.measures import measure_chain
from helicell.protein.evaluation.neighbours import search
from helicell.protein.evaluation.ramachandran import RamachandranMap
from helicell.protein.evaluation.reference import RadiusLaw, ReferenceProfile
from helicell.protein.evaluation.similarity import count_clusters, mean_pairwise, tm_matrices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from helicell.protein.structures import Chain

# Lengths at which a profile gives its figures, and how far from them a chain may be to count, in residues.
LENGTHS = np.arange(40, 301, 20)
REACH = 10
# Chains measured at each length: means then stand to about one percent. Fewer than the least are no basis for a mean.
CHAINS_PER_LENGTH = 400
LEAST_CHAINS = 20
# Of these, the chains that are compared with each other (as many as of the samples), and with all others.
COMPARED_PER_LENGTH = 24
NOVELTY_PER_LENGTH = 16


def natural_chains(store: ChainStore) -> ChainStore:
    """Return the chains that stand for nature: globular and experimental, one of each cluster.

    What the store does not know of its chains (it may lack the columns) is not asked of them.

    Raises
    ------
    InputError
        If there are none.
    """
    keep = np.ones(len(store), dtype=bool)
    if "globular" in store.column_names:
        keep &= store.column("globular").astype(bool)
    if "predicted" in store.column_names:
        keep &= ~store.column("predicted").astype(bool)
    if not keep.any():
        message = f"{store.path} holds no globular experimental chain; import more chains"
        raise InputError(message)
    chosen = store.select(keep)
    if "cluster30" not in store.column_names:
        return chosen
    _, first = np.unique(chosen.column("cluster30"), return_index=True)
    return chosen.select(np.sort(first))


def build_profile(
    store: ChainStore, *, seed: int = 0, workers: int = 1, advance: Callable[[int], None] = lambda _: None
) -> ReferenceProfile:
    """Make a whole profile: the map of phi and psi, the law of the radius, and the figures.

    Parameters
    ----------
    store : ChainStore
        Some thousand chains; the columns `globular`, `predicted` and `cluster30` say which stand for nature.
    seed : int
        For the choice of chains where a length has more than are needed.
    workers : int
        Processes for the alignments; the result does not depend on it.
    advance : callable
        Told the number of lengths just done.

    Raises
    ------
    InputError
        If the store holds no chain that stands for nature, or too few of each length.
    """
    chains = natural_chains(store)
    angles = np.concatenate([geometry.backbone_dihedrals(chain.coordinates) for chain in chains])
    radii = np.array([geometry.radius_of_gyration(chain.coordinates[:, geometry.CA]) for chain in chains])
    profile = ReferenceProfile(
        description="",
        chains=0,
        radius_law=RadiusLaw.fit(chains.lengths, radii),
        ramachandran=RamachandranMap.from_angles(angles[:, 0], angles[:, 1]),
        lengths=LENGTHS,
        measures={},
    )
    return measure_natural(
        profile, store, LENGTHS, seed=seed, novelty=NOVELTY_PER_LENGTH, workers=workers, advance=advance
    )


def measure_natural(
    profile: ReferenceProfile,
    store: ChainStore,
    lengths: NDArray[np.integer],
    *,
    seed: int = 0,
    chains_per_length: int = CHAINS_PER_LENGTH,
    compared: int = COMPARED_PER_LENGTH,
    novelty: int = 0,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> ReferenceProfile:
    """Give a profile the figures of the chains of a store; its map and its law stay.

    Parameters
    ----------
    profile : ReferenceProfile
        Whose map and law the chains are measured against.
    store : ChainStore
        The chains.
    lengths : ndarray of int
        Lengths at which to measure; those with fewer than twenty chains within ten residues are left out.
    seed : int
        For the choice of chains where a length has more than are needed.
    chains_per_length : int
        Chains measured at each length, at most.
    compared : int
        Of these, the chains that are aligned with each other.
    novelty : int
        Chains of each length whose nearest neighbour in another cluster is sought; this takes about a second for each.
    workers : int
        Processes for the alignments.
    advance : callable
        Told the number of lengths just done.

    Raises
    ------
    InputError
        If no length has enough chains.
    """
    chains = natural_chains(store)
    rng = np.random.default_rng(seed)
    members = {
        length: rng.permutation(np.flatnonzero(np.abs(chains.lengths - length) <= REACH))[:chains_per_length]
        for length in lengths.tolist()
    }
    members = {length: near for length, near in members.items() if len(near) >= LEAST_CHAINS}
    if not members:
        message = f"{store.path} holds fewer than {LEAST_CHAINS} natural chains of any length asked for; import more"
        raise InputError(message)
    traces = [
        [chains[int(member)].coordinates[:, geometry.CA] for member in near[:compared]] for near in members.values()
    ]
    rows = []
    for near, matrix in zip(members.values(), tm_matrices(traces, workers=workers), strict=True):
        variety = {"pairwise_tm": mean_pairwise(matrix), "cluster_fraction": count_clusters(matrix) / len(matrix)}
        single = _single([chains[int(member)] for member in near], profile)
        rows.append({**single, **variety, **_novelty(chains, near[:novelty], workers=workers)})
        advance(1)
    measured = len(np.unique(np.concatenate(list(members.values()))))
    return replace(
        profile,
        description=f"{measured} natural chains of {min(members) - REACH} to {max(members) + REACH} residues",
        chains=measured,
        lengths=np.array(list(members)),
        measures={name: np.array([row[name] for row in rows]) for name in rows[0]},
    )


def _single(group: Sequence[Chain], profile: ReferenceProfile) -> dict[str, float]:
    """Mean of what each chain tells by itself."""
    rows = [
        measure_chain(
            chain, ramachandran=profile.ramachandran, natural_rg=profile.radius_law.mean(len(chain.coordinates))
        )
        for chain in group
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "length"}


def _novelty(chains: ChainStore, members: NDArray[np.integer], *, workers: int) -> dict[str, float]:
    """Mean TM-score of chains to their nearest neighbours, of which none is of their own cluster."""
    if not len(members):
        return {}
    traces = [chains[int(member)].coordinates[:, geometry.CA] for member in members]
    nearest = search(traces, chains, excluded=[np.array([member]) for member in members], workers=workers)
    return {"novelty_tm": float(np.mean([neighbour.tm_score for neighbour in nearest]))}


def main() -> None:
    """Make a profile of a store and save it."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=main.__doc__)
    parser.add_argument("store", help="store of chains, made by helicell protein import")
    parser.add_argument("out", help="file to write, ending in .npz")
    parser.add_argument("--seed", type=int, default=0, help="chooses chains where there are more than are needed")
    parser.add_argument("--workers", type=int, default=1, help="processes for the alignments")
    arguments = parser.parse_args()
    try:
        profile = build_profile(ChainStore.open(arguments.store), seed=arguments.seed, workers=arguments.workers)
        profile.save(arguments.out)
    except InputError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
