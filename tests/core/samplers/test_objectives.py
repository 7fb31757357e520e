"""Objectives vanish in balance and only there, agree with their definitions, and leave out what is not finite."""

from dataclasses import replace

import pytest
import torch

from helicell.core.samplers.networks import log_normal
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

DOUBLE = torch.float64


def losses(balanced, *, ratio=None, flows=None):
    """Return every balance loss of the paths."""
    path, probabilities = balanced.path, balanced.probabilities
    ratio = probabilities.log_ratio if ratio is None else ratio
    flows = balanced.flows if flows is None else flows
    potentials = state_potentials(flows, probabilities)
    log_z = torch.tensor(balanced.energy.log_z, dtype=DOUBLE)
    return {
        "tb": trajectory_balance(ratio, path.log_reward, log_z, path.finite),
        "vargrad": variance_gradient(ratio, path.log_reward, path.finite),
        "db": detailed_balance(potentials, path.finite),
        "subtb": sub_trajectory_balance(potentials, path.finite, decay=0.9),
        "subtb, long": sub_trajectory_balance(potentials, path.finite, decay=2.0),
    }


def test_exact_policies_have_no_loss(balanced):
    """With the exact forward kernels, flows and log Z of a Gaussian target every loss is zero, on any path."""
    for name, loss in losses(balanced).items():
        assert loss < 1e-18, name


@pytest.mark.parametrize("forward_looking", [False, True])
def test_flows_are_what_is_known_and_what_is_learned(balanced, forward_looking):
    """What a network must add to the known part to give the exact flows leaves no loss; the end is pinned to log R."""
    path = balanced.path
    variance = path.steps.marginal_variance[1:-1, None, None].expand(-1, 1, 2)
    known = log_normal(path.states[1:-1], 0.0, variance)
    if forward_looking:
        t = path.steps.times[1:-1, None]
        known = (1 - t) * known + t * path.log_rewards[1:-1]
    network = torch.cat((torch.full((1, 6), 99.0, dtype=DOUBLE), balanced.flows[1:-1] - known))
    log_z = torch.tensor(balanced.energy.log_z, dtype=DOUBLE)
    flows = state_flows(path, network, log_z, forward_looking=forward_looking)
    torch.testing.assert_close(flows, balanced.flows)
    torch.testing.assert_close(flows[-1], path.log_reward, rtol=0, atol=0)
    assert losses(balanced, flows=flows)["db"] < 1e-18


def test_losses_see_what_is_out_of_balance(balanced):
    """A shift of one path's log ratio by one, and of one flow, cost what the definitions say."""
    ratio = balanced.probabilities.log_ratio.clone()
    ratio[2] += 1
    shifted = losses(balanced, ratio=ratio)
    torch.testing.assert_close(shifted["tb"], torch.tensor(0.5 / 6, dtype=DOUBLE))
    expected = 0.5 * torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=DOUBLE).var(correction=0)
    torch.testing.assert_close(shifted["vargrad"], expected)
    flows = balanced.flows.clone()
    flows[4, 1] += 2
    torch.testing.assert_close(losses(balanced, flows=flows)["db"], torch.tensor(2 * 0.5 * 4 / 6, dtype=DOUBLE))


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0, 2.0])
def test_sub_trajectories_are_summed_as_a_form(decay):
    """The quadratic form is the weighted sum over all pairs of states, written as loops."""
    potentials = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    total = sum(decay ** (j - i) for i, j in pairs)
    loops = sum(decay ** (j - i) / total * 0.5 * (potentials[i] - potentials[j]).square() for i, j in pairs).mean()
    finite = torch.ones(3, dtype=torch.bool)
    torch.testing.assert_close(sub_trajectory_balance(potentials, finite, decay=decay), loops)


def test_variance_within_groups():
    """With groups the mean is that of each condition's own paths, and a constant of a group costs nothing."""
    ratio = torch.tensor([0.0, 2.0, 10.0, 14.0], dtype=DOUBLE)
    reward, finite = torch.zeros(4, dtype=DOUBLE), torch.ones(4, dtype=torch.bool)
    loss = variance_gradient(ratio, reward, finite, group=2)
    torch.testing.assert_close(loss, torch.tensor(0.5 * (1 + 1 + 4 + 4) / 4, dtype=DOUBLE))


def test_paths_without_a_finite_reward_do_not_count(balanced):
    """Losses and gradients with an infinite reward are those of the other paths alone."""
    path = balanced.path
    reward = path.log_reward.clone()
    reward[3] = -torch.inf
    finite = reward.isfinite()
    ratio = (balanced.probabilities.log_ratio + torch.arange(6, dtype=DOUBLE)).requires_grad_()
    log_z = torch.zeros((), dtype=DOUBLE)
    for loss in (
        trajectory_balance(ratio, reward, log_z, finite),
        variance_gradient(ratio, reward, finite),
        path_divergence(ratio, reward, finite),
    ):
        (gradient,) = torch.autograd.grad(loss, ratio)
        assert gradient.isfinite().all()
        assert gradient[3] == 0
    rest = trajectory_balance(ratio[finite], reward[finite], log_z, finite[finite])
    torch.testing.assert_close(trajectory_balance(ratio, reward, log_z, finite), rest)
    flows = state_flows(
        replace(path, log_reward=reward, finite=finite), balanced.flows[:-1].clone().requires_grad_(), log_z
    )
    potentials = state_potentials(flows, balanced.probabilities)
    assert torch.isfinite(sub_trajectory_balance(potentials, finite))
    assert torch.isfinite(detailed_balance(potentials, finite))
    nothing = torch.zeros(6, dtype=torch.bool)
    assert trajectory_balance(ratio, reward, log_z, nothing) == 0


def test_likelihood_is_the_mean_over_paths():
    """The maximum likelihood loss is minus the mean of the paths' forward log probability."""
    forward = torch.arange(6.0).view(3, 2)
    assert likelihood(forward, torch.ones(2, dtype=torch.bool)) == -(6 + 9) / 2
