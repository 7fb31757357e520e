"""Torsions of peptides learned by a sampler on the torus, against exact quadrature and parallel tempering.

The studies are those of `helicell protein conformers` in folders under `benchmarks/runs`, so that an interrupted
benchmark goes on where it was; remove the folders to measure anew. Alanine dipeptide in phi and psi has an exact
density; five alanines in ten torsions are held against long tempering in the same torsions, whose two halves give the
floor. Divergences of maps are means over the residues. The force field is also timed beside OpenMM's own, one
conformation a call on its CPU platform.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from harness import Row, write_results
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.protein.conformers import ConformerEnergy, ConformerSettings, build_peptide, study_conformers
from helicell.protein.conformers.peptide import reference_energy

RUNS = Path(__file__).resolve().parent / "runs"
ALANINE_SEEDS = (0, 1, 2)
FIVE: dict[str, Any] = {
    "sequence": "AAAAA",
    "reference": {"chains": 32, "steps": 3000, "particles": 300, "stages": 60},
}
BATCH, CALLS = 300, 200


def main() -> None:
    """Run or take up the studies, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed of the dipeptide, without the five alanines")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rows = force_field_rows()
    for seed in ALANINE_SEEDS[: 1 if quick else None]:
        metrics = _study(f"conformers-A-{seed}", {"sequence": "A"}, seed)
        rows += alanine_rows(metrics, seed)
    if not quick:
        rows += five_rows(_study("conformers-AAAAA-0", FIVE, 0))
    write_results("conformers", rows, {"seeds": ALANINE_SEEDS, "five": FIVE, "batch": BATCH, "calls": CALLS})


def force_field_rows() -> list[Row]:
    """Time the compiled force field and OpenMM's, and say how far they lie apart."""
    import openmm
    from openmm import unit

    rows = []
    for sequence in ("A", "AAAAA"):
        peptide = build_peptide(sequence)
        energy = ConformerEnergy(peptide)
        angles = energy.kinematics.start + 0.3 * torch.randn(
            BATCH, energy.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        energy.value_and_gradient(angles)
        start = time.process_time()
        energy.value_and_gradient(angles)
        ours = (time.process_time() - start) / BATCH
        positions = energy.positions(angles).numpy()
        platform = openmm.Platform.getPlatformByName("CPU")
        context = openmm.Context(peptide.system, openmm.VerletIntegrator(0.001), platform, {"Threads": "1"})
        start = time.process_time()
        for one in positions[:CALLS]:
            context.setPositions(one * unit.angstrom)
            state = context.getState(getEnergy=True, getForces=True)
            state.getForces(asNumpy=True)
        theirs = (time.process_time() - start) / CALLS
        found = energy.potential(angles[:50]).tolist()
        apart = max(abs(a - reference_energy(peptide, one)[0]) for a, one in zip(found, positions, strict=False))
        name = f"{len(peptide.names)} atoms"
        rows += [
            Row(f"energy and gradient, {name}: ours, with kinematics", 1e6 * ours, "us"),
            Row(f"energy and gradient, {name}: OpenMM", 1e6 * theirs, "us"),
            Row.at_most(f"largest difference from OpenMM, {name}", apart, 1e-4, unit="kJ/mol"),
        ]
    return rows


def alanine_rows(metrics: dict[str, Any], seed: int) -> list[Row]:
    """Say how alanine dipeptide came out."""
    (residue,) = metrics["residues"]
    name = f"alanine dipeptide, seed {seed}"
    return [
        Row(f"{name}: exact log Z", metrics["log_z_reference"]),
        Row(f"{name}: log Z error, bound", metrics["log_z_error"], "nat"),
        Row.at_most(f"{name}: log Z error, reweighted", abs(metrics["log_z_rw_error"]), 0.02, unit="nat"),
        Row(f"{name}: effective share", metrics["ess"]),
        Row(f"{name}: KL of the map from the exact one", residue["kl_sampler"], "nat"),
        Row(f"{name}: the same, reweighted", residue["kl_reweighted"], "nat"),
        Row(f"{name}: the same, as many exact samples", residue["kl_floor"], "nat"),
        Row(f"{name}: free energy error, reweighted", residue["free_energy_error_reweighted"], "kT"),
        Row(f"{name}: share of phi > 0, reweighted", residue["reweighted"]["left"]),
        Row(f"{name}: share of phi > 0, exact", residue["reference"]["left"]),
        *_costs(name, metrics),
    ]


def five_rows(metrics: dict[str, Any]) -> list[Row]:
    """Say how five alanines came out."""
    name, residues = "five alanines", metrics["residues"]

    def mean(key: str) -> float:
        return statistics.mean(residue[key] for residue in residues)

    estimates = metrics["reference"]["log_z_estimates"]
    return [
        Row(f"{name}: log Z by annealing", metrics["log_z_reference"]),
        Row(f"{name}: its spread over {len(estimates)} runs", statistics.stdev(estimates), "nat"),
        Row(f"{name}: log Z less the bound", metrics["log_z_error"], "nat"),
        Row(f"{name}: log Z less the reweighted estimate", metrics["log_z_rw_error"], "nat"),
        Row(f"{name}: effective share", metrics["ess"]),
        Row(f"{name}: JS of the maps from tempering", mean("js_sampler"), "nat"),
        Row(f"{name}: the same, reweighted", mean("js_reweighted"), "nat"),
        Row(f"{name}: the same, half of the tempering", mean("js_floor"), "nat"),
        Row(f"{name}: free energy error", mean("free_energy_error_sampler"), "kT"),
        Row(f"{name}: the same, half of the tempering", mean("free_energy_error_floor"), "kT"),
        *_costs(name, metrics),
        Row(f"{name}: processor time of the tempering and annealing", metrics["reference"]["cpu_seconds"], "s"),
    ]


def _costs(name: str, metrics: dict[str, Any]) -> list[Row]:
    training = metrics["training"]
    return [
        Row(f"{name}: energies of the training", training["energy_calls"]),
        Row(f"{name}: processor time of the training", training["cpu_seconds"], "s"),
    ]


def _study(name: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the metrics of a study, which is made or taken up if it is not there."""
    settings = ConformerSettings.from_mapping(options)
    chosen = settings.to_mapping()
    chosen["sampler"]["seed"] = seed
    folder = RUNS / name
    if not RunFolder(folder).finished:
        study_conformers(ConformerSettings.from_mapping(chosen), folder, resume=folder.exists())
    metrics = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))
    print(f"{name}: {metrics['log_z_rw_error']:.4f} nat, effective share {metrics['ess']:.3f}", flush=True)
    return metrics


if __name__ == "__main__":
    main()
