"""What a sampler is trained to minimise: functions of the log probabilities of paths.

With S_k the sum of forward less backward log probabilities of the first k steps, and log F_k the log flow at state k
(log Z at the start, log R at the end), balance means that v_k = log F_k - S_k is the same at all states of a path. With
a mean over the paths of a batch,

| name | is |
| --- | --- |
| `trajectory_balance` | (v_0 - v_T)^2 / 2 |
| `variance_gradient` | the same, with log Z taken as the batch's mean |
| `detailed_balance` | sum_k (v_k - v_{k+1})^2 / 2 |
| `sub_trajectory_balance` | sum_{i<j} w_{j-i} (v_i - v_j)^2 / 2, with weights lambda^{j-i} that sum to one |
| `likelihood` | - sum_k log p_F of backward paths |
| `path_divergence` | S_T - log R, on paths that carry a graph |

Forward-looking versions are the same functions of other flows, see `state_flows`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.samplers.paths import Path, Probabilities


@cited("malkin2022trajectory")
def trajectory_balance(
    log_ratio: Float[Tensor, " batch"],
    log_reward: Float[Tensor, " batch"],
    log_z: Float[Tensor, ""] | Float[Tensor, " batch"],
    finite: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Return the trajectory balance loss.

    Parameters
    ----------
    log_ratio
        Backward less forward log probability of each path.
    log_reward
        Of each path's end.
    log_z
        The learned log Z, of each condition where there are any.
    finite
        Paths that count.

    References
    ----------
    Malkin and others, Trajectory balance, arXiv 2201.13259, equation 13.
    """
    return _mean(0.5 * (log_z - log_ratio - _bounded(log_reward, finite)).square(), finite)


@cited("richter2020vargrad", "zhang2023robust")
def variance_gradient(
    log_ratio: Float[Tensor, " batch"],
    log_reward: Float[Tensor, " batch"],
    finite: Bool[Tensor, " batch"],
    *,
    group: int | None = None,
) -> Float[Tensor, ""]:
    """Return half the variance of the log weights over the batch.

    Parameters
    ----------
    log_ratio, log_reward, finite
        As for `trajectory_balance`.
    group
        Paths in a row that share a condition, and among which the variance is taken; all unless given.

    References
    ----------
    Richter and others, VarGrad, arXiv 2010.10436; Zhang and others, arXiv 2302.05446.
    """
    shape = (-1, group if group is not None else len(log_ratio))
    weights = (log_ratio + _bounded(log_reward, finite)).view(shape)
    counted = finite.view(shape)
    mean = (weights * counted).sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp_min(1)
    return _mean(0.5 * (weights - mean).square().flatten(), finite)


@cited("bengio2023foundations")
def detailed_balance(potentials: Float[Tensor, "knots batch"], finite: Bool[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Return the detailed balance loss of the potentials v, see `state_potentials`.

    References
    ----------
    Bengio and others, GFlowNet foundations, arXiv 2111.09266, section 3.
    """
    return _mean(0.5 * potentials.diff(dim=0).square().sum(dim=0), finite)


@cited("madan2023learning")
def sub_trajectory_balance(
    potentials: Float[Tensor, "knots batch"], finite: Bool[Tensor, " batch"], *, decay: float = 0.9
) -> Float[Tensor, ""]:
    """Return the sub-trajectory balance loss, as a quadratic form.

    The sum over all pairs is v^T (D - W) v with the symmetric matrix W of the weights and D their sums: one product of
    matrices, in the place of all sub-trajectories of all paths.

    Parameters
    ----------
    potentials
        v of every state.
    finite
        Paths that count.
    decay
        lambda: the weight of a sub-trajectory of n steps is lambda^n.

    References
    ----------
    Madan and others, Learning GFlowNets from partial episodes, arXiv 2209.12782, equation 11.
    """
    form = _laplacian(len(potentials), decay).to(potentials)
    # The form does not see a constant; without it the differences keep their digits.
    centred = potentials - potentials.detach().mean(dim=0)
    return _mean(0.5 * (centred * (form @ centred)).sum(dim=0), finite)


def likelihood(forward: Float[Tensor, "steps batch"], finite: Bool[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Return the negative log probability that the forward policy gives to backward paths."""
    return _mean(-forward.sum(dim=0), finite)


def path_divergence(
    log_ratio: Float[Tensor, " batch"], log_reward: Float[Tensor, " batch"], finite: Bool[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Return the Kullback-Leibler divergence from the forward to the backward paths, up to log Z."""
    return _mean(-log_ratio - _bounded(log_reward, finite), finite)


@cited("pan2023better")
def state_flows(
    path: Path,
    log_flow: Float[Tensor, "steps batch"],
    log_z: Float[Tensor, ""] | Float[Tensor, " batch"],
    *,
    forward_looking: bool = False,
) -> Float[Tensor, "knots batch"]:
    """Return the log flows at all states: log Z, inner flows, log R at the end.

    The network's output is added to what is known already of an inner flow: the log marginal of the reference process,
    log N(x; 0, marginal variance), which is the flow if the target is that of the reference process. A forward-looking
    flow knows more, the geometric path from there to the target: (1 - t) log N(x; 0, marginal variance) + t log R(x).

    Parameters
    ----------
    path
        With the log rewards at all states, if forward-looking.
    log_flow
        The network's outputs.
    log_z
        The learned log Z, of each condition where there are any.
    forward_looking
        Whether log rewards along the path enter.

    References
    ----------
    Pan and others, Better training of GFlowNets with local credit, arXiv 2302.01687; Zhang and others, Diffusion
    generative flow samplers, arXiv 2310.02679.
    """
    known = path.steps.log_marginal(path.states[1:-1], slice(1, -1))
    if forward_looking and path.log_rewards is not None:
        t = path.steps.times[1:-1, None]
        known = (1 - t) * known + t * _bounded(path.log_rewards[1:-1], path.finite)
    start = log_z.expand(1, len(path.log_reward))
    return torch.cat((start, log_flow[1:] + known, _bounded(path.log_reward, path.finite)[None]))


def state_potentials(flows: Float[Tensor, "knots batch"], probabilities: Probabilities) -> Float[Tensor, "knots batch"]:
    """Return v: log flow less the sum of forward less backward log probabilities of the steps before."""
    done = (probabilities.forward - probabilities.backward).cumsum(dim=0)
    return torch.cat((flows[:1], flows[1:] - done))


@lru_cache(maxsize=64)
def _laplacian(knots: int, decay: float) -> Tensor:
    places = torch.arange(knots, dtype=torch.float64)
    lengths = (places[:, None] - places).abs()
    # Scaled by the largest power, so that long paths with lambda over 1 do not overflow.
    largest = (knots - 1) if decay > 1 else 0
    weights = torch.as_tensor(decay, dtype=torch.float64) ** (lengths - largest)
    weights.fill_diagonal_(0)
    weights /= weights.sum() / 2
    return torch.diag(weights.sum(dim=1)) - weights


def _bounded(log_reward: Tensor, finite: Tensor) -> Tensor:
    """Return the log rewards with zeros where a path does not count, so that no gradient is a NaN."""
    return torch.where(finite, log_reward, 0.0)


def _mean(losses: Tensor, finite: Tensor) -> Tensor:
    """Return the mean over the paths that count; zero if there are none."""
    if bool(finite.all()):
        return losses.mean()
    return torch.where(finite, losses, 0.0).sum() / finite.sum().clamp_min(1)
