"""Secondary structure against mkdssp, and the CA rule on ideal traces."""

import shutil
import subprocess
from pathlib import Path

import gemmi
import numpy as np
import pytest

from helicell.protein.evaluation.secondary_structure import assign_secondary_structure, ca_rule
from helicell.protein.structures import Chain, write_backbone

CLASSES = {"H": "H", "G": "H", "I": "H", "E": "E", "B": "E"}


def mkdssp(chain: Chain, folder: Path) -> str:
    """Return the states that Debian's mkdssp assigns, in three classes."""
    file, result = folder / "chain.pdb", folder / "chain.dssp"
    centred = chain.coordinates - chain.coordinates.mean(axis=(0, 1))
    write_backbone(file, centred, sequence=chain.sequence, format="pdb")
    # mkdssp insists on the first two records of a PDB entry.
    head = f"HEADER    {'TEST':<40}01-JAN-20   1TST\n"
    cell = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"
    atoms = [line for line in file.read_text().splitlines(keepends=True) if not line.startswith("TITLE")]
    file.write_text(head + cell + "".join(atoms))
    subprocess.run(["mkdssp", "--output-format=dssp", file, result], check=True)
    lines = result.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  #  RESIDUE"))
    return "".join(CLASSES.get(line[16], "C") for line in lines[start + 1 :] if line[13] != "!")


@pytest.mark.skipif(shutil.which("mkdssp") is None, reason="mkdssp is not installed")
def test_agrees_with_mkdssp(natural: list[Chain], tmp_path: Path) -> None:
    """On real chains at least 95 % of the residues get the class that DSSP itself gives."""
    same, count = 0, 0
    for chain in natural[:12]:
        theirs = mkdssp(chain, tmp_path)
        ours = assign_secondary_structure(chain.coordinates, sequence=chain.sequence)
        assert len(ours) == len(theirs)
        same += sum(a == b for a, b in zip(ours, theirs, strict=True))
        count += len(ours)
    assert same / count > 0.95


def test_the_ca_rule_knows_ideal_traces() -> None:
    """An ideal helix is helix, a stretched zigzag is strand, noise is neither."""
    turn = np.deg2rad(100) * np.arange(20)
    helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(20)], axis=-1)
    zigzag = np.stack([3.3 * np.arange(20.0), 0.9 * (-1.0) ** np.arange(20), np.zeros(20)], axis=-1)
    noise = np.cumsum(np.random.default_rng(0).normal(size=(20, 3), scale=2.2), axis=0)
    assert ca_rule(helix).count("H") >= 16
    assert ca_rule(zigzag).count("H") == 0
    assert ca_rule(noise).count("H") + ca_rule(noise).count("E") <= 8


def test_gemmi_reads_what_dssp_was_given(natural: list[Chain], tmp_path: Path) -> None:
    """The file that the oracle sees holds the residues of the chain."""
    write_backbone(tmp_path / "chain.cif", natural[0].coordinates, sequence=natural[0].sequence)
    assert len(gemmi.read_structure(str(tmp_path / "chain.cif"))[0][0]) == len(natural[0].sequence)
