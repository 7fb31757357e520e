"""Helix, strand or coil for each residue, from backbone coordinates alone.

Two rules live here. `assign_secondary_structure` is DSSP: hydrogens are placed from the preceding peptide plane,
hydrogen bonds are found by an electrostatic energy, and helices and sheets are patterns of those bonds. `ca_rule`
is P-SEA, which looks at CA distances and angles only and so still says something about a backbone whose peptide
groups are badly formed.

The eight states of DSSP are reduced to three by the usual convention: H, G and I (alpha, 3-10 and pi helix) become
``H``; E and B (ladder and isolated bridge) become ``E``; everything else becomes ``C``.

References
----------
.. [1] W. Kabsch, C. Sander, "Dictionary of protein secondary structure", Biopolymers 22, 2577 (1983).
.. [2] G. Labesse et al., "P-SEA: a new efficient assignment of secondary structure from CA trace of proteins",
   CABIOS 13, 291 (1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helicell.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The electrostatic energy of [1]: 0.42 e * 0.20 e * 332 kcal A / mol.
COUPLING = 27.888
# A hydrogen bond is any donor-acceptor pair below this energy, in kcal/mol [1].
BOND_ENERGY = -0.5
# Two charges nearer than this are an error of the model: the energy is set to its floor, as mkdssp does.
CLOSEST_CHARGES = 0.5
LOWEST_ENERGY = -9.9
# Residues whose CA atoms lie further apart cannot be bonded; mkdssp uses the same cut.
CA_CUTOFF = 9.0
# A longer C-N distance is a break in the chain, as in mkdssp: no hydrogen is placed and no pattern may cross it.
CHAIN_BREAK = 2.5

_CA_RULE_LETTERS = {"a": "H", "b": "E", "c": "C", "": "C"}


@dataclass(slots=True)
class Ladder:
    """Consecutive bridges of one type: residues ``i`` ascend, residues ``j`` are their partners, ascending too."""

    parallel: bool
    i: list[int]
    j: list[int]


def assign_secondary_structure(coordinates: NDArray[np.floating], *, sequence: str | None = None) -> str:
    """Assign helix, strand or coil to each residue by DSSP [1]_.

    Parameters
    ----------
    coordinates : ndarray, shape (residues, 4, 3)
        N, CA, C and O in Angstrom.
    sequence : str, optional
        One letter a residue. Only prolines matter: they have no hydrogen to donate. Without a sequence every
        residue is taken to have one.

    Returns
    -------
    str
        ``H``, ``E`` or ``C`` for each residue.

    Raises
    ------
    InputError
        If the coordinates have another shape or the sequence another length.

    References
    ----------
    .. [1] W. Kabsch, C. Sander, Biopolymers 22, 2577 (1983).

    Examples
    --------
    >>> import numpy as np
    >>> extended = np.arange(60, dtype=float).reshape(5, 4, 3)
    >>> assign_secondary_structure(extended)
    'CCCCC'
    """
    coordinates = _checked(coordinates, sequence)
    bonds = hydrogen_bonds(coordinates, sequence=sequence)
    segment = _segments(coordinates)
    states = np.full(len(coordinates), "C")
    for ladder in _ladders(bonds, segment):
        states[ladder.i[0] : ladder.i[-1] + 1] = "E"
        states[ladder.j[0] : ladder.j[-1] + 1] = "E"
    # An alpha helix replaces strands; the shorter and the longer turn only fill what is still free.
    states[_helix(bonds, segment, turn=4)] = "H"
    for turn in (3, 5):
        _fill_helix(states, bonds, segment, turn=turn)
    return "".join(states)


def hydrogen_bonds(coordinates: NDArray[np.floating], *, sequence: str | None = None) -> NDArray[np.bool_]:
    """Find the backbone hydrogen bonds of a chain.

    Parameters
    ----------
    coordinates : ndarray, shape (residues, 4, 3)
        N, CA, C and O in Angstrom.
    sequence : str, optional
        One letter a residue; prolines donate no bond.

    Returns
    -------
    ndarray of bool, shape (residues, residues)
        ``bonds[d, a]`` is true where N-H of residue ``d`` is bonded to C=O of residue ``a``. A donor keeps its two
        strongest acceptors at most.

    Raises
    ------
    InputError
        If the coordinates have another shape or the sequence another length.
    """
    coordinates = _checked(coordinates, sequence)
    count = len(coordinates)
    nitrogen, ca, carbon, oxygen = coordinates.transpose(1, 0, 2)
    donates = np.zeros(count, dtype=bool)
    donates[1:] = _is_bonded(coordinates)
    if sequence is not None:
        donates &= np.frombuffer(sequence.encode(), dtype="S1") != b"P"
    hydrogen = nitrogen.copy()
    hydrogen[1:] += _unit(carbon[:-1] - oxygen[:-1])

    donor, acceptor = np.nonzero(np.linalg.norm(ca[:, None] - ca[None], axis=-1) < CA_CUTOFF)
    # The peptide group that holds the donor's own nitrogen is residue d - 1: it is no partner, nor is d itself.
    possible = donates[donor] & (acceptor != donor) & (acceptor != donor - 1)
    donor, acceptor = donor[possible], acceptor[possible]
    inverse_distances = []
    closest = np.full(len(donor), np.inf)
    for first, second in ((oxygen, nitrogen), (carbon, hydrogen), (oxygen, hydrogen), (carbon, nitrogen)):
        distance = np.linalg.norm(first[acceptor] - second[donor], axis=-1)
        closest = np.minimum(closest, distance)
        inverse_distances.append(1.0 / np.maximum(distance, CLOSEST_CHARGES))
    o_n, c_h, o_h, c_n = inverse_distances
    energy = np.zeros((count, count))
    energy[donor, acceptor] = np.where(closest < CLOSEST_CHARGES, LOWEST_ENERGY, COUPLING * (o_n + c_h - o_h - c_n))
    if count < 2:
        return np.zeros((count, count), dtype=bool)
    second_strongest = np.partition(energy, 1, axis=1)[:, 1:2]
    return (energy < BOND_ENERGY) & (energy <= second_strongest)


def ca_rule(ca: NDArray[np.floating]) -> str:
    """Assign helix, strand or coil from CA atoms alone, by P-SEA [2]_ as biotite implements it.

    Parameters
    ----------
    ca : ndarray, shape (residues, 3)
        CA positions in Angstrom.

    Returns
    -------
    str
        ``H``, ``E`` or ``C`` for each residue. Chains of fewer than five residues are all coil: the rule looks at
        stretches of five.

    Raises
    ------
    InputError
        If the positions have another shape.

    References
    ----------
    .. [2] G. Labesse et al., CABIOS 13, 291 (1997).
    """
    from biotite.structure import AtomArray, annotate_sse  # heavy: only when the rule is asked for

    ca = np.asarray(ca)
    if ca.ndim != 2 or ca.shape[1] != 3:
        message = f"CA positions of shape {ca.shape} were given; give one chain as [residues, 3]"
        raise InputError(message)
    if len(ca) < 5:
        return "C" * len(ca)
    atoms = AtomArray(len(ca))
    atoms.coord = ca.astype(np.float32)
    atoms.res_id = np.arange(1, len(ca) + 1)
    atoms.chain_id[:] = "A"
    atoms.res_name[:] = "ALA"
    atoms.atom_name[:] = "CA"
    atoms.element[:] = "C"
    return "".join(_CA_RULE_LETTERS[letter] for letter in annotate_sse(atoms))


def _checked(coordinates: NDArray[np.floating], sequence: str | None) -> NDArray[np.floating]:
    coordinates = np.asarray(coordinates, dtype=np.float64)
    if coordinates.ndim != 3 or coordinates.shape[1:] != (4, 3):
        message = f"coordinates of shape {coordinates.shape} were given; give N, CA, C and O as [residues, 4, 3]"
        raise InputError(message)
    if sequence is not None and len(sequence) != len(coordinates):
        message = f"a sequence of {len(sequence)} letters was given for {len(coordinates)} residues; give one for each"
        raise InputError(message)
    return coordinates


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _is_bonded(coordinates: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each residue is joined to the next one by a peptide bond; one value a pair of neighbours."""
    distance = np.linalg.norm(coordinates[1:, 0] - coordinates[:-1, 2], axis=-1)
    return np.asarray(distance <= CHAIN_BREAK)


