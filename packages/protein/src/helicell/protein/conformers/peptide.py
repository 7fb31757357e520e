"""A capped peptide with all its atoms: from a sequence to a minimised structure and OpenMM's system of it.

The ends are acetyl (ACE) and N-methyl (NME), so that a single residue already has both phi and psi. Heavy atoms and
hydrogens of the residues come from the chemical components of the PDB, on an extended backbone; residues are in the
state of pH 7, histidine with its hydrogen at NE2. What is left of clashes and strain a minimisation takes away, on
OpenMM's reference platform, which gives the same numbers every time.

Maier and others, ff14SB, JCTC 11 (2015); Nguyen, Roe and Simmerling, GBn2, JCTC 9 (2013); Onufriev, Bashford and Case,
OBC2, Proteins 55 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError, MissingPackageError, unknown_option
from helicell.protein.structures.chain import THREE_LETTER

FORCE_FIELD = "amber14/protein.ff14SB.xml"
SOLVENTS = {"gbn2": "implicit/gbn2.xml", "obc2": "implicit/obc2.xml", "vacuum": None}
# The minimisation ends at this root mean square of the gradient, in kJ/mol/nm, or after so many iterations.
TOLERANCE, MOST_ITERATIONS = 0.1, 1000
# The extended backbone that the building starts from: torsions in degrees, lengths (A) and angles of Engh and Huber.
START_PHI, START_PSI = -140.0, 140.0
LENGTHS = {"N-CA": 1.458, "CA-C": 1.525, "C-N": 1.329, "C-O": 1.231, "N-H": 1.01, "C-H": 1.09}
ANGLES = {"N-CA-C": 111.0, "CA-C-N": 117.2, "C-N-CA": 121.7, "CA-C-O": 120.1, "C-N-H": 119.0, "X-C-H": 109.5}
# Atoms of the free amino acids that residues of a chain at pH 7 do not have.
LOST = {"OXT", "HXT", "H2", "H3"}
LOST_OF = {"ASP": {"HD2"}, "GLU": {"HE2"}, "HIS": {"HD1"}, "PRO": {"H"}}


@dataclass(frozen=True, slots=True)
class Peptide:
    """A peptide in a local minimum of its force field.

    Attributes
    ----------
    sequence
        One-letter codes, without the caps.
    solvent
        Which implicit solvent its system has.
    names, residues
        Name and residue number of every atom; 0 is the acetyl cap, len(sequence) + 1 the N-methyl cap.
    elements
        Chemical symbols.
    bonds
        Pairs of atoms [bonds, 2].
    positions
        [atoms, 3] in Angstrom.
    topology, system
        OpenMM's.
    """

    sequence: str
    solvent: str
    names: tuple[str, ...]
    residues: NDArray[np.int64]
    elements: tuple[str, ...]
    bonds: NDArray[np.int64]
    positions: NDArray[np.float64]
    topology: Any
    system: Any

    def atom(self, residue: int, name: str) -> int:
        """Return the index of an atom."""
        return next(i for i, known in enumerate(self.names) if known == name and self.residues[i] == residue)

    def neighbours(self) -> list[list[int]]:
        """Return the bonded atoms of every atom, in the order of the atoms."""
        found: list[list[int]] = [[] for _ in self.names]
        for a, b in self.bonds.tolist():
            found[a].append(b)
            found[b].append(a)
        return [sorted(one) for one in found]


def build_peptide(sequence: str, *, solvent: str = "gbn2") -> Peptide:
    """Build a capped peptide, and minimise its energy.

    Parameters
    ----------
    sequence
        One-letter codes of the twenty amino acids.
    solvent
        `gbn2`, `obc2` or `vacuum`.

    Raises
    ------
    InputError
        If a letter or the solvent is unknown.
    MissingPackageError
        If OpenMM is not installed.
    """
    if find_spec("openmm") is None:
        raise MissingPackageError("openmm", extra="openmm", purpose="the force field of a peptide")
    if solvent not in SOLVENTS:
        raise unknown_option("solvent", solvent, SOLVENTS)
    unknown = sorted(set(sequence) - (set(THREE_LETTER) - {"X"}))
    if unknown or not sequence:
        message = f"the sequence {sequence!r} is given, expected one-letter codes of the twenty amino acids"
        raise InputError(message)
    from openmm import app, unit

    atoms = _build_atoms(sequence)
    topology = app.Topology()
    chain = topology.addChain("A")
    handles: list[Any] = []
    for number, (name, members) in enumerate(atoms.residues):
        residue = topology.addResidue(name, chain, str(number))
        for atom_name, element, _ in members:
            handles.append(topology.addAtom(atom_name, app.Element.getBySymbol(element), residue))
    for a, b in atoms.bonds:
        topology.addBond(handles[a], handles[b])
    files = [name for name in (FORCE_FIELD, SOLVENTS[solvent]) if name]
    system = app.ForceField(*files).createSystem(topology, nonbondedMethod=app.NoCutoff, constraints=None)
    start = np.array([place for _, members in atoms.residues for _, _, place in members])
    context = _context(system)
    context.setPositions(start * unit.angstrom)
    _minimise(context)
    positions = context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return Peptide(
        sequence=sequence,
        solvent=solvent,
        names=tuple(atom.name for atom in topology.atoms()),
        residues=np.array([int(atom.residue.id) for atom in topology.atoms()]),
        elements=tuple(atom.element.symbol for atom in topology.atoms()),
        bonds=np.array(atoms.bonds, dtype=np.int64),
        positions=np.asarray(positions, dtype=np.float64),
        topology=topology,
        system=system,
    )


def reference_energy(peptide: Peptide, positions: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
    """Return OpenMM's energy of one conformation in kJ/mol, and its gradient [atoms, 3] in kJ/mol/A."""
    from openmm import unit

    context = _context(peptide.system)
    context.setPositions(np.asarray(positions, dtype=np.float64) * unit.angstrom)
    state = context.getState(getEnergy=True, getForces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), -np.asarray(forces)


