"""Conditioned design with the embedded model: motifs of real chains, symmetric assemblies, variations, rewards.

Motifs, cut from PDB entries, in `benchmarks/motifs` (each file says which): the helix-turn-helix of the 434 repressor,
an EF-hand (a calcium loop between two helices), and three strands of an SH3 domain in two pieces. Sixteen scaffolds
each, none picked. A scaffold counts when the CA atoms of its motif are within 1.0 A of the real ones after
superposition and the rest is valid: every peptide bond and CA-CA distance in its range, no clash of CA atoms, no
impossible contact of backbone atoms. Beside it the same without the gradient, which only holds the motif.

Assemblies C2 to C6 are judged as they stand in their files: how far copies are from the rotated first chain, and how
many assemblies have no clash of CA atoms between chains. Single figures are of one thread.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from harness import ROOT, Row, write_results
from helicell.core.spaces import quaternions
from helicell.protein import SamplingOptions, load_model
from helicell.protein.conditioning import (
    Assembly,
    ConditionedBackbone,
    Free,
    Symmetry,
    condition,
    make_scaffold,
    make_variation,
    parse_rewards,
    parse_symmetry,
)
from helicell.protein.conditioning.task import Task
from helicell.protein.lengths import parse_lengths
from helicell.protein.model import BackboneModel
from helicell.protein.structures import read_residues, write_assembly, write_backbone

SEED = 7
MOTIFS = {
    "helix_turn_helix": "20-35/A17-36/20-35",
    "ef_hand": "15-30/B7-36/15-30",
    "sheet": "15-25/A30-35/4-10/A42-53/15-25",
}
MOTIF_COUNT = 16
MOTIF_LIMIT = 1.0
FOLDS = (2, 3, 4, 5, 6)
CHAIN_LENGTH = 40
ASSEMBLY_COUNT = 10
EXACT = 1e-3
NOISE_LEVELS = (0.1, 0.3, 0.5)
VARIATION_COUNT = 4
REWARDS = {"compactness": 0.1, "helix": 3.0, "strand": 3.0, "balance": 3.0, "contacts": 0.03}
REWARD_LENGTH = 50
REWARD_COUNT = 6


def sampled(
    model: BackboneModel, task: Task, count: int, *, reward: str | None = None
) -> tuple[list[ConditionedBackbone], float]:
    """Return the samples of a task, and the processor seconds of each."""
    start = time.process_time()
    reward_ = parse_rewards([reward]) if reward else None
    samples = condition(model, task, count=count, seed=SEED, reward=reward_, options=SamplingOptions())
    return samples, (time.process_time() - start) / count


def mean(samples: list[ConditionedBackbone], measure: str) -> float:
    """Return the mean of a measure."""
    return float(np.mean([sample.measures[measure] for sample in samples]))


def motif_rows(model: BackboneModel) -> Iterator[Row]:
    """Scaffold each motif, with the gradient and without it."""
    for name, contig in MOTIFS.items():
        for guidance in (2.0, 0.0):
            task = make_scaffold(ROOT / "benchmarks" / "motifs" / f"{name}.pdb", contig, guidance=guidance)
            samples, seconds = sampled(model, task, MOTIF_COUNT)
            good = np.mean([s.measures["motif_rmsd"] < MOTIF_LIMIT and s.measures["valid"] for s in samples])
            what = f"{name}: " + ("" if guidance else "only held, ")
            measure = f"{what}scaffolds with motif RMSD < {MOTIF_LIMIT:g} A and a valid rest"
            yield Row.at_least(measure, good, 0.5) if guidance else Row(measure, float(good))
            rmsd = [s.measures["motif_rmsd"] for s in samples]
            yield Row(f"{what}median motif RMSD", float(np.median(rmsd)), "A")
            yield Row(f"{what}share under {MOTIF_LIMIT:g} A", float(np.mean(np.less(rmsd, MOTIF_LIMIT))))
            yield Row(f"{what}valid rest", mean(samples, "valid"))
            yield Row(f"{what}processor time a scaffold", seconds, "s")


def inexactness(symmetry: Symmetry, path: Path) -> float:
    """Return how far an atom of a copy is at most from where the rotated first chain has it, in a file, Angstrom."""
    residues = read_residues(path)
    chains = torch.from_numpy(residues.coordinates.reshape(len(symmetry), -1, 3)).double()
    turned = quaternions.rotate(symmetry.rotations[:, None].expand(-1, chains.shape[1], -1), chains[:1])
    return float((turned - chains).norm(dim=-1).max())


def assembly_rows(model: BackboneModel) -> Iterator[Row]:
    """Assemble C2 to C6."""
    inexact = []
    for fold in FOLDS:
        symmetry = parse_symmetry(f"C{fold}")
        samples, seconds = sampled(model, Assembly(symmetry, parse_lengths(str(CHAIN_LENGTH))), ASSEMBLY_COUNT)
        with tempfile.TemporaryDirectory() as folder:
            for sample in samples:
                path = Path(folder) / f"{sample.index}.cif"
                write_assembly(path, sample.chains)
                inexact.append(inexactness(symmetry, path))
        free = np.mean([sample.measures["chain_ca_clashes"] == 0 for sample in samples])
        yield Row.at_least(f"C{fold}: assemblies without CA clashes between chains", free, 0.8)
        touching = np.mean([sample.measures["chain_backbone_clashes"] == 0 for sample in samples])
        yield Row(f"C{fold}: without impossible contacts of backbone atoms between chains", float(touching))
        yield Row(f"C{fold}: C-N bonds in range", mean(samples, "c_n_valid"))
        yield Row(f"C{fold}: valid throughout", mean(samples, "valid"))
        yield Row(f"C{fold}: contacts between chains, a residue", mean(samples, "chain_contacts") / CHAIN_LENGTH)
        yield Row(f"C{fold}: processor time an assembly", seconds, "s")
    yield Row.at_most("copies in files: greatest distance from the rotated first chain", max(inexact), EXACT)


def variation_rows(model: BackboneModel) -> Iterator[Row]:
    """Vary one generated backbone."""
    (given,), _ = sampled(model, Free(parse_lengths("80")), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.cif"
        write_backbone(path, given.coordinates)
        for level in NOISE_LEVELS:
            samples, _ = sampled(model, make_variation(path, level), VARIATION_COUNT)
            what = f"variations at noise level {level:g}"
            yield Row(f"{what}: RMSD to the given backbone", mean(samples, "rmsd_to_given"), "A")
            yield Row(f"{what}: valid", mean(samples, "valid"))


def reward_rows(model: BackboneModel) -> Iterator[Row]:
    """Lead to each reward, beside the same noise without it; rewards are given without their weights."""
    task = Free(parse_lengths(str(REWARD_LENGTH)))
    for name, weight in REWARDS.items():
        # A weight of nearly nothing measures the reward without leading to it.
        for what, factor in (("with", weight), ("without", 1e-9)):
            samples, _ = sampled(model, task, REWARD_COUNT, reward=f"{name}={factor}")
            yield Row(f"reward {name}: mean {what} it", mean(samples, "reward") / factor)
            if what == "with":
                yield Row(f"reward {name} at weight {weight:g}: valid", mean(samples, "valid"))


PARTS = {"motifs": motif_rows, "assemblies": assembly_rows, "variations": variation_rows, "rewards": reward_rows}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="measure one part, print it, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(device="cpu")
    rows = []
    for part in [arguments.only] if arguments.only else PARTS:
        for row in PARTS[part](model):
            print(f"{row.measure}: {row.value:.4g} {row.unit}", flush=True)
            rows.append(row)
    if arguments.only:
        return
    settings = {
        "model": model.name, "sha256": model.checksum, "seed": SEED, "steps": model.sampling.steps, "threads": 1,
        "motifs": MOTIFS, "chain length": CHAIN_LENGTH, "scaffolds": MOTIF_COUNT, "assemblies": ASSEMBLY_COUNT,
    }  # fmt: skip
    write_results("design", rows, settings)


if __name__ == "__main__":
    main()
