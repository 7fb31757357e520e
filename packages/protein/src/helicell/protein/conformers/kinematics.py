"""From torsions to positions and back to gradients: rigid groups on a tree, turned about their bonds.

Between torsions a molecule is rigid, so each group of atoms has one rotation and one shift from the reference
structure. A torsion multiplies the rotation of its parent group by a turn about an axis of the reference structure, and
keeps the atom that it turns about in place. The derivative of an energy by a torsion is the torque about its axis of
all atoms beyond it, which needs no graph.

References
----------
Abe, Braun, Noguti and Go, Rapid calculation of first and second derivatives of conformational energy with respect to
dihedral angles, Computers and Chemistry 8 (1984).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.protein.conformers.torsions import Torsion


class Kinematics:
    """Positions as functions of torsions.

    Parameters
    ----------
    reference
        The structure that gives bond lengths and angles, and all torsions that stay [atoms, 3], in Angstrom.
    torsions
        Those that move, each after those that move it.
    """

    def __init__(self, reference: Float[Tensor, "atoms 3"], torsions: Sequence[Torsion]) -> None:
        self.reference = reference
        self.torsions = tuple(torsions)
        quadruples = torch.tensor([torsion.atoms for torsion in torsions])
        self.quadruples = quadruples
        self.start = dihedrals(reference[None, quadruples])[0]
        self.pivots, ends = quadruples[:, 1], quadruples[:, 2]
        axes = reference[ends] - reference[self.pivots]
        self._cross = _cross_matrices(axes / axes.norm(dim=1, keepdim=True))
        self._square = self._cross @ self._cross
        self.moved = torch.zeros(len(torsions), len(reference), dtype=reference.dtype)
        group = torch.zeros(len(reference), dtype=torch.long)
        for number, torsion in enumerate(torsions):
            self.moved[number, list(torsion.moved)] = 1.0
            group[list(torsion.moved)] = number + 1
        # Each torsion builds on the rotation that moves its bond: that of the far atom, which it does not move itself.
        self._parents = [int(group[end]) for end in ends]
        self._members = [torch.nonzero(group == number)[:, 0] for number in range(len(torsions) + 1)]
        self._order = torch.cat(self._members).argsort()

    @property
    def dim(self) -> int:
        """The number of torsions."""
        return len(self.torsions)

    def positions(self, angles: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch atoms 3"]:
        """Return the positions at torsions in radian, in Angstrom; differentiable."""
        reference = self.reference.to(angles)
        turn = angles - self.start.to(angles)
        eye = torch.eye(3, dtype=angles.dtype, device=angles.device)
        sine, rest = turn.sin()[..., None, None], (1 - turn.cos())[..., None, None]
        turns = eye + sine * self._cross.to(angles) + rest * self._square.to(angles)
        rotations = [eye.expand(len(angles), 3, 3)]
        shifts = [angles.new_zeros(len(angles), 3)]
        for number, (parent, pivot) in enumerate(zip(self._parents, self.pivots, strict=True)):
            rotations.append(rotations[parent] @ turns[:, number])
            shifts.append(shifts[parent] + (rotations[parent] - rotations[-1]) @ reference[pivot])
        groups = [
            reference[members] @ rotation.transpose(1, 2) + shift[:, None]
            for members, rotation, shift in zip(self._members, rotations, shifts, strict=True)
        ]
        return torch.cat(groups, dim=1)[:, self._order]

    def pull_back(
        self, positions: Float[Tensor, "batch atoms 3"], gradient: Float[Tensor, "batch atoms 3"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the gradient by the torsions of what has the given gradient by the positions.

        It is u . sum_i (x_i - p) x g_i over the moved atoms i, with the torsion's axis u through the point p.
        """
        moved = self.moved.to(positions)
        pivots = positions[:, self.pivots]
        axes = positions[:, self.quadruples[:, 2]] - pivots
        axes = axes / axes.norm(dim=2, keepdim=True)
        moments = moved @ torch.linalg.cross(positions, gradient)
        forces = moved @ gradient
        return (axes * (moments - torch.linalg.cross(pivots, forces))).sum(dim=2)

    def measure(self, positions: Float[Tensor, "batch atoms 3"]) -> Float[Tensor, "batch dim"]:
        """Return the torsions of positions."""
        return dihedrals(positions[:, self.quadruples])


def dihedrals(points: Float[Tensor, "*batch 4 3"]) -> Float[Tensor, "*batch"]:
    """Return the torsion angles of four points each, in [-pi, pi], by the convention of IUPAC: trans is pi."""
    first, axis, last = points.diff(dim=-2).unbind(dim=-2)
    one, other = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
    sine = (torch.linalg.cross(one, other) * axis).sum(dim=-1) / axis.norm(dim=-1)
    return torch.atan2(sine, (one * other).sum(dim=-1))


def _cross_matrices(axes: Float[Tensor, "count 3"]) -> Float[Tensor, "count 3 3"]:
    """Return the matrices that take the cross product with axes from the left."""
    x, y, z = axes.unbind(dim=1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).view(-1, 3, 3)
