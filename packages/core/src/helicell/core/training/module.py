"""The training module: any objective, AdamW, and random draws that depend on the step alone."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from helicell.core.runs.seeds import sample_generator
from helicell.core.training.optimisers import adamw
from helicell.core.training.settings import OptimiserSettings


class FlowTraining(lightning.LightningModule):
    """Minimises an objective.

    Parameters
    ----------
    objective
        A module whose call `objective(batch, generator)` returns named losses, the one to minimise under "loss". All
        its random draws come from the generator. A batch is a tensor or an object with a method `to(device)`.
    settings
        The optimisation.
    seed
        With the number of the step, and the rank in distributed training, it determines every random draw; so a resumed
        run draws what an uninterrupted one would have drawn.
    """

    def __init__(self, objective: nn.Module, settings: OptimiserSettings, *, seed: int) -> None:
        super().__init__()
        self.objective = objective
        self.optimiser_settings = settings
        self.seed = seed

    def training_step(self, batch: Any, _index: int) -> Tensor:
        generator = sample_generator(self.seed, self.global_step, stream=f"train/{self.global_rank}")
        losses = self.objective(batch, generator)
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        return losses["loss"]

    def validation_step(self, batch: Any, index: int) -> None:
        generator = sample_generator(self.seed, index, stream="validation")
        losses = self.objective(batch, generator)
        self.log_dict({f"validation/{name}": value for name, value in losses.items()}, batch_size=1, sync_dist=True)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # Lightning refuses to clip for fused optimisers, which unscale by themselves in float16; we never scale.
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.optimiser_settings.clip)
        self.log("train/gradient", norm)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        settings = self.optimiser_settings
        optimiser = adamw(
            self.parameters(),
            learning_rate=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            state_bits=settings.state_bits,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, settings.rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
