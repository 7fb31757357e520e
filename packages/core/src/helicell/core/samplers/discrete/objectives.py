"""What a discrete sampler is trained to minimise, on walks of different lengths.

| name | is | log flows |
| --- | --- | --- |
| tb | trajectory balance | log Z, log R at the end |
| vargrad | the same, with log Z taken as the batch's mean | log R at the end |
| db, subtb | detailed and sub-trajectory balance | the network's, log R at the end |
| fl-db, fl-subtb | the same | the network's plus the log-potential, the log-potential alone at the end |

With S_k the sum of forward less backward log-probabilities of the first k steps, balance means that v_k = log F_k - S_k
is the same along a walk; the losses are those of `samplers.objectives`, here for walks of any lengths. Of a
forward-looking flow only what is still to come is learned, and at the end nothing is left of it. So every stretch of a
walk can be learned from, also one that reaches no end.

Malkin and others, arXiv 2201.13259; Madan and others, arXiv 2209.12782; Pan and others, arXiv 2302.01687.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.citations import cited
from helicell.core.errors import InputError, unknown_option
from helicell.core.samplers.discrete.environment import Environment, checked_log_potential, checked_log_reward
from helicell.core.samplers.discrete.policies import WalkScores
from helicell.core.samplers.discrete.walks import Walks
from helicell.core.samplers.objectives import trajectory_balance, variance_gradient

OBJECTIVES = ("tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb")
FORWARD_LOOKING = ("fl-db", "fl-subtb")
WITH_FLOWS = ("db", "subtb", *FORWARD_LOOKING)


def check_objective(name: str) -> None:
    """Raise an error unless there is an objective of this name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in OBJECTIVES:
        raise unknown_option("objective", name, OBJECTIVES)


def loss(
    name: str,
    environment: Environment,
    walks: Walks,
    scores: WalkScores,
    *,
    log_z: Float[Tensor, ""] | None = None,
    decay: float = 0.9,
    floor: float | None = None,
) -> Float[Tensor, ""]:
    """Return the mean loss of walks.

    Parameters
    ----------
    name
        One of `OBJECTIVES`.
    environment
        Whose rewards or potentials are looked up.
    walks, scores
        The walks, and what the policy says of them.
    log_z
        The learned log Z of trajectory balance.
    decay
        lambda of sub-trajectory balance.
    floor
        Taken for lower log-rewards, see `checked_log_reward`.

    Raises
    ------
    InputError
        If there is no such objective, a reward is not finite, the walks are cut and the objective needs whole ones, or
        log Z is needed and not given.
    """
    check_objective(name)
    if name in WITH_FLOWS:
        values = balances(scores, walk_flows(name, environment, walks, scores, floor=floor))
        return detailed(values, walks) if name in ("db", "fl-db") else sub_trajectory(values, walks, decay=decay)
    log_reward = _end_rewards(name, environment, walks, floor).to(scores.log_forward.dtype)
    counted = torch.ones_like(log_reward, dtype=torch.bool)
    if name == "vargrad":
        return variance_gradient(scores.log_ratio, log_reward, counted)
    if log_z is None:
        message = "trajectory balance was asked for without log Z; give a scalar tensor to learn, or choose vargrad"
        raise InputError(message)
    return trajectory_balance(scores.log_ratio, log_reward, log_z, counted)


def walk_flows(
    name: str, environment: Environment, walks: Walks, scores: WalkScores, *, floor: float | None = None
) -> Float[Tensor, "knots batch"]:
    """Return the log flows of an objective that learns flows; the parameters and errors are those of `loss`."""
    if name in FORWARD_LOOKING:
        return forward_looking_flows(environment, walks, scores)
    log_reward = _end_rewards(name, environment, walks, floor).to(scores.log_flow.dtype)
    return torch.where(_last(walks), log_reward, scores.log_flow + _completions(environment, walks, scores))


@cited("pan2023better")
def forward_looking_flows(environment: Environment, walks: Walks, scores: WalkScores) -> Float[Tensor, "knots batch"]:
    """Return the log flows log F = log F~ + log-potential, with log F~ = 0 in terminal states.

    Of log F~ the part that the graph alone gives, `log_completions`, is known as well.

    References
    ----------
    Pan and others, Better training of GFlowNets with local credit, arXiv 2302.01687, equations 6 to 8.
    """
    potential = checked_log_potential(environment, walks.states.flatten(0, 1)).view(scores.log_flow.shape)
    known = potential.to(scores.log_flow.dtype)
    flows = scores.log_flow + known + _completions(environment, walks, scores)
    ended = environment.terminal(walks.ends)
    return torch.where(_last(walks) & ended, known, flows)


def balances(scores: WalkScores, flows: Float[Tensor, "knots batch"]) -> Float[Tensor, "knots batch"]:
    """Return v: log flow less the sum of forward less backward log-probabilities of the steps before."""
    done = (scores.log_forward - scores.log_backward).cumsum(dim=0)
    return flows - torch.cat((torch.zeros_like(flows[:1]), done))


@cited("bengio2023foundations")
def detailed(values: Float[Tensor, "knots batch"], walks: Walks) -> Float[Tensor, ""]:
    """Return the detailed balance loss: half the squared change of v, summed over steps, the mean over walks."""
    return 0.5 * (values.diff(dim=0).square() * walks.taken).sum(dim=0).mean()


@cited("madan2023learning")
def sub_trajectory(values: Float[Tensor, "knots batch"], walks: Walks, *, decay: float = 0.9) -> Float[Tensor, ""]:
    """Return the sub-trajectory balance loss: the mean over walks of sum_{i<j} w_{j-i} (v_i - v_j)^2 / 2.

    The weights w_n = lambda^n are normalised over the pairs of each walk. With the symmetric matrix W of all weights,
    the mask m of a walk's states and v zero outside of it, the sum over pairs is v^2 . W m - v . W v.

    References
    ----------
    Madan and others, Learning GFlowNets from partial episodes, arXiv 2209.12782, equation 11.
    """
    visited = walks.visited.to(values.dtype)
    # No constant is seen by the sum; without the mean the differences keep their digits.
    mean = (values.detach() * visited).sum(dim=0) / visited.sum(dim=0)
    centred = (values - mean) * visited
    places = torch.arange(len(values), dtype=torch.float64)
    # Powers of a number over 1 are scaled by the largest, so that none overflows.
    exponents = (places[:, None] - places).abs() - (len(values) - 1 if decay > 1 else 0)
    weights = (decay**exponents).fill_diagonal_(0).to(values)
    degrees = weights @ visited
    pairs = (visited * degrees).sum(dim=0) / 2
    total = (centred.square() * degrees - centred * (weights @ centred)).sum(dim=0)
    return 0.5 * (total / pairs.clamp_min(torch.finfo(values.dtype).tiny)).mean()


def _end_rewards(name: str, environment: Environment, walks: Walks, floor: float | None) -> Tensor:
    if not walks.whole:
        message = f"the objective {name} needs whole walks, and these were cut; choose fl-db or fl-subtb"
        raise InputError(message)
    return checked_log_reward(environment, walks.ends, floor=floor)


def _completions(environment: Environment, walks: Walks, scores: WalkScores) -> Tensor:
    """Return what is known of the log flows of all states from the graph alone."""
    known = environment.log_completions(walks.states.flatten(0, 1))
    return known.view(scores.log_flow.shape).to(scores.log_flow.dtype)


def _last(walks: Walks) -> Tensor:
    """Return which states are the last of their walks, shape [steps + 1, batch]."""
    return torch.arange(walks.steps + 1, device=walks.lengths.device)[:, None] == walks.lengths
