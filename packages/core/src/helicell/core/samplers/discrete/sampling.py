"""Drawing objects from a trained policy, and how good they are.

Each sample draws from a stream of its own, so that it does not depend on how many are drawn with it. Its walk has a log
weight, log R + log p_B - log p_F, whose mean is a lower bound of log Z, and whose mean exponential is Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.discrete.environment import States, checked_log_reward
from helicell.core.samplers.discrete.policies import Policy, chooser, score
from helicell.core.samplers.discrete.walks import walk, walk_back


@dataclass(frozen=True, slots=True)
class DiscreteSamples:
    """Terminal states that were drawn.

    Attributes
    ----------
    states
        Shape [count, ...].
    log_reward, log_weight
        Of each, shape [count], in double precision.
    """

    states: Shaped[Tensor, "count ..."]
    log_reward: Float[Tensor, " count"]
    log_weight: Float[Tensor, " count"]

    @property
    def log_z(self) -> float:
        """The mean log weight: a lower bound of log Z, below it by the divergence of the walks."""
        return float(self.log_weight.mean())

    @property
    def log_z_rw(self) -> float:
        """The logarithm of the mean weight: an estimate of log Z."""
        return float(self.log_weight.logsumexp(dim=0)) - math.log(len(self.log_weight))

    @property
    def ess(self) -> float:
        """Effective sample size, as a share of the samples."""
        total = self.log_weight.logsumexp(dim=0)
        return float((2 * total - (2 * self.log_weight).logsumexp(dim=0)).exp()) / len(self.log_weight)


def draw(
    policy: Policy, count: int, *, seed: int = 0, first: int = 0, batch: int = 512, floor: float | None = None
) -> DiscreteSamples:
    """Draw from a policy.

    Parameters
    ----------
    policy
        The policy.
    count
        How many samples.
    seed
        With its number it determines a sample.
    first
        The number of the first sample.
    batch
        How many walk together.
    floor
        As in `checked_log_reward`.

    Raises
    ------
    InputError
        If no sample is asked for, or a reward is not finite.
    """
    if count < 1 or batch < 1:
        message = f"{count} samples in batches of {batch} were asked for, expected 1 or more of both"
        raise InputError(message)
    parts = []
    for start in range(first, first + count, batch):
        numbers = range(start, min(start + batch, first + count))
        generators = [sample_generator(seed, number, stream="samplers/discrete/draw") for number in numbers]
        walks = walk(policy.environment, chooser(policy), len(numbers), generator=generators)
        with torch.no_grad():
            ratio = score(policy, walks).log_ratio.double()
        log_reward = checked_log_reward(policy.environment, walks.ends, floor=floor).double()
        parts.append((walks.ends, log_reward, log_reward + ratio))
    return DiscreteSamples(*(torch.cat(column) for column in zip(*parts, strict=True)))


@torch.no_grad()
def upper_bound(policy: Policy, ends: States, *, generator: torch.Generator, floor: float | None = None) -> float:
    """Return an upper bound of log Z (EUBO): the mean log weight of walks back from exact samples.

    Parameters
    ----------
    policy
        The policy.
    ends
        Exact samples, as terminal states.
    generator
        Of the walks.
    floor
        As in `checked_log_reward`.
    """
    walks = walk_back(policy.environment, chooser(policy, backward=True), ends, generator=generator)
    log_reward = checked_log_reward(policy.environment, ends, floor=floor).double()
    return float((log_reward + score(policy, walks).log_ratio.double()).mean())
