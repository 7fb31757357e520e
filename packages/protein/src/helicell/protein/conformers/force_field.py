"""The force field of a small molecule for whole batches: OpenMM's terms, read out of its system, compiled.

OpenMM evaluates one conformation a call, at some tenths of a millisecond of overhead for a molecule of this size. Here
the same terms run in one compiled loop over a batch, with their gradients: proper and improper torsions, Lennard-Jones
and Coulomb without a cutoff, generalised Born solvation with its surface term. Bonds and angles do not move in torsion
space; their energy is a constant, taken from the reference structure. Lengths inside are in nm, as in OpenMM.

The Born radii and energies are those of Onufriev, Bashford and Case, Proteins 55 (2004), with the neck correction of
Mongan and others, JCTC 3 (2007), and the parameters of Nguyen, Roe and Simmerling, JCTC 9 (2013).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.conformers.peptide import Peptide

# kJ nm / mol / e^2, as OpenMM's non-bonded and its generalised Born forces have it.
COULOMB, BORN_COULOMB = 138.935456, 138.935485
WATER = 78.5
NECK_SCALE, NECK_CUT = 0.826836, 0.68
OFFSETS = {"gbn2": 0.0195141, "obc2": 0.009}
OBC2_CURVE = (1.0, 0.8, 4.85)
SURFACE, PROBE = 28.3919551, 0.14
ANGSTROM = 0.1

compiled = njit(cache=True, fastmath={"reassoc", "nsz", "contract", "arcp"}, error_model="numpy")


class ForceField:
    """The energy of a peptide whose bond lengths and angles are those of its structure.

    Parameters
    ----------
    peptide
        What it is the energy of.

    Raises
    ------
    InputError
        If the system has a force that is not known here.
    """

    def __init__(self, peptide: Peptide) -> None:
        import openmm

        self.atoms = len(peptide.names)
        forces = {type(force): force for force in peptide.system.getForces()}
        known = {
            openmm.HarmonicBondForce,
            openmm.HarmonicAngleForce,
            openmm.PeriodicTorsionForce,
            openmm.NonbondedForce,
            openmm.CustomGBForce,
            openmm.CMMotionRemover,
        }
        if strange := [kind.__name__ for kind in forces if kind not in known]:
            message = f"the system has the forces {strange}, which are not known here; take ff14SB with gbn2 or obc2"
            raise InputError(message)
        self.quadruples, self.waves = _torsions(forces[openmm.PeriodicTorsionForce])
        self.charges, self.pairs = _nonbonded(forces[openmm.NonbondedForce])
        self.born, self.necks = _born(forces.get(openmm.CustomGBForce), peptide.solvent, self.atoms)
        places = peptide.positions * ANGSTROM
        self.constant = _stiff_energy(forces, places)

    def energy_and_gradient(self, positions: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the energies of conformations in kJ/mol, and their gradients in kJ/mol/A.

        Parameters
        ----------
        positions
            [batch, atoms, 3] in Angstrom.
        """
        places = np.ascontiguousarray(positions, dtype=np.float64) * ANGSTROM
        gradient = np.zeros_like(places)
        energy = _evaluate(
            places, gradient, self.quadruples, self.waves, self.charges, self.pairs, self.born, self.necks
        )
        return energy + self.constant, gradient * ANGSTROM


# -------------------------------------------------------------------------------------------- reading OpenMM's system


