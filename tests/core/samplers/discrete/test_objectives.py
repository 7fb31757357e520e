"""Objectives: zero where balance holds, right gradients, and the sums that they stand for."""

import pytest
import torch

from discrete_graphs import DOUBLE, GRAPHS, random_policy, seeded, table
from helicell.core.errors import InputError
from helicell.core.samplers.discrete import OBJECTIVES, NetworkPolicy, TablePolicy
from helicell.core.samplers.discrete.exact import exact_flow, log_partition
from helicell.core.samplers.discrete.objectives import balances, loss, sub_trajectory, walk_flows
from helicell.core.samplers.discrete.policies import chooser, score
from helicell.core.samplers.discrete.walks import walk


def exact_policy(environment, *, forward_looking):
    """Return the policy of a random backward policy, in double precision, with flows less what is known of them."""
    flow = exact_flow(environment, log_backward=random_policy(environment.undoable_table, seed=5))
    policy = TablePolicy(environment, flow=flow)
    if forward_looking:
        policy.log_flow.data -= environment.potential_table.double()
    policy.log_flow.data[environment.terminal_table] = torch.nan
    return policy


def blind_walks(policy, count=40, seed=0):
    """Return walks whose actions are drawn blindly."""
    return walk(policy.environment, chooser(policy), count, generator=seeded(seed), exploration=1.0)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", GRAPHS)
def test_exact_policies_have_no_loss(name, objective):
    """By dynamic programming, for a random backward policy, on walks that another policy made."""
    environment = table(name)
    policy = exact_policy(environment, forward_looking=objective.startswith("fl"))
    walks = blind_walks(policy)
    # What a policy says of the flow of ends must not count.
    scores = score(policy, walks)
    assert loss(objective, environment, walks, _finite(scores), log_z=_log_z(environment)).item() < 1e-24
    policy.forward_table.data += torch.randn(policy.forward_table.shape, generator=seeded(1), dtype=DOUBLE)
    wrong = loss(objective, environment, walks, _finite(score(policy, walks)), log_z=_log_z(environment))
    assert wrong.item() > 1e-3


@pytest.mark.parametrize("objective", ["fl-db", "fl-subtb"])
@pytest.mark.parametrize("name", GRAPHS)
def test_stretches_of_walks_are_balanced_too(name, objective):
    """No loss of the exact policy on stretches of two steps, and the reward is not looked at."""
    environment = table(name)
    policy = exact_policy(environment, forward_looking=True)
    stretches = blind_walks(policy).window(2, seeded(4))
    environment.reward_table = torch.full_like(environment.reward_table, torch.nan)
    scores = _finite(score(policy, stretches))
    assert loss(objective, environment, stretches, scores).item() < 1e-24


@pytest.mark.parametrize("objective", ["tb", "vargrad", "db", "subtb"])
def test_other_objectives_refuse_stretches(objective):
    """The error says which objectives do not."""
    environment = table("grid")
    policy = TablePolicy(environment)
    stretches = blind_walks(policy).window(2, seeded(4))
    with pytest.raises(InputError, match="choose fl-db or fl-subtb"):
        loss(objective, environment, stretches, score(policy, stretches), log_z=torch.zeros(()))


def test_unknown_objectives_and_a_missing_log_z_are_refused():
    """Errors list what there is."""
    environment = table("grid")
    policy = TablePolicy(environment)
    walks = blind_walks(policy)
    with pytest.raises(InputError, match="did you mean 'subtb'"):
        loss("subtp", environment, walks, score(policy, walks))
    with pytest.raises(InputError, match="without log Z"):
        loss("tb", environment, walks, score(policy, walks))


@pytest.mark.parametrize("experts", [1, 3])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_agree_with_finite_differences(objective, experts):
    """Of a network in double precision, along a random direction in all its weights and log Z at once."""
    environment = table("sets of two sizes")
    policy = NetworkPolicy(environment, hidden=7, experts=experts, generator=seeded(2)).double()
    log_z = torch.tensor(0.4, dtype=DOUBLE, requires_grad=True)
    walks = blind_walks(policy, count=12)
    parameters = [*policy.parameters(), log_z]
    directions = [torch.randn(p.shape, generator=seeded(n), dtype=DOUBLE) for n, p in enumerate(parameters)]

    def value():
        return loss(objective, environment, walks, score(policy, walks), log_z=log_z)

    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    along = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
    values = []
    for step in (1e-6, -2e-6):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data += step * direction
        values.append(value().item())
    assert along == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_the_quadratic_form_is_the_sum_over_all_stretches():
    """Sub-trajectory balance of walks of different lengths, against two loops."""
    environment = table("sets of two sizes")
    policy = TablePolicy(environment)
    policy.forward_table.data = torch.randn(policy.forward_table.shape, generator=seeded(3), dtype=DOUBLE)
    policy.log_flow.data = torch.randn(policy.log_flow.shape, generator=seeded(4), dtype=DOUBLE)
    walks = blind_walks(policy)
    assert len(walks.lengths.unique()) > 1
    scores = score(policy, walks)
    values = balances(scores, walk_flows("subtb", environment, walks, scores))
    for decay in (0.5, 0.9, 1.0, 2.0):
        total = 0.0
        for number, length in enumerate(walks.lengths.tolist()):
            pairs = [(i, j) for i in range(length + 1) for j in range(i + 1, length + 1)]
            weight = sum(decay ** (j - i) for i, j in pairs)
            v = values[:, number]
            total += sum(decay ** (j - i) * 0.5 * (v[i] - v[j]).square().item() for i, j in pairs) / weight
        found = sub_trajectory(values, walks, decay=decay).item()
        assert found == pytest.approx(total / len(walks.lengths))


def test_long_walks_with_large_weights_do_not_overflow():
    """Lambda of 2 over hundreds of steps."""
    from helicell.core.samplers.discrete.walks import Walks

    none = torch.zeros(400, 2, dtype=torch.long)
    walks = Walks(torch.zeros(401, 2, dtype=torch.long), none, none, torch.tensor([400, 3]))
    values = torch.randn(401, 2, generator=seeded())
    assert sub_trajectory(values, walks, decay=2.0).isfinite()


def _finite(scores):
    """Return the scores; ends have no flow of their own, here marked by NaN, which must never count."""
    from dataclasses import replace

    assert scores.log_forward.isfinite().all()
    return replace(scores, log_flow=scores.log_flow.nan_to_num(nan=1e3))


def _log_z(environment):
    return torch.tensor(log_partition(environment), dtype=DOUBLE)