def _segments(coordinates: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number the unbroken stretches, and say for each residue which one it belongs to."""
    segment = np.zeros(len(coordinates), dtype=np.int64)
    segment[1:] = np.cumsum(~_is_bonded(coordinates))
    return segment


def _turn_starts(bonds: NDArray[np.bool_], segment: NDArray[np.int64], turn: int) -> NDArray[np.bool_]:
    """Whether C=O of each residue is bonded to N-H of the residue ``turn`` later, inside one stretch."""
    starts = np.zeros(len(bonds), dtype=bool)
    starts[:-turn] = np.diagonal(bonds, -turn) & (segment[turn:] == segment[:-turn])
    return starts


def _helix_starts(bonds: NDArray[np.bool_], segment: NDArray[np.int64], turn: int) -> NDArray[np.int64]:
    """First residues of minimal helices: the second of two consecutive turns."""
    if len(bonds) <= turn:
        return np.empty(0, dtype=np.int64)
    starts = _turn_starts(bonds, segment, turn)
    return np.flatnonzero(starts[1:] & starts[:-1]) + 1


def _helix(bonds: NDArray[np.bool_], segment: NDArray[np.int64], *, turn: int) -> NDArray[np.int64]:
    starts = _helix_starts(bonds, segment, turn)
    return (starts[:, None] + np.arange(turn)).ravel()


def _fill_helix(states: NDArray[np.str_], bonds: NDArray[np.bool_], segment: NDArray[np.int64], *, turn: int) -> None:
    """Write minimal helices of one kind where no strand stands.

    mkdssp keeps a 3-10 helix out of alpha helices as well, but lets a pi helix replace one. In three states both
    are helix; what is left of the rule is that a 3-10 turn which overlaps an alpha helix is not drawn.
    """
    alpha = states == "H" if turn == 3 else np.zeros(len(states), dtype=bool)
    for start in _helix_starts(bonds, segment, turn):
        stretch = slice(start, start + turn)
        if not (states[stretch] == "E").any() and not alpha[stretch].any():
            states[stretch] = "H"


def _bridges(bonds: NDArray[np.bool_], segment: NDArray[np.int64], *, parallel: bool) -> list[tuple[int, int]]:
    """Pairs (i, j), j >= i + 3, that are bridged by hydrogen bonds; sorted by i, then j [1]."""
    count = len(bonds)
    if count < 5:
        return []
    inner = bonds[1:-1, 1:-1]
    if parallel:
        # Residue i lies between the two bonds (i+1 -> j, j -> i-1), or residue j does (j+1 -> i, i -> j-1).
        around_i = bonds[2:, 1:-1] & bonds[1:-1, :-2].T
        bridged = around_i | around_i.T
    else:
        # Either i and j bond each other both ways, or their neighbours do (i+1 -> j-1, j+1 -> i-1).
        outer = bonds[2:, :-2]
        bridged = (inner & inner.T) | (outer & outer.T)
    whole = segment[2:] == segment[:-2]
    first, second = np.nonzero(np.triu(bridged & whole[:, None] & whole, 3))
    return list(zip((first + 1).tolist(), (second + 1).tolist(), strict=True))


def _ladders(bonds: NDArray[np.bool_], segment: NDArray[np.int64]) -> list[Ladder]:
    """Bridges strung into ladders, ladders joined over bulges [1]."""
    ladders: list[Ladder] = []
    for parallel in (True, False):
        strung: list[Ladder] = []
        for i, j in _bridges(bonds, segment, parallel=parallel):
            for ladder in strung:
                follows = ladder.j[-1] + 1 == j if parallel else ladder.j[0] - 1 == j
                if ladder.i[-1] + 1 == i and follows:
                    ladder.i.append(i)
                    ladder.j.insert(len(ladder.j) if parallel else 0, j)
                    break
            else:
                strung.append(Ladder(parallel, [i], [j]))
        ladders += _joined_over_bulges(strung, segment)
    return ladders


def _joined_over_bulges(ladders: list[Ladder], segment: NDArray[np.int64]) -> list[Ladder]:
    ladders = sorted(ladders, key=lambda ladder: ladder.i[0])
    position = 0
    while position < len(ladders):
        ladder, candidate = ladders[position], position + 1
        while candidate < len(ladders):
            if _is_bulge(ladder, ladders[candidate], segment):
                other = ladders.pop(candidate)
                ladder.i += other.i
                ladder.j = ladder.j + other.j if ladder.parallel else other.j + ladder.j
            else:
                candidate += 1
        position += 1
    return ladders


def _is_bulge(first: Ladder, second: Ladder, segment: NDArray[np.int64]) -> bool:
    """Whether at most one residue on one side and four on the other separate two ladders of one type [1]."""
    gap_i = second.i[0] - first.i[-1]
    gap_j = second.j[0] - first.j[-1] if first.parallel else first.j[0] - second.j[-1]
    if gap_i <= 0 or gap_j < 0 or gap_i >= 6:
        return False
    ends_j = (min(first.j[0], second.j[0]), max(first.j[-1], second.j[-1]))
    unbroken = segment[first.i[0]] == segment[second.i[-1]] and segment[ends_j[0]] == segment[ends_j[1]]
    return bool(unbroken and (gap_j < 3 or (gap_j < 6 and gap_i < 3)))
