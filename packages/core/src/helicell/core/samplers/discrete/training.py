"""Training a discrete sampler.

    trainer = train(environment, DiscreteSettings(objective="fl-db", iterations=2000))
    samples = draw(trainer.policy, 1000, seed=1)

An iteration makes walks without a graph, forward with exploration and, for a share of them, backward from ends that
were found before, the best more often; then it scores them in one pass and takes one step down the objective. All
random numbers of an iteration come from a stream of its own, so that a checkpoint holds no random state, and a training
that was killed and goes on ends with the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.discrete.environment import Environment, checked_log_reward
from helicell.core.samplers.discrete.flow_start import fit_flow_head
from helicell.core.samplers.discrete.objectives import FORWARD_LOOKING, WITH_FLOWS, loss
from helicell.core.samplers.discrete.policies import Memory, NetworkPolicy, Policy, WalkScores, chooser, score
from helicell.core.samplers.discrete.settings import DiscreteSettings
from helicell.core.samplers.discrete.walks import Walks, walk, walk_back
from helicell.core.samplers.replay import ReplayBuffer
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

Report = Callable[[int, float], None]


class DiscreteTrainer:
    """The state of a training: policy, log Z, optimiser, replay buffer.

    Parameters
    ----------
    environment
        What is to be sampled.
    settings
        How.
    policy
        The policy to train; a new `NetworkPolicy` as the settings say unless given.

    Raises
    ------
    InputError
        If the objective and the use of cut walks or of a replay buffer do not fit.

    Attributes
    ----------
    iteration
        How many were done.
    walked
        How many walks were made forward, each of which cost one reward, or the potentials along it.
    walks
        Those that the last iteration learned from; None before the first.
    """

    def __init__(self, environment: Environment, settings: DiscreteSettings, *, policy: Policy | None = None) -> None:
        _check(settings)
        self.environment, self.settings = environment, settings
        self.policy = policy or NetworkPolicy(
            environment,
            hidden=settings.hidden,
            layers=settings.layers,
            backward=settings.backward,
            experts=settings.experts,
            generator=sample_generator(settings.seed, 0, stream="samplers/discrete/weights"),
        )
        self.log_z = nn.Parameter(torch.zeros((), device=environment.device))
        self.iteration = self.walked = 0
        self.walks: Walks | None = None
        groups = [
            {"params": [p for p in self.policy.parameters() if p.requires_grad], "lr": settings.learning_rate},
            {"params": [self.log_z], "lr": settings.log_z_rate},
        ]
        self._base_rates = [settings.learning_rate, settings.log_z_rate]
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self.memory = Memory(self.policy) if settings.lag else None
        self.replay: ReplayBuffer | None = None
        if settings.replay_share:
            width = environment.initial(1).reshape(1, -1).shape[1]
            self.replay = ReplayBuffer(settings.replay_capacity, width, rank_weight=settings.rank_weight)

    def step(self) -> float:
        """Do one iteration and return its loss.

        Raises
        ------
        InputError
            If a reward or a potential is not finite.
        HelicellError
            If the loss is not finite.
        """
        settings = self.settings
        generator = sample_generator(settings.seed, self.iteration, stream="samplers/discrete/train")
        for group, rate in zip(self.optimiser.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * settings.rate_factor(self.iteration)
        if self.memory is not None and self.iteration % settings.lag == 0:
            self.memory.refresh()
        walks = self.walks = self._walks(generator)
        scores = score(self.policy, walks, memory=self.memory)
        if self.iteration == 0 and settings.first_guess:
            scores = self._first_guess(walks, scores)
        elif settings.refit and self.iteration % settings.refit == 0:
            scores = self._refit(walks, scores)
        value = loss(
            settings.objective,
            self.environment,
            walks,
            scores,
            log_z=self.log_z,
            decay=settings.decay,
            floor=settings.reward_floor,
        )
        number = float(value.detach())
        if not math.isfinite(number):
            message = f"the loss of iteration {self.iteration} is {number}; lower the learning rate"
            raise HelicellError(message)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        self.optimiser.step()
        self.iteration += 1
        return number

    def estimate_log_z(self) -> float:
        """Return the learned log Z: the scalar of tb, or the flow of the initial state; not defined for vargrad.

        Raises
        ------
        InputError
            If the objective learns none.
        """
        objective = self.settings.objective
        if objective == "vargrad":
            message = "vargrad learns no log Z; estimate it by drawing samples, see `draw`"
            raise InputError(message)
        if objective == "tb":
            return float(self.log_z.detach())
        initial = self.environment.initial(1)
        with torch.no_grad():
            flow = float(self.policy(initial).log_flow) + float(self.environment.log_completions(initial))
        return flow + float(self.environment.log_potential(initial)) if objective in FORWARD_LOOKING else flow

    def _walks(self, generator: torch.Generator) -> Walks:
        """Make the walks of an iteration."""
        settings = self.settings
        back = round(settings.replay_share * settings.batch) if self.replay is not None and len(self.replay) else 0
        ahead = max(settings.batch - back, 1)
        exploration = settings.exploration_at(self.iteration)
        if self.memory is not None:
            walks = self.memory.walk(ahead, generator=generator, exploration=exploration)
        else:
            asked = chooser(self.policy)
            walks = walk(self.environment, asked, ahead, generator=generator, exploration=exploration)
        self.walked += ahead
        if settings.window is not None:
            steps = max(round(settings.window * self.environment.longest), 1)
            return walks.window(steps, generator)
        if self.replay is None:
            return walks
        log_reward = checked_log_reward(self.environment, walks.ends, floor=settings.reward_floor)
        if back:
            rows, _ = self.replay.draw(back, generator)
            ends = rows.reshape(back, *walks.ends.shape[1:]).to(walks.ends)
            backward = walk_back(self.environment, chooser(self.policy, backward=True), ends, generator=generator)
            joined = walks.joined(backward)
        else:
            joined = walks
        self.replay.add(walks.ends.reshape(ahead, -1).float(), log_reward)
        return joined

    def _first_guess(self, walks: Walks, scores: WalkScores) -> WalkScores:
        """Start log Z and the flows where the first walks say, and return what the policy then says of these."""
        settings = self.settings
        if settings.objective == "tb":
            reward = checked_log_reward(self.environment, walks.ends, floor=settings.reward_floor)
            self.log_z.data.copy_((reward.to(scores.log_flow.dtype) + scores.log_ratio.detach()).mean())
            return scores
        return self._refit(walks, scores)

    def _refit(self, walks: Walks, scores: WalkScores) -> WalkScores:
        """Solve for the flow head, if there is one, and return what the policy then says of the walks."""
        settings = self.settings
        if settings.objective not in WITH_FLOWS or not isinstance(self.policy, NetworkPolicy):
            return scores
        fit_flow_head(self.policy, walks, scores, objective=settings.objective, floor=settings.reward_floor)
        return score(self.policy, walks, memory=self.memory)

    def state(self) -> dict[str, Tensor]:
        """Return all tensors of the training by name."""
        tensors = {f"policy.{name}": value for name, value in self.policy.state_dict().items()}
        for number, entry in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in entry.items()}
        if self.replay is not None:
            tensors |= {f"replay.{name}": value for name, value in self.replay.state().items()}
        if self.memory is not None:
            tensors["memory"] = self.memory.log_forward
        return {**tensors, "log_z": self.log_z.detach(), "counts": torch.tensor([self.iteration, self.walked])}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take on a state."""
        self.policy.load_state_dict(_part(tensors, "policy"))
        self.log_z.data.copy_(tensors["log_z"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimiser").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        if self.replay is not None:
            self.replay.load(_part(tensors, "replay"))
        if self.memory is not None:
            self.memory.log_forward.copy_(tensors["memory"])
        self.iteration, self.walked = tensors["counts"].tolist()


def train(
    environment: Environment,
    settings: DiscreteSettings,
    *,
    policy: Policy | None = None,
    checkpoint: str | Path | None = None,
    every: int = 500,
    report: Report | None = None,
) -> DiscreteTrainer:
    """Train a sampler.

    Parameters
    ----------
    environment
        What is to be sampled.
    settings
        How.
    policy
        The policy to train; a new network unless given.
    checkpoint
        A file of safetensors, written every so many iterations and at the end. If it exists, the training goes on from
        it; the settings must be the same.
    every
        Iterations between checkpoints.
    report
        Called after every iteration with its number and loss.

    Raises
    ------
    InputError
        If a reward is not finite, or the checkpoint belongs to other settings.
    HelicellError
        If the loss is not finite.

    Examples
    --------
    >>> from helicell.core.samplers.discrete.sets import AdditiveSets
    >>> pairs = AdditiveSets(torch.tensor([0.0, 0.0, 1.0, 1.0]), 2)
    >>> trainer = train(pairs, DiscreteSettings(objective="fl-db", iterations=300, hidden=32, backward="uniform"))
    >>> abs(trainer.estimate_log_z() - float(pairs.log_partition())) < 0.1
    True
    """
    trainer = DiscreteTrainer(environment, settings, policy=policy)
    card = {"settings": settings.to_mapping()}
    if checkpoint is not None and Path(checkpoint).exists():
        tensors, found = load_checkpoint(checkpoint)
        if found != card:
            message = f"the checkpoint {checkpoint} was made with other settings; give the same ones, or another file"
            raise InputError(message)
        trainer.load(tensors)
    while trainer.iteration < settings.iterations:
        number, value = trainer.iteration, trainer.step()
        if report is not None:
            report(number, value)
        if checkpoint is not None and (trainer.iteration % every == 0 or trainer.iteration == settings.iterations):
            save_checkpoint(checkpoint, trainer.state(), card)
    return trainer


def _check(settings: DiscreteSettings) -> None:
    if settings.window is None:
        return
    if settings.objective not in FORWARD_LOOKING:
        message = (
            f"stretches of walks (window: {settings.window}) teach nothing to the objective {settings.objective}, "
            "which needs the reward of the end; choose fl-db or fl-subtb"
        )
        raise InputError(message)
    if settings.replay_share:
        message = (
            "a replay buffer keeps ends with their rewards, and stretches of walks have none; leave out one of both"
        )
        raise InputError(message)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part, without its name."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
