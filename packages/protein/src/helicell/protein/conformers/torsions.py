"""The torsions of a peptide: which bonds turn, what they are called, and which atoms they move.

The bonds of a peptide without its rings are a tree, rooted at the first atom. A torsion turns all that lies beyond its
bond. Kinds: `phi`, `psi` and `omega` of the backbone, `chi` of side chains up to the last bond that moves a heavy atom,
and `spin` for what moves hydrogens only, methyl and hydroxyl groups. Bonds of rings and between planar atoms of a side
chain, as in arginine, do not turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helicell.core.errors import InputError, unknown_option
from helicell.protein.conformers.peptide import Peptide

KINDS = ("phi", "psi", "omega", "chi", "spin")
BACKBONE = {("N", "CA"): "phi", ("CA", "C"): "psi", ("C", "N"): "omega"}


@dataclass(frozen=True, slots=True)
class Torsion:
    """A bond that turns.

    Attributes
    ----------
    kind, residue
        One of `KINDS`, and the residue that it is counted to.
    number
        1 for the first of its kind in its residue.
    atoms
        The four atoms of its angle; it turns about the bond of the inner two.
    moved
        Atoms that it moves, the last of the four among them.
    """

    kind: str
    residue: int
    number: int
    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its name, as `phi3` or `chi2,4`: the second of residue 4."""
        return f"{self.kind}{self.residue}" if self.kind in BACKBONE.values() else (
            f"{self.kind}{self.number},{self.residue}"
        )  # fmt: skip


def find_torsions(peptide: Peptide, kinds: Sequence[str] = KINDS) -> tuple[Torsion, ...]:
    """Return the torsions of the given kinds, each after those that move it.

    Raises
    ------
    InputError
        If a kind is unknown, or there is no torsion of the kinds.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_option("kind of torsion", kind, KINDS)
    neighbours = peptide.neighbours()
    parents, order = _tree(neighbours)
    found: list[Torsion] = []
    counts: dict[tuple[str, int], int] = {}
    for atom in order:
        pivot = parents[atom]
        if pivot is None or parents[pivot] is None or len(neighbours[atom]) == 1:
            continue
        moved = _beyond(neighbours, pivot, atom)
        if pivot in moved:
            continue
        torsion = _torsion(peptide, neighbours, parents, pivot, atom, moved, counts)
        if torsion is not None and torsion.kind in kinds:
            found.append(torsion)
    if not found:
        message = f"the peptide {peptide.sequence} has no torsions of the kinds {', '.join(kinds)}; give others"
        raise InputError(message)
    return tuple(found)


def _torsion(
    peptide: Peptide,
    neighbours: list[list[int]],
    parents: list[int | None],
    pivot: int,
    atom: int,
    moved: list[int],
    counts: dict[tuple[str, int], int],
) -> Torsion | None:
    """Return the torsion of a bond that is in no ring; None for planar ones."""
    heavy = [other for other in neighbours[atom] if other != pivot and peptide.elements[other] != "H"]
    capped = peptide.residues[atom] in (0, len(peptide.sequence) + 1)
    bond = (peptide.names[pivot], peptide.names[atom])
    kind = BACKBONE.get(bond) if not (capped and bond != ("C", "N")) else None
    if kind is None:
        if len(neighbours[pivot]) == len(neighbours[atom]) == 3:
            return None
        kind = "chi" if heavy else "spin"
    residue = int(peptide.residues[pivot])
    number = counts[kind, residue] = counts.get((kind, residue), 0) + 1
    before = parents[pivot]
    assert before is not None
    # The angle runs along the chain where it goes on, and to the first atom by name order of the component elsewhere.
    after = (heavy or [other for other in neighbours[atom] if other != pivot])[0]
    along = {"phi": "C", "psi": "N", "omega": "CA"}.get(kind)
    after = next((other for other in heavy if peptide.names[other] == along), after)
    return Torsion(kind, residue, number, (before, pivot, atom, after), tuple(moved))


def _tree(neighbours: list[list[int]]) -> tuple[list[int | None], list[int]]:
    """Return the parent of every atom, and the atoms in breadth-first order."""
    parents: list[int | None] = [None] * len(neighbours)
    order, seen = [0], {0}
    for atom in order:
        for other in neighbours[atom]:
            if other not in seen:
                parents[other] = atom
                seen.add(other)
                order.append(other)
    return parents, order


def _beyond(neighbours: list[list[int]], pivot: int, atom: int) -> list[int]:
    """Return what hangs on a bond's far atom; the near one is in it if the bond is in a ring."""
    seen = {atom}
    open_atoms = [atom]
    for one in open_atoms:
        for other in neighbours[one]:
            if other not in seen and (one, other) != (atom, pivot):
                seen.add(other)
                open_atoms.append(other)
    return sorted(seen - {atom})
