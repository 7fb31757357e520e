"""Training a sampler, in memory or into a folder that can resume.

The steps are those of `trainer`. Since every iteration has a random stream of its own, a training that was killed and
resumed ends with the same bytes.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

import torch

from helicell.core.runs.folder import LOG_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.samplers.energies import Energy, make_energy
from helicell.core.samplers.metrics import Metrics, evaluate
from helicell.core.samplers.settings import LEARNS_LOG_Z, SamplerSettings
from helicell.core.samplers.trainer import Iteration, Trainer
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

MODEL, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"
LOG_EVERY = 50

Report = Callable[[int, Mapping[str, float]], None]


def train(settings: SamplerSettings, *, energy: Energy | None = None, report: Report | None = None) -> Trainer:
    """Train a sampler in memory.

    Parameters
    ----------
    settings
        Everything that determines it.
    energy
        The energy, if it is not to be made by its name.
    report
        Called after every iteration with its number, and its loss, log Z and share of finite paths.

    Returns
    -------
    Trainer
        Its `average` is the sampler to use.
    """
    trainer = Trainer(energy or make_energy(settings.energy, settings.dim), settings)
    while trainer.iteration < settings.training.iterations:
        _reported(trainer, report)
    return trainer


def train_to_folder(
    settings: SamplerSettings,
    out: str | FilePath,
    *,
    resume: bool = False,
    energy: Energy | None = None,
    device: torch.device | str = "cpu",
    report: Report | None = None,
) -> Metrics:
    """Train a sampler into a run folder, evaluate it, and return the metrics.

    Parameters
    ----------
    settings
        Everything that determines the run.
    out
        The folder; absent or empty, or with `resume` that of an interrupted run with the same settings.
    resume
        Go on from the last checkpoint.
    energy, report
        As for `train`.
    device
        Where the networks are.

    Raises
    ------
    InputError
        If the settings or the folder do not fit.
    HelicellError
        If there is nothing to learn from.
    """
    started = time.process_time()
    folder = RunFolder.create(out, settings, resume=resume)
    trainer = Trainer(energy or make_energy(settings.energy, settings.dim), settings, device=device)
    seconds = _restore(trainer, folder) if resume else 0.0
    training = settings.training
    losses: list[Iteration] = []
    while trainer.iteration < training.iterations:
        losses.append(_reported(trainer, report))
        if trainer.iteration % LOG_EVERY == 0 or trainer.iteration == training.iterations:
            _log(folder, trainer, losses, seconds + time.process_time() - started)
            losses = []
        if trainer.iteration % training.checkpoint_every == 0 and trainer.iteration < training.iterations:
            card = {"seconds": seconds + time.process_time() - started}
            save_checkpoint(folder.path / CHECKPOINT, trainer.state(), card)
    seconds += time.process_time() - started
    if trainer.target.rejected:
        logger.warning(
            "%d of %d energies were not finite; their paths were not learned from",
            trainer.target.rejected,
            trainer.target.calls,
        )
    return _finish(folder, trainer, seconds)


def _reported(trainer: Trainer, report: Report | None) -> Iteration:
    number = trainer.iteration
    result = trainer.step()
    if report is not None:
        values = {"loss": result.loss, "finite": result.finite}
        report(number, values if result.log_z is None else {**values, "log_z": result.log_z})
    return result


def _log(folder: RunFolder, trainer: Trainer, results: list[Iteration], seconds: float) -> None:
    """Write means over some iterations into the log."""
    losses = [result.loss for result in results if math.isfinite(result.loss)]
    bounds = [result.log_z for result in results if result.log_z is not None]
    folder.log(
        "train",
        iteration=trainer.iteration,
        loss=sum(losses) / len(losses) if losses else None,
        log_z=sum(bounds) / len(bounds) if bounds else None,
        energy_calls=trainer.target.calls,
        rejected=trainer.target.rejected,
        cpu_seconds=round(seconds, 3),
    )


def _restore(trainer: Trainer, folder: RunFolder) -> float:
    """Load the checkpoint if there is one, and return the seconds that it stands for."""
    path = folder.path / CHECKPOINT
    if not path.exists():
        return 0.0
    tensors, card = load_checkpoint(path)
    trainer.load(tensors)
    return float(card["seconds"])


def _finish(folder: RunFolder, trainer: Trainer, seconds: float) -> Metrics:
    """Write the model, measure it, and mark the run as finished."""
    settings = trainer.settings
    # The weights' file holds nothing that another run of the same settings would not write.
    trainer.average.save(folder.path / MODEL)
    metrics = evaluate(trainer.average.eval(), samples=settings.evaluation.samples, seed=settings.seed)
    found = {
        **metrics.to_mapping(),
        "log_z_learned": float(trainer.average.log_z_bias.detach()) if settings.objective in LEARNS_LOG_Z else None,
        "energy_calls": trainer.target.calls,
        "energy_rejected": trainer.target.rejected,
        "cpu_seconds": round(seconds, 3),
        "iterations": settings.training.iterations,
    }
    folder.write_metrics({name: value if _writable(value) else None for name, value in found.items()})
    (folder.path / CHECKPOINT).unlink(missing_ok=True)
    folder.finish(Manifest("samplers train", seed=settings.seed, outputs=checksums(folder.path, [MODEL])))
    return metrics


def _writable(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def read_log(folder: str | FilePath) -> list[dict[str, Any]]:
    """Return the training entries of a run's log, in order."""
    lines = (FilePath(folder) / LOG_NAME).read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == "train"]
