"""Training: every objective learns the reward, a resumed one ends with the same bytes, bad rewards are reported."""

import itertools

import pytest
import torch

from discrete_graphs import DOUBLE, GRAPHS, seeded, table
from helicell.core.errors import HelicellError, InputError
from helicell.core.samplers.discrete import (
    OBJECTIVES,
    AdditiveSets,
    DiscreteSettings,
    DiscreteTrainer,
    HyperGrid,
    NetworkPolicy,
    SetEnvironment,
    TablePolicy,
    draw,
    tabulate,
    train,
)
from helicell.core.samplers.discrete.exact import (
    log_partition,
    target_distribution,
    terminal_distribution,
    total_variation,
)
from helicell.core.samplers.discrete.policies import tabulated
from helicell.core.samplers.discrete.sampling import upper_bound

# A number for every state learns in few iterations; networks take more.
TABLE = {"batch": 16, "iterations": 200, "learning_rate": 0.1, "exploration": 0.3}
QUICK = {"hidden": 32, "batch": 16, "iterations": 150, "learning_rate": 5e-3, "exploration": 0.3}


def distance(policy, environment):
    """Return the total variation between where a policy ends and where the reward says, exactly."""
    log_forward = tabulated(policy, environment).log_forward
    return total_variation(terminal_distribution(environment, log_forward), target_distribution(environment))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_learns_the_reward(objective):
    """Sets with interactions, of one to three items: total variation by dynamic programming, and log Z."""
    environment = table("sets of two sizes")
    settings = DiscreteSettings(objective=objective, **TABLE)
    trainer = train(environment, settings, policy=TablePolicy(environment))
    assert distance(trainer.policy, environment) < 0.05 < 0.25 < distance(TablePolicy(environment), environment)
    samples = draw(trainer.policy, 400, seed=1)
    assert samples.log_z_rw == pytest.approx(log_partition(environment), abs=0.05)
    assert samples.log_z < samples.log_z_rw
    assert samples.ess > 0.9
    if objective == "vargrad":
        with pytest.raises(InputError, match="draw"):
            trainer.estimate_log_z()
    else:
        assert trainer.estimate_log_z() == pytest.approx(log_partition(environment), abs=0.3)


@pytest.mark.parametrize("name", ["full sets", "bits in any order", "fragments"])
def test_every_kind_of_environment_is_learned(name):
    """By trajectory balance with a network, on the environment itself; measured on its table."""
    environment = GRAPHS[name]()
    trainer = train(environment, DiscreteSettings(**QUICK))
    written, states = tabulate(environment)
    log_forward = trainer.policy(states).log_forward.detach()
    ends = terminal_distribution(written, log_forward)
    assert total_variation(ends, target_distribution(written)) < 0.1


@pytest.mark.parametrize("objective", ["fl-db", "fl-subtb"])
def test_stretches_without_an_end_reward_teach_the_marginals(objective):
    """Half the length, and a reward that must not be looked at: the exact marginals are learned all the same."""
    weights = torch.linspace(-1.5, 1.5, 8, dtype=DOUBLE)
    environment = AdditiveSets(weights, 4)

    def no_reward(states):
        raise AssertionError("the reward was asked for")

    environment.log_reward = no_reward
    options = {**QUICK, "iterations": 300, "backward": "uniform", "window": 0.5, "refit": 10}
    settings = DiscreteSettings(**options, objective=objective)
    trainer = train(environment, settings)
    del environment.log_reward
    samples = draw(trainer.policy, 1000, seed=2)
    found = environment.sets(samples.states).double().mean(dim=0)
    assert (found - environment.marginals()).abs().max() < 0.06
    assert trainer.estimate_log_z() == pytest.approx(float(environment.log_partition()), abs=0.3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"replay_share": 0.5},
        {"lag": 10},
        {"experts": 3, "backward": "uniform"},
    ],
    ids=str,
)
def test_options_learn_too(options):
    """Replay of earlier ends, remembered probabilities, mixtures."""
    environment = HyperGrid(2, 4)
    trainer = train(environment, DiscreteSettings(**QUICK, **options))
    assert distance(trainer.policy, environment) < 0.12
    # The first iteration has nothing to replay.
    assert trainer.walked == 150 * 16 - 149 * round(options.get("replay_share", 0) * 16)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "tb", "replay_share": 0.5, "exploration": 0.2},
        {"objective": "fl-subtb", "window": 0.5, "refit": 2},
        {"objective": "db", "lag": 3},
    ],
    ids=str,
)
def test_a_resumed_training_ends_with_the_same_bytes(options, tmp_path):
    """Killed after 7 of 12 iterations, at a checkpoint after 5: all tensors and the file itself are the same."""
    environment = HyperGrid(2, 4)
    settings = DiscreteSettings(hidden=8, batch=6, iterations=12, **options)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    expected = train(environment, settings, checkpoint=whole, every=5)

    def stop(iteration, value):
        if iteration == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(environment, settings, checkpoint=parts, every=5, report=stop)
    seen = []
    resumed = train(environment, settings, checkpoint=parts, every=5, report=lambda n, value: seen.append(n))
    assert seen == list(range(5, 12))
    assert whole.read_bytes() == parts.read_bytes()
    for name, tensor in expected.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name
    with pytest.raises(InputError, match="other settings"):
        train(environment, settings.model_copy(update={"seed": 1}), checkpoint=parts)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rewards_that_are_not_finite_stop_the_training(objective, value):
    """Nothing is learned from them: the error names the set, and the weights are as before."""

    def reward(sets):
        return torch.where(sets[:, 0], value, 0.0)

    environment = SetEnvironment(3, 2, reward, log_potential=reward)
    trainer = DiscreteTrainer(environment, DiscreteSettings(objective=objective, hidden=8))
    before = [parameter.clone() for parameter in trainer.policy.parameters()]
    with pytest.raises(InputError, match=r"of the state \{0.* is (nan|inf)"):
        for _ in range(5):
            trainer.step()
    assert trainer.iteration == 0
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.policy.parameters(), strict=True))