def _context(system: Any) -> Any:
    import openmm

    # The integrator is never stepped. The reference platform computes in double precision.
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


def _minimise(context: Any) -> None:
    import openmm

    openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, MOST_ITERATIONS)


# ----------------------------------------------------------------------------------------------------------- the atoms


@dataclass(slots=True)
class _Atoms:
    """Residues with the name, element and place of their atoms, and the bonds between them."""

    residues: list[tuple[str, list[tuple[str, str, NDArray[np.float64]]]]]
    bonds: list[tuple[int, int]]


def _build_atoms(sequence: str) -> _Atoms:
    backbone = _extended_backbone(len(sequence))
    atoms = _Atoms([], [])
    methyl, carbon = backbone[0][1:]
    nitrogen, alpha = backbone[1][:2]
    atoms.residues.append(("ACE", [
        ("CH3", "C", methyl), ("C", "C", carbon), ("O", "O", _place_oxygen(methyl, carbon, nitrogen)),
        *_methyl_hydrogens(methyl, carbon, nitrogen),
    ]))  # fmt: skip
    atoms.bonds += [(0, 1), (1, 2), (0, 3), (0, 4), (0, 5)]
    last_carbon = 1
    for number, letter in enumerate(sequence, start=1):
        last_carbon = _add_residue(atoms, THREE_LETTER[letter], backbone, number, last_carbon)
    first = sum(len(members) for _, members in atoms.residues)
    nitrogen, alpha = backbone[-1][:2]
    before = backbone[-2][2]
    atoms.residues.append(("NME", [
        ("N", "N", nitrogen), ("H", "H", _place_hydrogen(before, nitrogen, alpha)), ("C", "C", alpha),
        *_methyl_hydrogens(alpha, nitrogen, before),
    ]))  # fmt: skip
    atoms.bonds += [(last_carbon, first), (first, first + 1), (first, first + 2)]
    atoms.bonds += [(first + 2, first + 3 + i) for i in range(3)]
    return atoms


