"""The training loss of a `PopulationFlow`: one backward pass through encoders and field together."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from helicell.cells.batches import PopulationBatch
from helicell.cells.network import PopulationNetwork
from helicell.cells.settings import PathSettings
from helicell.core.paths import Brownian, Interpolant, PathSample, Quadratic, SineSquared, UniformTimes, linear

# Times are kept this far from the ends, where the velocity of Brownian bridges is infinite.
MARGIN = 1e-3


def build_path(settings: PathSettings) -> Interpolant:
    """Return the interpolant of these settings."""
    match settings.gamma:
        case "quadratic":
            return linear(Quadratic(settings.scale))
        case "sine_squared":
            return linear(SineSquared(settings.scale))
        case "brownian":
            return linear(Brownian(settings.scale**2))
    return linear()


class PopulationObjective(nn.Module):
    """The regression of the velocity, of the noise where there is any, and of the growth where mass is not kept.

    Parameters
    ----------
    network
        What is trained.
    """

    def __init__(self, network: PopulationNetwork) -> None:
        super().__init__()
        self.network = network
        self.path = build_path(network.settings.path)

    def forward(self, batch: PopulationBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses, the one to minimise under "loss".

        Parameters
        ----------
        batch
            Coupled cells.
        generator
            The CPU stream of all random draws.
        """
        settings = self.network.settings
        half = settings.precision == "bf16-mixed"
        with torch.autocast(batch.x_0.device.type, dtype=torch.bfloat16, enabled=half):
            dropped = None
            if settings.condition.dropout:
                dropped = torch.rand(len(batch.x_0), generator=generator) < settings.condition.dropout
                dropped = dropped.to(batch.x_0.device)
            losses = self._velocity(batch, dropped, generator)
            if self.network.growth is not None:
                losses["growth"] = self._growth(batch)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def velocities(self, batch: PopulationBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the velocities of the network and of the coupled cells, both [populations, cells, features]."""
        t, (sample, *_) = self._samples(batch, generator)
        context = self.network.context(batch.references, batch.conditions)
        x_t, dx_t = (cast(Tensor, part).view_as(batch.x_0) for part in (sample.x_t, sample.dx_t))
        return self.network.field(x_t, t.view(x_t.shape[:2]), context)[..., : x_t.shape[2]].float(), dx_t

    def _samples(self, batch: PopulationBatch, generator: torch.Generator) -> tuple[Tensor, list[PathSample]]:
        """Return times and points of the paths of all cells; of noisy ones also those with the opposite noise."""
        count = batch.x_0.shape[0] * batch.x_0.shape[1]
        t = UniformTimes().sample(count, generator=generator, stratified=True).to(batch.x_0.device)
        t = t.clamp_(MARGIN, 1 - MARGIN)
        sample = self.path.at(batch.x_0.flatten(0, 1), batch.x_1.flatten(0, 1), t, generator=generator)
        return t, [sample, self.path.mirrored(sample)] if self.path.noisy else [sample]

    def _velocity(
        self, batch: PopulationBatch, dropped: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        context = self.network.context(batch.references, batch.conditions, dropped)
        shape, features = batch.x_0.shape[:2], batch.x_0.shape[2]
        t, samples = self._samples(batch, generator)
        spread = self.network.field.spread
        velocity, noise = [], []
        for one in samples:
            x_t, dx_t, z = (cast(Tensor, part) for part in (one.x_t, one.dx_t, one.z))
            predicted = self.network.field(x_t.view_as(batch.x_0), t.view(shape), context).float().flatten(0, 1)
            velocity.append(nn.functional.mse_loss(predicted[:, :features] / spread, dx_t / spread))
            if self.path.noisy:
                noise.append(nn.functional.mse_loss(predicted[:, features:] / spread, z))
        losses = {"velocity": torch.stack(velocity).mean()}
        return losses | ({"noise": torch.stack(noise).mean()} if noise else {})

    def _growth(self, batch: PopulationBatch) -> Tensor:
        """Return a loss whose minimum is the mean mass: mass - target log mass, as for counts."""
        sources, target = cast(Tensor, batch.sources), cast(Tensor, batch.masses)
        masses = self.network.masses(sources, batch.references, batch.conditions)
        return (masses - target * masses.log()).mean()
