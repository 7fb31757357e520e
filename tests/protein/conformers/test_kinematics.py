"""Forward kinematics: torsions come out as they went in, nothing else moves, gradients are exact."""

import numpy as np
import torch
from biotite.structure import dihedral
from scipy.spatial.transform import Rotation

from helicell.core.spaces.torus import wrapped
from helicell.protein.conformers.kinematics import Kinematics, dihedrals
from helicell.protein.conformers.torsions import find_torsions

DOUBLE = torch.float64


def drawn(peptide, kinds=("phi", "psi", "omega", "chi", "spin"), count=5):
    """Return kinematics, random torsions and the positions there."""
    kinematics = Kinematics(torch.from_numpy(peptide.positions), find_torsions(peptide, kinds))
    angles = 2 * torch.pi * torch.rand(count, kinematics.dim, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    return kinematics, angles, kinematics.positions(angles)


def test_torsions_come_out_as_they_went_in(mixed):
    """The angles measured at the positions, also by biotite, are those that were asked for."""
    kinematics, angles, positions = drawn(mixed)
    assert wrapped(kinematics.measure(positions) - angles).abs().max() < 1e-9
    points = positions[:, kinematics.quadruples].numpy()
    measured = dihedral(*(points[:, :, i] for i in range(4)))
    assert wrapped(torch.from_numpy(measured) - angles).abs().max() < 1e-5


def test_bonds_and_angles_do_not_move(mixed):
    """Distances between atoms one or two bonds apart stay those of the reference, which OpenMM minimised."""
    _, _, positions = drawn(mixed)
    neighbours = mixed.neighbours()
    near = {(a, b) for a, b in mixed.bonds.tolist()}
    near |= {(a, b) for middle in neighbours for a in middle for b in middle if a < b}
    first, second = (torch.tensor(column) for column in zip(*near, strict=True))
    reference = torch.from_numpy(mixed.positions)
    expected = (reference[first] - reference[second]).norm(dim=1)
    found = (positions[:, first] - positions[:, second]).norm(dim=2)
    torch.testing.assert_close(found, expected.expand_as(found))


def test_the_reference_is_where_it_was(mixed):
    """At the torsions of the reference the positions are the reference's: those of OpenMM."""
    kinematics, _, _ = drawn(mixed)
    torch.testing.assert_close(kinematics.positions(kinematics.start[None])[0], kinematics.reference)


def test_one_torsion_is_one_rotation(alanine):
    """Turning psi moves the atoms beyond it by SciPy's rotation about the bond, and no other."""
    kinematics = Kinematics(torch.from_numpy(alanine.positions), find_torsions(alanine, ("phi", "psi")))
    angles = kinematics.start.clone()
    angles[1] += 0.7
    found = kinematics.positions(angles[None])[0].numpy()
    pivot, end = (alanine.positions[alanine.atom(1, name)] for name in ("CA", "C"))
    axis = (end - pivot) / np.linalg.norm(end - pivot)
    moved = list(kinematics.torsions[1].moved)
    expected = alanine.positions.copy()
    expected[moved] = Rotation.from_rotvec(0.7 * axis).apply(alanine.positions[moved] - pivot) + pivot
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_torques_are_the_gradient(mixed):
    """The closed form is what automatic differentiation and central differences give."""
    kinematics, angles, positions = drawn(mixed, count=2)
    weights = torch.randn(positions.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    found = kinematics.pull_back(positions, weights)
    angles.requires_grad_()
    (expected,) = torch.autograd.grad((kinematics.positions(angles) * weights).sum(), angles)
    torch.testing.assert_close(found, expected)
    step = 1e-5 * torch.randn(angles.shape, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    with torch.no_grad():
        change = ((kinematics.positions(angles + step) - kinematics.positions(angles - step)) * weights).sum()
    torch.testing.assert_close(change, 2 * (found * step).sum(), rtol=1e-6, atol=1e-8)


def test_trans_is_pi():
    """Four points in a zigzag have the torsion pi, in a half circle 0."""
    zigzag = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]], dtype=DOUBLE)
    circle = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=DOUBLE)
    assert abs(float(dihedrals(zigzag))) == np.pi
    assert float(dihedrals(circle)) == 0