def test_a_floor_lets_rewards_of_zero_be_learned():
    """Where the reward is zero, the walks come to hardly ever end."""

    def reward(sets):
        return torch.where(sets[:, 0] & sets[:, 1], -torch.inf, 0.0)

    environment = SetEnvironment(4, 2, reward)
    with pytest.raises(InputError, match="floor"):
        train(environment, DiscreteSettings(**QUICK))
    trainer = train(environment, DiscreteSettings(**QUICK, reward_floor=-6.0))
    ends = draw(trainer.policy, 500, floor=-6.0).states
    counts = [int((ends[:, i] & ends[:, j]).sum()) for i, j in itertools.combinations(range(4), 2)]
    assert counts[0] < 15 < 60 < min(counts[1:])


def test_a_loss_that_is_not_finite_is_reported():
    """The error says at which iteration."""
    environment = HyperGrid(2, 4)
    trainer = DiscreteTrainer(environment, DiscreteSettings(hidden=8))
    trainer.policy.biases[-1].data[0] = torch.nan
    with pytest.raises((HelicellError, InputError), match="iteration 0"):
        trainer.step()


def test_settings_that_contradict_each_other_are_refused():
    """Stretches need a forward-looking objective, and no buffer."""
    environment = HyperGrid(2, 4)
    with pytest.raises(InputError, match="choose fl-db or fl-subtb"):
        DiscreteTrainer(environment, DiscreteSettings(objective="tb", window=0.5))
    with pytest.raises(InputError, match="leave out one"):
        DiscreteTrainer(environment, DiscreteSettings(objective="fl-db", window=0.5, replay_share=0.5))
    with pytest.raises(InputError, match="unknown key"):
        DiscreteSettings.from_mapping({"objectiv": "tb"})


@pytest.mark.parametrize("name", GRAPHS)
def test_samples_do_not_depend_on_the_batch(name):
    """Sample number 7 is the same whatever it is drawn with."""
    environment = GRAPHS[name]()
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    together = draw(policy, 12, seed=3)
    apart = draw(policy, 5, seed=3, first=7, batch=2)
    assert torch.equal(together.states[7:], apart.states)
    torch.testing.assert_close(together.log_weight[7:], apart.log_weight)
    with pytest.raises(InputError, match="0 samples"):
        draw(policy, 0)


def test_bounds_enclose_log_z():
    """ELBO below, EUBO above, both equal for the exact policy of equal weights."""
    environment = AdditiveSets(torch.linspace(-1, 1, 8, dtype=DOUBLE), 4)
    policy = NetworkPolicy(environment, hidden=8, generator=seeded(1))
    truth = float(environment.log_partition())
    lower = draw(policy, 500).log_z
    upper = upper_bound(policy, environment.sample(500, seeded(2)), generator=seeded(3))
    assert lower < truth - 0.1
    assert upper > truth + 0.1
    even = AdditiveSets(torch.zeros(6, dtype=DOUBLE), 3)
    blind = NetworkPolicy(even, hidden=4, backward="uniform", generator=seeded(1))
    for parameter in blind.parameters():
        parameter.data.zero_()
    assert draw(blind, 10).log_z == pytest.approx(float(even.log_partition()), abs=1e-5)
    exact = upper_bound(blind, even.sample(10, seeded(4)), generator=seeded(5))
    assert exact == pytest.approx(float(even.log_partition()), abs=1e-5)
