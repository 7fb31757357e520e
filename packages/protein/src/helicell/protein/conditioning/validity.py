"""Is a sample a possible backbone? The geometry checks of `helicell.protein.evaluation`, as one yes or no a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from helicell.protein.evaluation import geometry

# CA atoms of residues in contact are within this (Angstrom).
CONTACT = 8.0


def judge_chain(coordinates: NDArray[np.floating], *, given: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """Return the checks of one chain, and under `valid` whether it passes all of them.

    A chain is valid when every peptide bond and every distance between consecutive CA atoms is in its range, no CA
    atoms clash, and no backbone atoms are in impossible contact.

    Parameters
    ----------
    coordinates
        N, CA, C, O: [residues, 4, 3], Angstrom.
    given
        Residues that were taken from a real structure: what lies between two neighbours among them is not judged, as
        real chains have cis peptide bonds and contacts of their own.
    """
    judged = np.ones(len(coordinates) - 1, dtype=bool)
    if given is not None:
        judged = ~(given[:-1] & given[1:])
    ca_ca = geometry.ca_distances(coordinates)
    c_n = geometry.peptide_bonds(coordinates)
    found: dict[str, Any] = {
        "ca_ca_valid": geometry.within(ca_ca, geometry.CA_CA_RANGE),
        "c_n_valid": geometry.within(c_n, geometry.C_N_RANGE),
        "ca_clashes": geometry.count_ca_clashes(coordinates[:, geometry.CA]),
        "backbone_clashes": geometry.count_backbone_clashes(coordinates),
    }
    bonds = geometry.within(ca_ca[judged], geometry.CA_CA_RANGE) == 1 and geometry.within(c_n, geometry.C_N_RANGE) == 1
    return {"valid": int(bonds and not found["ca_clashes"] and not found["backbone_clashes"]), **found}


def judge_between(chains: NDArray[np.floating]) -> dict[str, Any]:
    """Return what the first chain of an assembly [chains, residues, 4, 3] has with the others, which are its copies.

    The counts are of pairs, one of which is in the first chain: CA atoms nearer than 3.0 A, backbone atoms in
    impossible contact, and residues whose CA atoms are within 8 A.
    """
    first, others = chains[0], chains[1:].reshape(-1, 4, 3)
    own, all_others = cKDTree(first[:, geometry.CA]), cKDTree(others[:, geometry.CA])
    return {
        "chain_ca_clashes": int(own.count_neighbors(all_others, geometry.CA_CLASH)),
        "chain_backbone_clashes": geometry.count_clashes_between(first, others),
        "chain_contacts": int(own.count_neighbors(all_others, CONTACT)),
    }
