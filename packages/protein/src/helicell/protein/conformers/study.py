"""A study of a peptide's conformers in a run folder: train a sampler, draw, and hold it against a reference.

settings.yaml       what was asked for
sampler/            the run of the training, as `helicell samplers train` leaves it
samples.npz         torsions, log weights, names
conformers.pdb      some conformations with all atoms
ramachandran.svg    maps of the sampler and of the reference
metrics.json        log Z, effective sample size, divergences of the maps beside their floors, shares of regions
"""

from __future__ import annotations

import io
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.reports.figures import figure_svg
from helicell.core.runs.files import atomic_write, write_text
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.sampler import Sampler, Samples, load_sampler
from helicell.core.samplers.training import Report, train_to_folder
from helicell.protein.conformers.energy import ConformerEnergy
from helicell.protein.conformers.maps import (
    cell_shares,
    coarse,
    free_energy_error,
    jensen_shannon,
    kullback_leibler,
    regions,
)
from helicell.protein.conformers.peptide import Peptide, build_peptide
from helicell.protein.conformers.plots import ramachandran_figure
from helicell.protein.conformers.references import annealed_log_z, quadrature, tempering
from helicell.protein.conformers.settings import ConformerSettings, ReferenceSettings
from helicell.protein.structures.chain import THREE_LETTER

