"""Local search: Markov chains from points of a buffer, run in parallel, whose states go back into it.

The chains are Metropolis-adjusted Langevin. Value and gradient of a state are kept until it moves, so that a step costs
one call of the energy, not three. The step size is adapted while the chains burn in, to the acceptance that is best in
many dimensions, and is remembered for the next search. With `temperatures`, every chain is a ladder of replicas that
trade places, which carries it over barriers that one chain would hardly cross.

Roberts and Rosenthal, Optimal scaling of discrete approximations to Langevin diffusions, JRSS B 60 (1998): 0.574.
Sendera and others, arXiv 2402.05098, algorithm 2. Swendsen and Wang, Replica Monte Carlo, PRL 57 (1986).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Target

BEST_ACCEPTANCE = 0.574
# How fast the logarithm of the step follows the acceptance; it slows with the steps taken.
ADAPTATION = 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """What a local search found.

    Attributes
    ----------
    points, log_reward
        The states of all chains after the burn-in, at every `keep_every`-th step, repeated states included.
    condition
        Their conditions, if they have any.
    acceptance
        Mean probability of acceptance after the burn-in.
    step
        The adapted step sizes, one a temperature.
    swaps
        Share of the trades between neighbouring temperatures that were made; none with one temperature.
    last
        The last states at all temperatures, from which another search can go on.
    """

    points: Float[Tensor, "found dim"]
    log_reward: Float[Tensor, " found"]
    condition: Tensor | None
    acceptance: float
    step: Float[Tensor, " temperatures"]
    swaps: float | None
    last: Float[Tensor, "temperatures chains dim"]


@torch.no_grad()
def langevin_search(
    target: Target,
    start: Float[Tensor, "*temperatures chains dim"],
    *,
    steps: int,
    burn_in: int,
    step: float | Float[Tensor, " temperatures"] = 0.1,
    temperatures: tuple[float, ...] = (1.0,),
    keep_every: int = 1,
    adapt: bool = True,
    condition: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Search:
    """Run Metropolis-adjusted Langevin chains from given points.

    Parameters
    ----------
    target
        The energy.
    start
        Where the chains start: [chains, dim], or other points for each temperature [temperatures, chains, dim].
    steps, burn_in
        Steps in all, and how many of them at the start are only for getting there.
    step
        h in x + h grad + sqrt(2 h) noise, at temperature 1; or one for each temperature.
    temperatures
        From 1 upwards; the log reward is divided by them. Only states at temperature 1 are kept.
    keep_every
        Steps between states that are kept.
    adapt
        Whether to adapt the step during the burn-in.
    condition
        One a chain, for a conditional energy.
    generator
        Of the random numbers.

    Raises
    ------
    InputError
        If the temperatures do not start at 1, or there is nothing after the burn-in.
    """
    if temperatures[0] != 1 or list(temperatures) != sorted(temperatures):
        message = f"the temperatures are {list(temperatures)}, expected a rising sequence that starts at 1"
        raise InputError(message)
    if not 0 <= burn_in < steps:
        message = f"a search of {steps} steps with a burn-in of {burn_in} keeps nothing; make the burn-in shorter"
        raise InputError(message)
    chains = _Chains(target, start, step, temperatures, condition, generator)
    points, rewards = [], []
    accepted = torch.zeros((), dtype=torch.float64)
    for k in range(steps):
        probability = chains.move()
        if k < burn_in:
            if adapt:
                chains.adapt(probability, ADAPTATION / (1 + k) ** 0.5)
        else:
            accepted += probability[0].double().cpu()
        if len(temperatures) > 1:
            chains.swap(k)
        if k >= burn_in and (k - burn_in + 1) % keep_every == 0:
            points.append(chains.x[: chains.count].clone())
            rewards.append(chains.value[: chains.count].clone())
    found = torch.cat(rewards)
    finite = found.isfinite()
    repeated = None if condition is None else condition.repeat(len(points), 1)[finite]
    return Search(
        points=torch.cat(points)[finite],
        log_reward=found[finite],
        condition=repeated,
        acceptance=float(accepted) / (steps - burn_in),
        step=chains.step.exp(),
        swaps=chains.trades / chains.trials if chains.trials else None,
        last=chains.x.view(len(temperatures), chains.count, -1).clone(),
    )


class _Chains:
    """The chains of all temperatures, in one batch with temperature as the slow axis."""

    def __init__(
        self,
        target: Target,
        start: Tensor,
        step: float | Tensor,
        temperatures: tuple[float, ...],
        condition: Tensor | None,
        generator: torch.Generator | None,
    ) -> None:
        rungs = len(temperatures)
        self.target, self.generator, self.count = target, generator, start.shape[-2]
        self.x = start.repeat(rungs, 1) if start.ndim == 2 else start.flatten(0, 1).clone()
        self.condition = None if condition is None else condition.repeat(rungs, 1)
        self.cold = (1 / torch.tensor(temperatures)).to(start)
        self.inverse = self.cold.repeat_interleave(self.count)
        initial = torch.as_tensor(step, dtype=start.dtype)
        # Where only one is given, hotter chains take longer steps.
        self.step = (initial if initial.ndim else initial / self.cold.cpu()).log().to(start)
        self.value, self.gradient = self._evaluate(self.x)
        self.trades, self.trials = 0.0, 0

    def move(self) -> Float[Tensor, " temperatures"]:
        """Take one step, and return the mean probability of acceptance at each temperature."""
        h = self.step.exp().repeat_interleave(self.count)[:, None]
        noise = torch.randn(self.x.shape, generator=self.generator, dtype=self.x.dtype).to(self.x.device)
        pull = self.inverse[:, None] * self.gradient
        proposal = torch.addcmul(self.x + h * pull, (2 * h).sqrt(), noise)
        value, gradient = self._evaluate(proposal)
        # The way back has noise sqrt(2 h) (noise' ): half its square is what the proposal density loses.
        back = self.x - proposal - h * self.inverse[:, None] * gradient
        turned = 0.5 * noise.square().sum(dim=1) - (back.square() / (4 * h)).sum(dim=1)
        log_ratio = self.inverse * (value - self.value) + turned
        log_ratio = torch.where(self.value.isfinite(), log_ratio, torch.where(value.isfinite(), torch.inf, -torch.inf))
        probability = log_ratio.clamp_max(0).exp().nan_to_num(0.0)
        uniform = torch.rand(len(self.x), generator=self.generator, dtype=self.x.dtype).to(self.x.device)
        taken = uniform < probability
        self.x = torch.where(taken[:, None], proposal, self.x)
        self.gradient = torch.where(taken[:, None], gradient, self.gradient)
        self.value = torch.where(taken, value, self.value)
        return probability.view(-1, self.count).mean(dim=1)

    def adapt(self, probability: Float[Tensor, " temperatures"], rate: float) -> None:
        """Move the step sizes towards the best acceptance."""
        self.step += rate * (probability - BEST_ACCEPTANCE)

    def swap(self, k: int) -> None:
        """Let neighbouring temperatures trade states, pairs with an even and an odd first one by turns."""
        value = self.value.view(-1, self.count)
        lower = torch.arange(k % 2, len(self.cold) - 1, 2)
        if not len(lower):
            return
        upper = lower + 1
        gain = (self.cold[lower] - self.cold[upper])[:, None] * (value[upper] - value[lower])
        uniform = torch.rand(gain.shape, generator=self.generator, dtype=gain.dtype).to(gain.device)
        taken = uniform.log() < gain.nan_to_num(-torch.inf)
        order = torch.arange(len(self.cold), device=value.device)[:, None].repeat(1, self.count)
        order[lower] = torch.where(taken, order[lower] + 1, order[lower])
        order[upper] = torch.where(taken, order[upper] - 1, order[upper])
        rows = (order * self.count + torch.arange(self.count, device=value.device)).flatten()
        self.x, self.gradient, self.value = self.x[rows], self.gradient[rows], self.value[rows]
        self.trades += float(taken.double().mean())
        self.trials += 1

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        evaluation = self.target.evaluate(x, self.condition, gradient=True)
        assert evaluation.gradient is not None
        return evaluation.log_reward, evaluation.gradient
