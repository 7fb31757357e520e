"""Fitting: Lightning's loop with an average of the weights, a log, and checkpoints from which a killed run resumes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar

from torch.utils.data import DataLoader, Dataset

from helicell.core.training.module import FlowTraining

CHECKPOINT = "last.ckpt"


def fit(
    module: FlowTraining,
    train: Iterable[Any],
    *,
    validation: Sequence[Any] | None = None,
    folder: Path,
    precision: str = "32-true",
    checkpoint_every: int = 250,
    validate_every: int = 1000,
    resume: bool = False,
    progress: bool = True,
    **trainer_options: Any,
) -> FlowTraining:
    """Train until the steps of the settings are done and return the module with the averaged weights.

    Parameters
    ----------
    module
        What to train.
    train
        An endless stream of batches. If it has `state_dict` and `load_state_dict`, a resumed run goes on in it.
    validation
        Batches of the validation loss, which is taken with the averaged weights.
    folder
        Where `last.ckpt` and `log.jsonl` are kept.
    precision
        Lightning's precision: "32-true" or "bf16-mixed".
    checkpoint_every, validate_every
        Steps between checkpoints, and between validations.
    resume
        Go on from the folder's checkpoint when there is one.
    progress
        Show a progress bar.
    **trainer_options
        Further options of Lightning's `Trainer`: devices, num_nodes, strategy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = module.optimiser_settings
    callbacks: list[Callback] = [
        EMAWeightAveraging(decay=settings.average_decay),
        ModelCheckpoint(folder, filename=Path(CHECKPOINT).stem, every_n_train_steps=checkpoint_every, enable_version_counter=False),
        JsonLines(folder / "log.jsonl", every=50),
    ]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    trainer = lightning.Trainer(
        max_steps=settings.steps,
        callbacks=callbacks,
        precision=precision,  # type: ignore[arg-type]
        val_check_interval=min(validate_every, settings.steps) if validation is not None else None,
        limit_val_batches=None if validation is not None else 0,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        default_root_dir=folder,
        **trainer_options,
    )
    checkpoint = folder / CHECKPOINT
    trainer.fit(
        module,
        train_dataloaders=train,
        val_dataloaders=DataLoader(_Batches(validation), batch_size=None, collate_fn=_same) if validation else None,
        ckpt_path=checkpoint if resume and checkpoint.exists() else None,
        weights_only=False,
    )
    return module


class _Batches(Dataset):
    """Ready batches, which Lightning would take for several loaders in a plain list."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


def _same(batch: Any) -> Any:
    return batch


class JsonLines(Callback):
    """Appends the losses to a file, one JSON object a line."""

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._mean: dict[str, list[float]] = {}
        self._write(trainer, {"event": "start"})

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        for name, value in trainer.logged_metrics.items():
            if name.startswith("train/"):
                self._mean.setdefault(name, []).append(float(value))
        if trainer.global_step % self.every == 0:
            self._write(trainer, {name: sum(values) / len(values) for name, values in self._mean.items()})
            self._mean = {}

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = trainer.callback_metrics.items()
        self._write(trainer, {name: float(value) for name, value in metrics if name.startswith("validation/")})

    def _write(self, trainer: lightning.Trainer, entry: dict[str, Any]) -> None:
        if trainer.is_global_zero:
            line = {"time": round(time.time(), 1), "step": trainer.global_step, **entry}
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")
