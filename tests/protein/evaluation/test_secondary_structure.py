"""Helix and strand are where DSSP and P-SEA put them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydssp
import pytest
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.evaluation.secondary_structure import assign_secondary_structure, ca_rule, hydrogen_bonds
from helicell.protein.structures import THREE_LETTER, Chain

# What `mkdssp` 4.2.2 assigns to the backbones of the distinct chains of 2GTL, in three states.
REFERENCE = "secondary_structure.json"
THREE_STATES = {"H": "H", "G": "H", "I": "H", "E": "E", "B": "E"}


def agreement(one: str, other: str) -> float:
    """Return the share of residues in the same state."""
    assert len(one) == len(other)
    return float(np.mean([a == b for a, b in zip(one, other, strict=True)]))


def run_mkdssp(chain: Chain, folder: Path) -> str:
    """Return what mkdssp assigns to the backbone alone."""
    lines = ["HEADER    BACKBONE", "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1"]
    centred = chain.coordinates - chain.coordinates.mean(axis=(0, 1))
    for number, (residue, letter) in enumerate(zip(centred, chain.sequence, strict=True), start=1):
        for atom, (x, y, z) in zip(("N", "CA", "C", "O"), residue, strict=True):
            lines.append(
                f"ATOM  {len(lines) - 1:5d}  {atom:<3s} {THREE_LETTER[letter]} A{number:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {atom[0]}"
            )
    (folder / "chain.pdb").write_text("\n".join([*lines, "TER", "END", ""]))
    command = ["mkdssp", "--output-format", "dssp", str(folder / "chain.pdb"), str(folder / "chain.dssp")]
    subprocess.run(command, check=True, capture_output=True)
    _, _, table = (folder / "chain.dssp").read_text().partition("  #  RESIDUE")
    rows = [row for row in table.splitlines()[1:] if row[13] != "!"]
    return "".join(THREE_STATES.get(row[16], "C") for row in rows)


def distinct(chains: list[Chain]) -> dict[str, Chain]:
    """Return one chain of each sequence, by name."""
    return {chain.name: chain for chain in {chain.sequence: chain for chain in reversed(chains)}.values()}


def test_dssp_of_crystal_chains_is_that_of_mkdssp(root: Path, globins: list[Chain]) -> None:
    """Stored assignments of mkdssp are met on nearly every residue of chains rich in helices and in sheets."""
    stored = json.loads((root / "tests" / "references" / REFERENCE).read_text())
    chains = distinct(globins)
    assert stored.keys() == chains.keys()
    ours = {
        name: assign_secondary_structure(chain.coordinates, sequence=chain.sequence) for name, chain in chains.items()
    }
    assert agreement("".join(ours.values()), "".join(stored[name] for name in ours)) >= 0.999
    assert min(agreement(ours[name], stored[name]) for name in stored) >= 0.99


@pytest.mark.skipif(shutil.which("mkdssp") is None, reason="mkdssp is not installed")
def test_dssp_of_many_chains_is_that_of_the_installed_mkdssp(
    natural: list[Chain], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program itself, run here, agrees on at least 99.5 % of the residues of real chains."""
    chains = natural[:25]
    theirs = "".join(run_mkdssp(chain, tmp_path) for chain in chains)
    ours = "".join(assign_secondary_structure(chain.coordinates, sequence=chain.sequence) for chain in chains)
    with capsys.disabled():
        print(f" [mkdssp agrees on {agreement(ours, theirs):.2%} of {len(ours)} residues]", end="")
    assert agreement(ours, theirs) >= 0.995


