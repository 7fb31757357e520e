"""A Gaussian target of samplers, whose exact policy is known in closed form."""

from dataclasses import dataclass

import torch
from torch import Tensor

from helicell.core.samplers.energies import Energy
from helicell.core.samplers.networks import log_normal
from helicell.core.samplers.paths import Path, Probabilities
from helicell.core.samplers.process import Steps

DOUBLE = torch.float64


class Gaussian(Energy):
    """An unnormalised normal density with a known log Z."""

    def __init__(self, mean: Tensor, variance: float, *, log_z: float = 0.0) -> None:
        self.mean, self.width = mean, variance
        self.dim, self.log_z, self.variance = len(mean), log_z, 1.5 * variance

    def log_reward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.log_z + log_normal(x, self.mean.to(x), torch.full((self.dim,), self.width, dtype=x.dtype))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return self.mean + self.width**0.5 * torch.randn(count, self.dim, generator=generator)


@dataclass(frozen=True, slots=True)
class Balanced:
    """Paths to a Gaussian target, with the probabilities of the exact forward policy and the exact flows."""

    path: Path
    probabilities: Probabilities
    flows: Tensor
    energy: Gaussian


def exact_forward(steps: Steps, states: Tensor, energy: Gaussian) -> tuple[Tensor, Tensor]:
    """Return log probabilities of the exact forward kernels and log marginals, by Bayes' rule for Gaussians.

    The backward chain from the target has marginals N(m_k, v_k); the forward kernel is that of the joint of neighbours.
    """
    mean, variance = energy.mean.to(states), torch.tensor(energy.width, dtype=states.dtype)
    means, variances = [mean], [variance]
    for k in reversed(range(steps.count)):
        mean = steps.backward_scale[k] * mean
        variance = steps.backward_scale[k] ** 2 * variance + steps.backward_variance[k]
        means.insert(0, mean)
        variances.insert(0, variance)
    forward, marginals = [], []
    for k in range(steps.count):
        scale, noise = steps.backward_scale[k], steps.backward_variance[k]
        gain = scale * variances[k + 1] / (scale**2 * variances[k + 1] + noise) if k else torch.zeros(())
        centre = means[k + 1] + gain * (states[k] - scale * means[k + 1])
        spread = variances[k + 1] * (1 - gain * scale)
        forward.append(log_normal(states[k + 1], centre, spread.expand(energy.dim)))
        marginals.append(log_normal(states[k], means[k], variances[k].expand(energy.dim)) if k else None)
    return torch.stack(forward), torch.stack(marginals[1:])
