"""Fitting: Lightning's loop with an average of the weights, a log, and checkpoints from which a killed run resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from torch.utils.data import DataLoader, Dataset

from helicell.core.runs.folder import RunFolder
from helicell.core.training.averages import ExponentialAverage
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
        Where `last.ckpt` and the log of the losses are kept.
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
        WeightAveraging(avg_fn=ExponentialAverage(settings.average_decay)),
        ModelCheckpoint(
            folder, filename=Path(CHECKPOINT).stem, every_n_train_steps=checkpoint_every, enable_version_counter=False
        ),
        LossLog(folder, every=50),
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
        train_dataloaders=_Stream(train, settings.steps),
        val_dataloaders=DataLoader(_Batches(validation), batch_size=None, collate_fn=_same) if validation else None,
        ckpt_path=checkpoint if resume and checkpoint.exists() else None,
        weights_only=False,
    )
    return module


class _Stream:
    """An endless stream with the length of the training, without which Lightning draws one batch ahead of itself.

    Its position would then be wrong by one batch in every checkpoint.
    """

    def __init__(self, batches: Iterable[Any], length: int) -> None:
        self.batches, self.length = batches, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict() if hasattr(self.batches, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.batches.load_state_dict(state)  # type: ignore[attr-defined]


class _Batches(Dataset[Any]):
    """Ready batches, which Lightning would take for several loaders in a plain list."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


def _same(batch: Any) -> Any:
    return batch


class LossLog(Callback):
    """Writes the mean losses of every stretch of steps, and of every validation, to the run folder's log."""

    def __init__(self, folder: Path, *, every: int) -> None:
        self.run, self.every = RunFolder(folder), every
        self.sums: Counter[str] = Counter()
        self.count = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.sums.update({k: float(v) for k, v in trainer.logged_metrics.items() if k.startswith("train/")})
        self.count += 1
        if trainer.global_step % self.every == 0:
            self._write(trainer, "train", {name: total / self.count for name, total in self.sums.items()})
            self.sums, self.count = Counter(), 0

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = trainer.callback_metrics.items()
        self._write(trainer, "validation", {k: float(v) for k, v in metrics if k.startswith("validation/")})

    def _write(self, trainer: lightning.Trainer, event: str, losses: dict[str, float]) -> None:
        if trainer.is_global_zero:
            self.run.log(event, step=trainer.global_step, **{name.partition("/")[2]: v for name, v in losses.items()})
