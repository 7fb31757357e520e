"""The steps of a training: what an iteration does, and the state that it leaves.

An iteration makes a batch of paths, forwards with exploration or, every other time and once there is a buffer,
backwards from points of it; then it takes one or several gradient steps on them. Local search runs now and then from
points of the buffer and fills another one, from which the backward paths then start.

All random numbers of an iteration come from a stream of its own, so the state holds none of their generators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helicell.core.errors import HelicellError
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.baselines import differentiable_path
from helicell.core.samplers.energies import Energy, Target
from helicell.core.samplers.local_search import langevin_search
from helicell.core.samplers.objectives import (
    detailed_balance,
    likelihood,
    path_divergence,
    state_flows,
    state_potentials,
    sub_trajectory_balance,
    trajectory_balance,
    variance_gradient,
)
from helicell.core.samplers.paths import Path, Probabilities
from helicell.core.samplers.process import Steps
from helicell.core.samplers.replay import UNIFORM, ReplayBuffer
from helicell.core.samplers.sampler import Sampler
from helicell.core.samplers.settings import FORWARD_LOOKING, PATHWISE, SamplerSettings

# A training in which so many iterations in a row gave nothing to learn from is ended.
MOST_EMPTY = 50


def compute_loss(sampler: Sampler, path: Path, probabilities: Probabilities) -> Tensor:
    """Return the loss that the settings of a sampler ask for."""
    settings = sampler.settings
    objective = settings.objective
    ratio, reward, finite = probabilities.log_ratio, path.log_reward, path.finite
    if objective in PATHWISE:
        return path_divergence(ratio, reward, finite)
    if objective == "mle":
        return likelihood(probabilities.forward, finite)
    if objective == "vargrad":
        group = settings.training.repeats if sampler.energy.condition_dim else None
        return variance_gradient(ratio, reward, finite, group=group)
    log_z = sampler.log_z(path.condition)
    if objective == "tb":
        return trajectory_balance(ratio, reward, log_z, finite)
    assert probabilities.log_flow is not None
    flows = state_flows(path, probabilities.log_flow, log_z, forward_looking=objective in FORWARD_LOOKING)
    potentials = state_potentials(flows, probabilities)
    if objective.endswith("subtb"):
        return sub_trajectory_balance(potentials, finite, decay=settings.training.decay)
    return detailed_balance(potentials, finite)


@dataclass(frozen=True, slots=True)
class Iteration:
    """What one iteration did.

    Attributes
    ----------
    loss
        Of its first gradient step; NaN if there was nothing to learn from.
    log_z
        Mean log weight of its paths if they were forward ones.
    finite
        Share of the paths that counted.
    """

    loss: float
    log_z: float | None
    finite: float


class Trainer:
    """The state of a training: sampler, average of its weights, optimiser, buffers.

    Parameters
    ----------
    energy
        What is to be sampled.
    settings
        Everything that determines the training.
    device
        Where the networks are; buffers and random numbers stay on the CPU.
    """

    def __init__(self, energy: Energy, settings: SamplerSettings, *, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.target = Target(energy)
        self.sampler = Sampler(energy, settings).to(device)
        self.average = Sampler(energy, settings).to(device)
        self.iteration = 0
        self.empty = 0
        named = list(self.sampler.named_parameters())
        self._parameters: list[Tensor] = [parameter for _, parameter in named]
        self._averages: list[Tensor] = list(self.average.parameters())
        rates = settings.training
        groups = [
            {"params": [p for name, p in named if not name.startswith("log_z_bias")], "lr": rates.learning_rate},
            {"params": [p for name, p in named if name.startswith("log_z_bias")], "lr": rates.log_z_rate},
        ]
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self._base_rates = [rates.learning_rate, rates.log_z_rate]
        replay = settings.replay
        weight = replay.rank_weight if replay.rank_weight is not None else UNIFORM
        width = energy.dim + energy.condition_dim
        searching = settings.search.enabled
        self.visited = ReplayBuffer(replay.capacity, width, rank_weight=weight) if replay.enabled or searching else None
        self.found = ReplayBuffer(replay.capacity, width, rank_weight=weight) if searching else None
        self.search_step = torch.full((len(settings.search.temperatures),), settings.search.first_step)
        self.search_step *= torch.tensor(settings.search.temperatures)
        # States [temperatures, chains, dim] and conditions of a search that goes on; none before the first.
        self.chains = torch.zeros(0, 0, width)

    # ------------------------------------------------------------------------------------------------------- iterations

    def step(self) -> Iteration:
        """Do one iteration.

        Raises
        ------
        HelicellError
            If many iterations in a row gave nothing to learn from.
        """
        settings, number = self.settings, self.iteration
        generator = sample_generator(settings.seed, number, stream="samplers/train")
        for group, rate in zip(self.optimiser.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * settings.training.rate_factor(number)
        steps = self.sampler.steps(generator, training=True)
        if settings.objective in PATHWISE:
            result = self._pathwise(steps, generator)
        else:
            self._search(number, generator)
            result = self._learn(*self._paths(number, steps, generator))
        self.iteration += 1
        self.empty = 0 if math.isfinite(result.loss) else self.empty + 1
        if self.empty >= MOST_EMPTY:
            message = (
                f"the last {MOST_EMPTY} iterations gave nothing to learn from: the energy or the policy is not finite "
                f"({self.target.rejected} of {self.target.calls} energies were not); look at the energy, or lower the "
                "learning rate or the variance of the process"
            )
            raise HelicellError(message)
        return result

    def _paths(self, number: int, steps: Steps, generator: torch.Generator) -> tuple[Path, bool]:
        """Make the paths of an iteration, and tell whether they are forward ones."""
        backwards = self.found if self.found is not None else self.visited
        odd = number % 2 == 1 or self.settings.objective == "mle"
        batch = self.settings.training.batch
        if odd and backwards is not None and len(backwards):
            points, log_reward = (part.to(self.sampler.device) for part in backwards.draw(batch, generator))
            ends, condition = self._parted(points)
            path = self.sampler.roll_back(
                self.target, steps, ends, log_reward=log_reward, condition=condition, generator=generator
            )
            return path, False
        condition = self._conditions(generator)
        path = self.sampler.roll_out(
            self.target,
            steps,
            batch if condition is None else len(condition),
            generator=generator,
            condition=condition,
            exploration=self.settings.training.exploration_at(number),
            keep=self.settings.training.keep_activations,
        )
        if self.visited is not None:
            points = path.ends if condition is None else torch.cat((path.ends, condition), dim=1)
            self.visited.add(points[path.finite], path.log_reward[path.finite])
        return path, True

    def _learn(self, path: Path, forwards: bool) -> Iteration:  # noqa: FBT001
        """Take gradient steps on paths."""
        share = float(path.finite.double().mean())
        losses, log_z = [], None
        for repeat in range(self.settings.training.gradient_steps):
            if not share:
                return Iteration(math.nan, None, share)
            probabilities = self.sampler.probabilities(path)
            weights = (probabilities.log_ratio.detach() + path.log_reward)[path.finite]
            if self.iteration == 0 and repeat == 0:
                # A first guess of log Z spares it the way there.
                self.sampler.log_z_bias.data.fill_(float(weights.mean()))
                self.average.log_z_bias.data.fill_(float(weights.mean()))
            log_z = float(weights.mean()) if forwards and repeat == 0 else log_z
            losses.append(self._descend(self._loss(path, probabilities, forwards=forwards)))
            path = path.without_record()
        return Iteration(losses[0], log_z, share)

    def _loss(self, path: Path, probabilities: Probabilities, *, forwards: bool) -> Tensor:
        """Return the objective, or the likelihood of backward paths while that is what they are for."""
        search = self.settings.search
        early = self.iteration < search.likelihood_share * self.settings.training.iterations
        if search.enabled and early and not forwards:
            return likelihood(probabilities.forward, path.finite)
        return compute_loss(self.sampler, path, probabilities)

    def _pathwise(self, steps: Steps, generator: torch.Generator) -> Iteration:
        """Take a gradient step through the paths themselves."""
        condition = self._conditions(generator)
        count = self.settings.training.batch if condition is None else len(condition)
        path, probabilities = differentiable_path(
            self.sampler.forward_policy, steps, self.target, count, generator=generator, condition=condition
        )
        loss = self._descend(compute_loss(self.sampler, path, probabilities))
        return Iteration(loss, -loss if math.isfinite(loss) else None, float(path.finite.double().mean()))

    def _descend(self, loss: Tensor) -> float:
        """Take one gradient step, unless the loss or its gradient is not finite."""
        value = float(loss.detach())
        if not math.isfinite(value):
            return math.nan
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.training.clip)
        if not bool(norm.isfinite()):
            return math.nan
        self.optimiser.step()
        seen = self.iteration
        decay = min(self.settings.training.average_decay, (1 + seen) / (10 + seen))
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)
        return value

    def _search(self, number: int, generator: torch.Generator) -> None:
        """Search from points of the buffer, when it is time to."""
        search = self.settings.search
        if self.found is None or self.visited is None or not len(self.visited) or number % search.every != 1:
            return
        if number > search.until * self.settings.training.iterations:
            return
        going_on = search.persistent and self.chains.numel()
        points = self.chains if going_on else self.visited.draw(search.chains, generator)[0]
        start, condition = self._parted(points.to(self.sampler.device))
        if going_on and condition is not None:
            condition = condition[0]
        result = langevin_search(
            self.target,
            start,
            steps=search.steps,
            burn_in=search.burn_in,
            step=self.search_step,
            temperatures=search.temperatures,
            condition=condition,
            generator=generator,
        )
        self.search_step = result.step.cpu()
        kept = () if condition is None else (condition.expand(*result.last.shape[:2], -1),)
        self.chains = torch.cat((result.last, *kept), dim=2).cpu()
        points = result.points if result.condition is None else torch.cat((result.points, result.condition), dim=1)
        self.found.add(points, result.log_reward)

    def _conditions(self, generator: torch.Generator) -> Tensor | None:
        """Return conditions for a batch, each repeated."""
        training = self.settings.training
        drawn = self.sampler.energy.draw_conditions(max(training.batch // training.repeats, 1), generator)
        return None if drawn is None else drawn.repeat_interleave(training.repeats, dim=0).to(self.sampler.device)

    def _parted(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return points of a buffer, and their conditions behind them."""
        dim = self.sampler.energy.dim
        return points[..., :dim], points[..., dim:] if points.shape[-1] > dim else None

    # -------------------------------------------------------------------------------------------------------- the state

    def state(self) -> dict[str, Tensor]:
        """Return all tensors of the training by name."""
        tensors = {f"sampler.{name}": value for name, value in self.sampler.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for number, entry in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in entry.items()}
        for name in ("visited", "found"):
            buffer = getattr(self, name)
            if buffer is not None:
                tensors |= {f"{name}.{key}": value for key, value in buffer.state().items()}
        counts = [self.iteration, self.empty, self.target.calls, self.target.rejected]
        return {
            **tensors,
            "search_step": self.search_step,
            "chains": self.chains,
            "counts": torch.tensor(counts, dtype=torch.int64),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take on a state."""
        self.sampler.load_state_dict(_part(tensors, "sampler"))
        self.average.load_state_dict(_part(tensors, "average"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimiser").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        for name in ("visited", "found"):
            buffer = getattr(self, name)
            if buffer is not None:
                buffer.load(_part(tensors, name))
        self.search_step, self.chains = tensors["search_step"].clone(), tensors["chains"].clone()
        self.iteration, self.empty, self.target.calls, self.target.rejected = tensors["counts"].tolist()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part, without its name."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
