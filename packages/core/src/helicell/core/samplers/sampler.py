"""A sampler: a forward policy on a reference process, backward kernels, and log Z.

`Sampler.sample` draws samples with weights, `Sampler.save` and `load_sampler` keep it in one safetensors file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.energies import Energy, Target, make_energy
from helicell.core.samplers.paths import Path, Probabilities, probabilities, roll_back, roll_out
from helicell.core.samplers.policies import BackwardPolicy, ForwardPolicy
from helicell.core.samplers.process import Steps, make_grid, make_process, random_grid
from helicell.core.samplers.settings import FLOW_OBJECTIVES, FORWARD_LOOKING, SamplerSettings
from helicell.core.spaces.torus import wrapped
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

# Paths that are made at once outside of training, and numbers in their states.
MOST_PATHS, MOST_NUMBERS = 1000, 20_000_000


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples with the logarithms of their importance weights.

    Attributes
    ----------
    points
        The samples.
    log_weights
        log R plus backward less forward log probability of the path: on average over paths, exp of it is Z.
    log_reward
        Log reward of each sample.
    """

    points: Float[Tensor, "count dim"]
    log_weights: Float[Tensor, " count"]
    log_reward: Float[Tensor, " count"]


class Sampler(nn.Module):
    """A diffusion sampler of one energy.

    Parameters
    ----------
    energy
        What is sampled.
    settings
        How the sampler is made; its `seed` sets the first weights.

    References
    ----------
    Sendera and others, Improved off-policy training of diffusion samplers, arXiv 2402.05098.
    """

    citations = ("sendera2024improved",)

    def __init__(self, energy: Energy, settings: SamplerSettings) -> None:
        super().__init__()
        self.energy, self.settings = energy, settings
        variance = settings.process.variance or energy.variance
        self.process = make_process(settings.process_name, variance, periodic=energy.periodic)
        self.grid = make_grid(settings.grid_name, settings.process.steps)
        policy = settings.policy
        sizes: dict[str, Any] = {
            "hidden": policy.hidden,
            "layers": policy.layers,
            "condition_dim": energy.condition_dim,
            "waves": policy.waves,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.forward_policy = ForwardPolicy(
                energy.dim,
                self.process,
                learned_variance=policy.learned_variance,
                variance_range=policy.variance_range,
                langevin=policy.langevin,
                coordinate_units=policy.coordinate_units,
                flow=settings.objective in FLOW_OBJECTIVES,
                **sizes,
            )
            self.backward_policy = (
                BackwardPolicy(energy.dim, self.process, share=policy.backward_share, **sizes)
                if policy.learned_backward
                else None
            )
            self.log_z_head = (
                nn.Sequential(nn.Linear(energy.condition_dim, policy.hidden), nn.GELU(), nn.Linear(policy.hidden, 1))
                if energy.condition_dim
                else None
            )
        self.log_z_bias = nn.Parameter(torch.zeros(()))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_z_bias.device

    def comfortable_batch(self, steps: Steps) -> int:
        """Return how many paths to make at once."""
        return max(1, min(MOST_PATHS, MOST_NUMBERS // ((steps.count + 1) * self.energy.dim)))

    def log_z(self, condition: Tensor | None = None) -> Tensor:
        """Return the learned log Z: one number, or one for each condition."""
        if self.log_z_head is None or condition is None:
            return self.log_z_bias
        return self.log_z_bias + self.log_z_head(condition).squeeze(1)

    def steps(self, generator: torch.Generator | None = None, *, training: bool = False) -> Steps:
        """Return the reference process on the grid of sampling, or on one of training."""
        process = self.settings.process
        times = self.grid
        if training and (process.random_times or process.train_steps):
            count = process.train_steps or process.steps
            times = (
                random_grid(self.grid, count, generator)
                if process.random_times
                else make_grid(self.settings.grid_name, count)
            )
        return self.process.on(times.to(self.device))

    def steps_of(self, count: int | None) -> Steps:
        """Return the reference process on a grid of so many steps; of as many as trained, if none are given."""
        if count is None:
            return self.steps()
        return self.process.on(make_grid(self.settings.grid_name, count).to(self.grid.dtype).to(self.device))

    def roll_out(self, target: Target, steps: Steps, count: int, **options: Any) -> Path:
        """Sample paths forwards, with what the objective needs; the options are those of `paths.roll_out`."""
        values = self.settings.objective in FORWARD_LOOKING
        return roll_out(self.forward_policy, steps, target, count, values=values, **options)

    def roll_back(self, target: Target, steps: Steps, ends: Tensor, **options: Any) -> Path:
        """Sample paths backwards from their ends; the options are those of `paths.roll_back`."""
        values = self.settings.objective in FORWARD_LOOKING
        return roll_back(
            self.forward_policy, steps, target, ends, backward=self.backward_policy, values=values, **options
        )

    def probabilities(self, path: Path) -> Probabilities:
        """Return the log probabilities of paths."""
        return probabilities(self.forward_policy, path, backward=self.backward_policy)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        first: int = 0,
        batch: int | None = None,
        condition: Tensor | None = None,
        target: Target | None = None,
        steps: Steps | None = None,
    ) -> Samples:
        """Draw samples with their importance weights.

        Parameters
        ----------
        count
            Samples.
        seed, first
            Sample i takes its random numbers from a stream of its own, given by the seed and first + i.
        batch
            Samples at once; does not change them. As many as memory allows well unless given.
        condition
            One a sample, for a conditional energy.
        target
            Counts the calls of the energy, if it is given.
        steps
            The grid; that of the settings unless given.
        """
        target = target if target is not None else Target(self.energy)
        steps = steps if steps is not None else self.steps()
        batch = batch if batch is not None else self.comfortable_batch(steps)
        parts = []
        for start in range(0, count, batch):
            size = min(batch, count - start)
            noise = torch.stack(
                [
                    torch.randn(
                        steps.count + 1, self.energy.dim, generator=sample_generator(seed, first + i, stream="sample")
                    )
                    for i in range(start, start + size)
                ],
                dim=1,
            )
            part = None if condition is None else condition[start : start + size].to(self.device)
            path = roll_out(self.forward_policy, steps, target, size, noise=noise.to(self.device), condition=part)
            log_ratio = self.probabilities(path).log_ratio
            ends = wrapped(path.ends) if self.energy.periodic else path.ends
            parts.append((ends.cpu(), (log_ratio + path.log_reward).cpu(), path.log_reward.cpu()))
        return Samples(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def save(self, path: str | FilePath, card: Mapping[str, Any] | None = None) -> None:
        """Write the sampler with its settings into one file."""
        save_checkpoint(path, self.state_dict(), {"sampler": self.settings.to_mapping(), **(card or {})})


def load_sampler(path: str | FilePath, *, energy: Energy | None = None) -> Sampler:
    """Read a sampler from its file, or from the folder of its run.

    Parameters
    ----------
    path
        A file that `Sampler.save` wrote, or a folder that holds `model.safetensors`.
    energy
        Its energy, if it is not to be made again by its name.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no sampler.
    """
    path = FilePath(path)
    weights, card = load_checkpoint(path / "model.safetensors" if path.is_dir() else path)
    if "sampler" not in card:
        message = f"{path} is no sampler; give a file or a folder made by `helicell samplers train`"
        raise InputError(message)
    settings = SamplerSettings.from_mapping(card["sampler"], source=str(path))
    sampler = Sampler(energy or make_energy(settings.energy, settings.dim), settings)
    sampler.load_state_dict(weights)
    return sampler.eval()