@pytest.mark.skipif(shutil.which("mkdssp") is None, reason="mkdssp is not installed")
def test_dssp_of_distorted_chains_is_that_of_mkdssp(natural: list[Chain], tmp_path: Path) -> None:
    """Where backbones are bad, as generated ones may be, and even broken, the rules still agree."""
    rng = np.random.default_rng(1)
    ours, theirs = "", ""
    for chain in natural[:3]:
        coordinates = chain.coordinates + rng.normal(size=chain.coordinates.shape).astype(np.float32) * 0.15
        coordinates[len(chain) // 2 :] += np.float32(1.5)
        distorted = Chain(chain.name, coordinates, chain.sequence, chain.secondary_structure)
        ours += assign_secondary_structure(coordinates, sequence=chain.sequence)
        theirs += run_mkdssp(distorted, tmp_path)
    assert agreement(ours, theirs) >= 0.99


def test_dssp_is_near_that_of_pydssp(globins: list[Chain]) -> None:
    """An independent simplified DSSP, which leaves out bulges and short helices, sees the same picture."""
    letters = str.maketrans("-", "C")
    theirs = "".join("".join(pydssp.assign(chain.coordinates)).translate(letters) for chain in globins[:4])
    ours = "".join(assign_secondary_structure(chain.coordinates) for chain in globins[:4])
    assert agreement(ours, theirs) >= 0.93


def test_an_ideal_helix_is_a_helix_bonded_every_four_residues(helix: NDArray) -> None:
    """In an alpha helix N-H of residue i + 4 is bonded to C=O of residue i and all but the ends are helix."""
    bonds = hydrogen_bonds(helix)
    assert np.diagonal(bonds, -4).all()
    assert assign_secondary_structure(helix) == "C" + "H" * 28 + "C"
    assert ca_rule(helix[:, 1]).strip("C") == "H" * len(ca_rule(helix[:, 1]).strip("C"))
    assert ca_rule(helix[:, 1]).count("H") >= 26


def test_an_ideal_strand_alone_is_coil_by_bonds_and_strand_by_shape(ideal: Callable[..., NDArray]) -> None:
    """DSSP needs a partner for a strand; the CA rule sees the extended shape."""
    strand = ideal([(-120.0, 130.0)] * 20)
    assert assign_secondary_structure(strand) == "C" * 20
    assert "E" * 10 in ca_rule(strand[:, 1])


def test_noise_has_no_structure() -> None:
    """A random walk is neither helix nor strand, but for short stretches."""
    noise = np.cumsum(np.random.default_rng(0).normal(size=(20, 3), scale=2.2), axis=0)
    assert ca_rule(noise).count("C") >= 12


def test_both_rules_are_blind_to_the_hand(helix: NDArray) -> None:
    """Distances and energies are the same in a mirror: left-handed helices are for phi and psi to find."""
    mirrored = helix * [1, 1, -1]
    assert assign_secondary_structure(mirrored) == assign_secondary_structure(helix)
    assert ca_rule(mirrored[:, 1]).count("H") >= 26


def test_a_proline_donates_no_bond(helix: NDArray) -> None:
    """A residue without hydrogen leaves its partner unbonded."""
    sequence = "A" * 15 + "P" + "A" * 14
    bonds = hydrogen_bonds(helix, sequence=sequence)
    assert not bonds[15].any()
    assert bonds[16, 12]


def test_nothing_crosses_a_break(helix: NDArray) -> None:
    """Two halves of a helix that are pulled apart are two helices."""
    broken = helix.copy()
    broken[15:] += 30.0
    assert assign_secondary_structure(broken) == "C" + "H" * 13 + "CC" + "H" * 13 + "C"


@pytest.mark.parametrize("seed", [1, 2])
def test_rotation_and_translation_change_nothing(globins: list[Chain], move: Callable[..., NDArray], seed: int) -> None:
    """Both rules depend on distances and handedness only."""
    coordinates = globins[0].coordinates.astype(np.float64)
    moved = move(coordinates, seed)
    assert assign_secondary_structure(moved) == assign_secondary_structure(coordinates)
    assert ca_rule(moved[:, 1]) == ca_rule(coordinates[:, 1])


def test_the_two_rules_see_the_same_chains(natural: list[Chain]) -> None:
    """On real chains the CA rule agrees with DSSP on three residues of four, and finds less of either state."""
    by_shape = "".join(ca_rule(chain.coordinates[:, 1]) for chain in natural)
    by_bonds = "".join(assign_secondary_structure(chain.coordinates, sequence=chain.sequence) for chain in natural)
    assert agreement(by_shape, by_bonds) >= 0.72
    for state in "HE":
        assert 0.5 * by_bonds.count(state) < by_shape.count(state) < by_bonds.count(state)
    assert by_bonds.count("H") / len(by_bonds) == pytest.approx(0.32, abs=0.08)
    assert by_bonds.count("E") / len(by_bonds) == pytest.approx(0.26, abs=0.08)


@pytest.mark.parametrize("residues", [0, 1, 4])
def test_short_chains_are_coil(helix: NDArray, residues: int) -> None:
    """Too few residues for any pattern are no error."""
    assert assign_secondary_structure(helix[:residues]) == "C" * residues
    assert ca_rule(helix[:residues, 1]) == "C" * residues


def test_wrong_shapes_are_refused(helix: NDArray) -> None:
    """The message says what was given and what to give."""
    with pytest.raises(InputError, match=r"\(30, 3, 3\).*\[residues, 4, 3\]"):
        assign_secondary_structure(helix[:, :3])
    with pytest.raises(InputError, match=r"2 letters.*30 residues"):
        assign_secondary_structure(helix, sequence="AA")
    with pytest.raises(InputError, match=r"\[residues, 3\]"):
        ca_rule(helix)