def _add_residue(atoms: _Atoms, name: str, backbone: list[tuple[Any, Any, Any]], number: int, last_carbon: int) -> int:
    """Add an amino acid from its component, turned onto the backbone, and return its carbonyl carbon."""
    from biotite.structure import superimpose
    from biotite.structure.info import residue as component

    free = component(name)
    place = backbone[number]
    onto = np.array([free.coord[free.atom_name == atom][0] for atom in ("N", "CA", "C")])
    _, turn = superimpose(np.array(place, dtype=np.float32), onto)
    coordinates = turn.apply(free.coord).astype(np.float64)
    fixed = {
        "N": place[0],
        "CA": place[1],
        "C": place[2],
        "O": _place_oxygen(place[1], place[2], backbone[number + 1][0]),
        "H": _place_hydrogen(backbone[number - 1][2], place[0], place[1]),
    }
    lost = LOST | LOST_OF.get(name, set())
    first = sum(len(members) for _, members in atoms.residues)
    kept = [i for i, atom in enumerate(free.atom_name) if atom not in lost]
    members = []
    for i in kept:
        atom, element = str(free.atom_name[i]), str(free.element[i])
        members.append((atom, element.capitalize(), fixed.get(atom, coordinates[i])))
    atoms.residues.append((name, members))
    index = {old: first + new for new, old in enumerate(kept)}
    bonds = [(index[a], index[b]) for a, b, _ in free.bonds.as_array().tolist() if a in index and b in index]
    nitrogen = first + [atom for atom, _, _ in members].index("N")
    atoms.bonds += [(last_carbon, nitrogen), *bonds]
    return first + [atom for atom, _, _ in members].index("C")


def _extended_backbone(residues: int) -> list[tuple[Any, Any, Any]]:
    """Return N, CA, C of every residue and of the caps, whose first or last atoms do not exist."""
    first, second = np.zeros(3), np.array([LENGTHS["N-CA"], 0.0, 0.0])
    third = _extend(np.array([0.0, 1.0, 0.0]), first, second, LENGTHS["CA-C"], ANGLES["N-CA-C"], 180.0)
    chain = [first, second, third]
    for _ in range(residues + 1):
        for bond, angle, torsion in (
            ("C-N", "CA-C-N", START_PSI),
            ("N-CA", "C-N-CA", 180.0),
            ("CA-C", "N-CA-C", START_PHI),
        ):
            chain.append(_extend(chain[-3], chain[-2], chain[-1], LENGTHS[bond], ANGLES[angle], torsion))
    return [(chain[i], chain[i + 1], chain[i + 2]) for i in range(0, len(chain), 3)]


def _extend(a: Any, b: Any, c: Any, length: float, angle: float, torsion: float) -> NDArray[np.float64]:
    """Return the atom that follows three others, with the given length, angle and torsion in degrees."""
    bend, turn = np.deg2rad(angle), np.deg2rad(torsion)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, axis)
    return c + length * (-np.cos(bend) * axis + np.sin(bend) * (np.cos(turn) * side + np.sin(turn) * normal))


def _place_oxygen(alpha: Any, carbon: Any, nitrogen: Any) -> NDArray[np.float64]:
    """Return the carbonyl oxygen, opposite to the next nitrogen in the plane of the peptide bond."""
    return _extend(nitrogen, alpha, carbon, LENGTHS["C-O"], ANGLES["CA-C-O"], 180.0)


def _place_hydrogen(carbon: Any, nitrogen: Any, alpha: Any) -> NDArray[np.float64]:
    """Return the amide hydrogen, opposite to CA in the plane of the peptide bond."""
    return _extend(alpha, carbon, nitrogen, LENGTHS["N-H"], ANGLES["C-N-H"], 180.0)


def _methyl_hydrogens(methyl: Any, bonded: Any, beyond: Any) -> list[tuple[str, str, NDArray[np.float64]]]:
    return [
        (f"H{i + 1}", "H", _extend(beyond, bonded, methyl, LENGTHS["C-H"], ANGLES["X-C-H"], turn))
        for i, turn in enumerate((60.0, 180.0, 300.0))
    ]