def _torsions(force: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return atoms [torsions, 4], and periodicity, phase and strength [torsions, 3]."""
    atoms, waves = [], []
    for i in range(force.getNumTorsions()):
        *four, periodicity, phase, strength = force.getTorsionParameters(i)
        atoms.append(four)
        waves.append((float(periodicity), phase._value, strength._value))  # noqa: SLF001  # OpenMM's own units
    return np.array(atoms, dtype=np.int64), np.array(waves)


def _nonbonded(force: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return charges, and for all pairs [3, atoms, atoms]: charge products, sigma^6 and four epsilon."""
    count = force.getNumParticles()
    charges, sigmas, wells = (
        np.array(column)
        for column in zip(
            *([part._value for part in force.getParticleParameters(i)] for i in range(count)),  # noqa: SLF001
            strict=True,
        )
    )
    pairs = np.empty((3, count, count))
    pairs[0] = COULOMB * np.outer(charges, charges)
    pairs[1] = (0.5 * (sigmas[:, None] + sigmas)) ** 6
    pairs[2] = 4 * np.sqrt(np.outer(wells, wells))
    for k in range(force.getNumExceptions()):
        i, j, product, sigma, well = force.getExceptionParameters(k)
        values = (COULOMB * product._value, sigma._value**6, 4 * well._value)  # noqa: SLF001
        pairs[:, i, j] = pairs[:, j, i] = values
    return charges, pairs


def _born(force: Any, solvent: str, atoms: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for every atom radius, offset radius, scaled radius and three coefficients, and necks [2, atoms, atoms].

    Without a force there are no atoms.
    """
    if force is None:
        return np.zeros((0, 6)), np.zeros((2, 0, 0))
    offset = OFFSETS[solvent]
    rows = np.array([force.getParticleParameters(i) for i in range(atoms)])
    curve = rows[:, 3:6] if solvent == "gbn2" else np.tile(OBC2_CURVE, (atoms, 1))
    born = np.column_stack((rows[:, 1] + offset, rows[:, 1], rows[:, 2], curve))
    necks = np.zeros((2, atoms, atoms))
    if solvent == "gbn2":
        tables = {force.getTabulatedFunctionName(i): force.getTabulatedFunction(i) for i in range(2)}
        kinds = rows[:, 6].astype(np.int64)
        for part, name in enumerate(("getd0", "getm0")):
            size, _, values = tables[name].getFunctionParameters()
            # OpenMM's tables run over the first index fastest.
            necks[part] = np.array(values).reshape(size, size).T[np.ix_(kinds, kinds)]
    return np.ascontiguousarray(born), necks


def _stiff_energy(forces: dict[Any, Any], places: NDArray[np.float64]) -> float:
    """Return the energy of bonds and angles in a structure."""
    import openmm

    total = 0.0
    bonds = forces[openmm.HarmonicBondForce]
    for i in range(bonds.getNumBonds()):
        a, b, length, strength = bonds.getBondParameters(i)
        found = np.linalg.norm(places[b] - places[a])
        total += 0.5 * strength._value * (found - length._value) ** 2  # noqa: SLF001
    angles = forces[openmm.HarmonicAngleForce]
    for i in range(angles.getNumAngles()):
        a, b, c, angle, strength = angles.getAngleParameters(i)
        one, other = places[a] - places[b], places[c] - places[b]
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        total += 0.5 * strength._value * (math.acos(cosine) - angle._value) ** 2  # noqa: SLF001
    return float(total)


# ------------------------------------------------------------------------------------------------------- compiled loops


@compiled
def _evaluate(
    places: NDArray[Any],
    gradient: NDArray[Any],
    quadruples: NDArray[Any],
    waves: NDArray[Any],
    charges: NDArray[Any],
    pairs: NDArray[Any],
    born: NDArray[Any],
    necks: NDArray[Any],
) -> NDArray[Any]:
    """Return the energies of all conformations, and add their gradients to `gradient`."""
    batch, atoms = places.shape[0], places.shape[1]
    energies = np.empty(batch)
    distance = np.empty((atoms, atoms))
    # The derivative of the energy by each distance, over the distance.
    pull = np.empty((atoms, atoms))
    for b in range(batch):
        x, slope = places[b], gradient[b]
        energy = _torsion_energy(x, slope, quadruples, waves)
        for i in range(atoms):
            for j in range(i):
                square = (x[i, 0] - x[j, 0]) ** 2 + (x[i, 1] - x[j, 1]) ** 2 + (x[i, 2] - x[j, 2]) ** 2
                r = math.sqrt(square)
                distance[i, j] = distance[j, i] = r
                sixth = pairs[1, i, j] / (square * square * square)
                coulomb = pairs[0, i, j] / r
                energy += coulomb + pairs[2, i, j] * sixth * (sixth - 1)
                pull[i, j] = -(coulomb + pairs[2, i, j] * sixth * (12 * sixth - 6)) / square
        if len(born):
            energy += _born_energy(distance, pull, charges, born, necks)
        for i in range(atoms):
            for j in range(i):
                for axis in range(3):
                    force = pull[i, j] * (x[i, axis] - x[j, axis])
                    slope[i, axis] += force
                    slope[j, axis] -= force
        energies[b] = energy
    return energies


@compiled
def _torsion_energy(x: NDArray[Any], slope: NDArray[Any], quadruples: NDArray[Any], waves: NDArray[Any]) -> float:
    """Return the energy of all torsions, and add their gradients; Blondel and Karplus, J. Comput. Chem. 17 (1996)."""
    energy = 0.0
    for t in range(len(quadruples)):
        i, j, k, m = quadruples[t, 0], quadruples[t, 1], quadruples[t, 2], quadruples[t, 3]
        fx, fy, fz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        gx, gy, gz = x[j, 0] - x[k, 0], x[j, 1] - x[k, 1], x[j, 2] - x[k, 2]
        hx, hy, hz = x[m, 0] - x[k, 0], x[m, 1] - x[k, 1], x[m, 2] - x[k, 2]
        ax, ay, az = fy * gz - fz * gy, fz * gx - fx * gz, fx * gy - fy * gx
        bx, by, bz = hy * gz - hz * gy, hz * gx - hx * gz, hx * gy - hy * gx
        aa, bb = ax * ax + ay * ay + az * az, bx * bx + by * by + bz * bz
        length = math.sqrt(gx * gx + gy * gy + gz * gz)
        # g . (b x a) = length * sine, a . b = cosine, both times |a| |b|.
        triple = gx * (by * az - bz * ay) + gy * (bz * ax - bx * az) + gz * (bx * ay - by * ax)
        angle = math.atan2(triple / length, ax * bx + ay * by + az * bz)
        inner = waves[t, 0] * angle - waves[t, 1]
        energy += waves[t, 2] * (1 + math.cos(inner))
        turn = -waves[t, 2] * waves[t, 0] * math.sin(inner)
        first, last = -turn * length / aa, turn * length / bb
        one = turn * (fx * gx + fy * gy + fz * gz) / (aa * length)
        other = -turn * (hx * gx + hy * gy + hz * gz) / (bb * length)
        for axis, a, b in ((0, ax, bx), (1, ay, by), (2, az, bz)):
            middle = one * a + other * b
            slope[i, axis] += first * a
            slope[j, axis] += middle - first * a
            slope[k, axis] -= middle + last * b
            slope[m, axis] += last * b
    return energy


@compiled
def _born_energy(
    distance: NDArray[Any], pull: NDArray[Any], charges: NDArray[Any], born: NDArray[Any], necks: NDArray[Any]
) -> float:
    """Return the solvation energy, and add its derivatives by the distances, over these, to the lower triangle."""
    atoms = len(charges)
    strength = BORN_COULOMB * (1 - 1 / WATER)
    integral = np.zeros(atoms)
    # By the distance, of the integral of the atom of the row.
    bends = np.zeros((atoms, atoms))
    for i in range(atoms):
        for j in range(atoms):
            if i != j:
                value, bend = _descreening(distance[i, j], born[i], born[j], necks[0, i, j], necks[1, i, j])
                integral[i] += value
                bends[i, j] = bend
    radius, by_integral, by_radius = np.empty(atoms), np.empty(atoms), np.empty(atoms)
    energy = 0.0
    for i in range(atoms):
        full, inner = born[i, 0], born[i, 1]
        psi = integral[i] * inner
        bent = math.tanh(psi * (born[i, 3] + psi * (-born[i, 4] + psi * born[i, 5])))
        radius[i] = 1 / (1 / inner - bent / full)
        rise = born[i, 3] + psi * (-2 * born[i, 4] + 3 * psi * born[i, 5])
        by_integral[i] = radius[i] ** 2 * (1 - bent**2) * rise * inner / full
        own = -0.5 * strength * charges[i] ** 2 / radius[i]
        surface = SURFACE * (full + PROBE) ** 2 * (full / radius[i]) ** 6
        energy += own + surface
        by_radius[i] = -(own + 6 * surface) / radius[i]
    for i in range(atoms):
        for j in range(i):
            r, product = distance[i, j], radius[i] * radius[j]
            decay = math.exp(-r * r / (4 * product))
            square = r * r + product * decay
            f = math.sqrt(square)
            pair = -strength * charges[i] * charges[j] / f
            energy += pair
            share = -0.5 * pair / square
            pull[i, j] += share * (2 - 0.5 * decay)
            both = share * decay * (1 + r * r / (4 * product))
            by_radius[i] += both * radius[j]
            by_radius[j] += both * radius[i]
    for i in range(atoms):
        by_integral[i] *= by_radius[i]
    for i in range(atoms):
        for j in range(i):
            pull[i, j] += (by_integral[i] * bends[i, j] + by_integral[j] * bends[j, i]) / distance[i, j]
    return energy


@compiled
def _descreening(r: float, atom: NDArray[Any], other: NDArray[Any], place: float, height: float) -> tuple[float, float]:
    """Return what another atom adds to the Born integral of an atom, and its derivative by their distance."""
    inner, scaled = atom[1], other[2]
    value, bend = 0.0, 0.0
    if r + scaled > inner:
        upper = r + scaled
        gap = abs(r - scaled)
        lower = max(inner, gap)
        moves = 0.0 if gap <= inner else (1.0 if r > scaled else -1.0)
        low, high = 1 / lower, 1 / upper
        shape = r - scaled * scaled / r
        squares = high * high - low * low
        logarithm = math.log(lower * high) / r
        value = 0.5 * (low - high + 0.25 * shape * squares + 0.5 * logarithm)
        bend = 0.5 * (
            high * high
            - moves * low * low
            + 0.25 * (1 + scaled * scaled / (r * r)) * squares
            + 0.5 * shape * (moves * low * low * low - high * high * high)
            + 0.5 * ((moves * low - high) / r - logarithm / r)
        )
    if height != 0 and r < atom[0] + other[0] + NECK_CUT:
        off = r - place
        fourth = off * off * off * off
        below = 1 + 100 * off * off + 3e5 * fourth * off * off
        value += NECK_SCALE * height / below
        bend -= NECK_SCALE * height * (200 * off + 1.8e6 * fourth * off) / (below * below)
    return value, bend