SAMPLER, SAMPLES, STRUCTURES, MAPS = "sampler", "samples.npz", "conformers.pdb", "ramachandran.svg"


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of the distribution.

    Attributes
    ----------
    maps
        Cell shares of every residue.
    seconds
        Maps whose distance from the first says how small a distance can be seen: as many exact samples, or the second
        half of the ladders where the first are those of both.
    log_z
        Exact or estimated; None if it is not known.
    details
        More numbers on how it was made.
    exact
        Whether the maps are exact.
    """

    maps: list[Tensor]
    seconds: list[Tensor]
    log_z: float | None
    details: dict[str, Any]
    exact: bool


def study_conformers(
    settings: ConformerSettings, out: str | Path, *, resume: bool = False, report: Report | None = None
) -> dict[str, Any]:
    """Train a sampler of a peptide's torsions into a folder, hold it against a reference, and return the metrics.

    Parameters
    ----------
    settings
        Everything that determines the study.
    out
        The folder; absent or empty, or with `resume` that of an interrupted study with the same settings.
    resume
        Go on from what is there.
    report
        Called after every iteration of the training.

    Raises
    ------
    InputError
        If the settings or the folder do not fit.
    MissingPackageError
        If OpenMM is not installed.
    """
    energy = make_energy(settings)
    if not energy.pairs():
        message = f"no residue of {settings.sequence} has both phi and psi among its torsions; let both move"
        raise InputError(message)
    folder = RunFolder.create(out, settings, resume=resume)
    if not RunFolder(folder.path / SAMPLER).finished:
        train_to_folder(settings.sampler, folder.path / SAMPLER, energy=energy, resume=resume, report=report)
    sampler = load_sampler(folder.path / SAMPLER, energy=energy)
    seed = settings.sampler.seed
    drawn = sampler.sample(settings.samples, seed=seed)
    started = time.process_time()
    reference = make_reference(energy, settings.reference, count=settings.samples, seed=seed)
    seconds = time.process_time() - started
    maps = sampled_maps(energy, drawn)
    metrics = _metrics(energy, drawn, reference, maps)
    training = _training_metrics(folder.path / SAMPLER / METRICS_NAME)
    if reference is not None:
        metrics |= {"reference": {**reference.details, "cpu_seconds": round(seconds, 2)}}
    metrics = {"sequence": settings.sequence, "torsions": energy.names, **metrics, "training": training}
    _write_samples(folder.path / SAMPLES, energy, drawn)
    write_structures(folder.path / STRUCTURES, energy, drawn.points[: settings.structures])
    shown = {"sampler": maps["sampler"]} if reference is None else {"sampler": maps["sampler"], **_shown(reference)}
    _draw(folder.path / MAPS, energy, shown)
    folder.write_metrics(metrics)
    outputs = checksums(folder.path, [SAMPLES, STRUCTURES, MAPS])
    folder.finish(Manifest("protein conformers", seed=seed, outputs=outputs))
    return metrics


def make_energy(settings: ConformerSettings) -> ConformerEnergy:
    """Return the energy that settings describe."""
    peptide = build_peptide(settings.sequence, solvent=settings.solvent)
    return ConformerEnergy(peptide, kinds=settings.torsions, temperature=settings.temperature)


def load_study(folder: str | Path) -> tuple[ConformerEnergy, Sampler]:
    """Return the energy and the trained sampler of a study."""
    energy = make_energy(ConformerSettings.from_yaml(Path(folder) / "settings.yaml"))
    return energy, load_sampler(Path(folder) / SAMPLER, energy=energy)


def make_reference(
    energy: ConformerEnergy, settings: ReferenceSettings, *, count: int, seed: int = 0
) -> Reference | None:
    """Return the reference that settings ask for; None if they ask for none."""
    method = settings.method
    if method == "auto":
        method = "quadrature" if energy.dim == 2 else "tempering"
    if method == "none":
        return None
    if method == "quadrature":
        exact = quadrature(energy, points=settings.points)
        again = exact.sample(count, sample_generator(seed, 0, stream="conformers/floor"))
        details = {"method": method, "points": settings.points, "energy_calls": settings.points**2}
        return Reference([coarse(exact.shares)], [cell_shares(*again.T)], exact.log_z, details, exact=True)
    found = tempering(
        energy,
        chains=settings.chains,
        steps=settings.steps,
        temperatures=settings.temperatures,
        keep_every=settings.keep_every,
        seed=seed,
    )
    first, second = (_maps(energy, half) for half in found.halves)
    estimates = annealed_log_z(
        energy, runs=settings.annealings, particles=settings.particles, stages=settings.stages, seed=seed
    )
    details = {
        "method": method,
        "states": sum(map(len, found.halves)),
        "energy_calls": found.energy_calls,
        "acceptance": found.acceptance,
        "swaps": found.swaps,
        "log_z_estimates": estimates,
    }
    log_z = statistics.mean(estimates) if estimates else None
    both = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
    return Reference(both, second, log_z, details, exact=False)


def sampled_maps(energy: ConformerEnergy, drawn: Samples) -> dict[str, list[Tensor]]:
    """Return the maps of samples as they are, and with their importance weights."""
    return {
        "sampler": _maps(energy, drawn.points),
        "reweighted": _maps(energy, drawn.points, drawn.log_weights.double().softmax(dim=0)),
    }


def _maps(energy: ConformerEnergy, points: Tensor, weights: Tensor | None = None) -> list[Tensor]:
    return [cell_shares(points[:, phi], points[:, psi], weights) for _, phi, psi in energy.pairs()]


def _shown(reference: Reference) -> dict[str, list[Tensor]]:
    return {"exact" if reference.exact else "tempering": reference.maps}


def _metrics(
    energy: ConformerEnergy, drawn: Samples, reference: Reference | None, maps: dict[str, list[Tensor]]
) -> dict[str, Any]:
    """Return log Z, the effective sample size, and what the maps say."""
    weights = drawn.log_weights.double()
    total = float(weights.logsumexp(dim=0))
    found: dict[str, Any] = {
        "log_z": float(weights.mean()),
        "log_z_rw": total - math.log(len(weights)),
        "ess": math.exp(2 * total - float((2 * weights).logsumexp(dim=0))) / len(weights),
        "samples": len(weights),
        "residues": [
            {"residue": residue, "sampler": regions(one), "reweighted": regions(other)}
            for (residue, _, _), one, other in zip(energy.pairs(), maps["sampler"], maps["reweighted"], strict=True)
        ],
    }
    if reference is None:
        return found
    if reference.log_z is not None:
        found |= {
            "log_z_reference": reference.log_z,
            "log_z_error": reference.log_z - found["log_z"],
            "log_z_rw_error": reference.log_z - found["log_z_rw"],
        }
    distance = kullback_leibler if reference.exact else jensen_shannon
    name = "kl" if reference.exact else "js"
    for number, row in enumerate(found["residues"]):
        truth = reference.maps[number]
        row["reference"] = regions(truth)
        for source, ours in (("sampler", maps["sampler"]), ("reweighted", maps["reweighted"])):
            row[f"{name}_{source}"] = distance(ours[number], truth)
            row[f"free_energy_error_{source}"] = free_energy_error(ours[number], truth)
        row[f"{name}_floor"] = distance(reference.seconds[number], truth)
        row["free_energy_error_floor"] = free_energy_error(reference.seconds[number], truth)
    return found


def _training_metrics(path: Path) -> dict[str, Any]:
    import json

    known = json.loads(path.read_text(encoding="utf-8"))
    return {key: known[key] for key in ("iterations", "energy_calls", "cpu_seconds")}


# ------------------------------------------------------------------------------------------------------------ the files


def _write_samples(path: Path, energy: ConformerEnergy, drawn: Samples) -> None:
    with atomic_write(path) as temporary:
        np.savez(
            temporary,
            torsions=drawn.points.numpy(),
            log_weights=drawn.log_weights.numpy(),
            names=np.array(energy.names),
        )


def write_structures(path: str | Path, energy: ConformerEnergy, angles: Tensor) -> None:
    """Write conformations with all atoms as the models of one PDB file."""
    from openmm import app, unit

    text = io.StringIO()
    for number, positions in enumerate(energy.positions(angles).numpy(), start=1):
        app.PDBFile.writeModel(energy.peptide.topology, positions * unit.angstrom, text, modelIndex=number)
    app.PDBFile.writeFooter(energy.peptide.topology, text)
    write_text(path, text.getvalue())


def _draw(path: Path, energy: ConformerEnergy, maps: dict[str, list[Tensor]]) -> None:
    figure = ramachandran_figure(maps, residue_names(energy.peptide, [residue for residue, _, _ in energy.pairs()]))
    svg = figure_svg(figure, name="ramachandran", title="Free energies over phi and psi")
    namespace = 'xmlns="http://www.w3.org/2000/svg"'
    write_text(path, svg if namespace in svg else svg.replace("<svg", f"<svg {namespace}", 1))


def residue_names(peptide: Peptide, residues: Sequence[int]) -> list[str]:
    """Return names of residues such as ALA 3."""
    return [f"{THREE_LETTER[peptide.sequence[residue - 1]]} {residue}" for residue in residues]
