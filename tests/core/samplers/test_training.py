"""Training: every objective learns, a killed run ends with the same bytes, and broken energies are told of."""

import json

import pytest
import torch

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs.files import sha256
from helicell.core.samplers import training
from helicell.core.samplers.energies import Energy, GaussianMixture
from helicell.core.samplers.metrics import evaluate
from helicell.core.samplers.sampler import load_sampler
from helicell.core.samplers.settings import SamplerSettings, TrainingSettings
from helicell.core.samplers.trainer import Trainer
from helicell.core.samplers.training import train, train_to_folder

ENERGY = GaussianMixture(torch.tensor([[1.5, 0.0], [-1.5, 1.0]]), scale=0.7)
QUICK = {
    "process": {"steps": 8, "variance": 3.0},
    "policy": {"hidden": 16, "layers": 1},
    "training": {"iterations": 120, "batch": 64, "learning_rate": 5e-3, "warm_up": 5},
    "evaluation": {"samples": 300},
}


def settings(**changes):
    """Return quick settings with changes, parts merged."""
    merged = {name: value if not isinstance(value, dict) else dict(value) for name, value in QUICK.items()}
    for name, value in changes.items():
        merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    return SamplerSettings.from_mapping(merged)


@pytest.mark.parametrize("objective", ["tb", "vargrad", "db", "subtb", "fl-db", "fl-subtb", "pis", "dds", "dis"])
def test_every_objective_learns(objective):
    """After a short training the lower bound of log Z is nearer to it than before, and the estimate is right."""
    chosen = settings(objective=objective)
    before = evaluate(Trainer(ENERGY, chosen).sampler, samples=1000, distances=False)
    after = evaluate(train(chosen, energy=ENERGY).average, samples=1000, distances=False)
    assert after.log_z_error < 0.6 * before.log_z_error
    assert abs(after.log_z_rw_error) < 0.25
    assert after.eubo > after.log_z
    assert after.ess > before.ess


def test_likelihood_on_what_replicas_find():
    """Maximum likelihood on backward paths from the chains of a search brings the upper bound down as well."""
    chosen = settings(
        objective="vargrad",
        search={"enabled": True, "every": 20, "steps": 30, "burn_in": 10, "chains": 64, "temperatures": [1.0, 3.0]}
        | {"persistent": True, "likelihood_share": 0.5},
        policy={"langevin": True},
    )
    trainer = train(chosen, energy=ENERGY)
    metrics = evaluate(trainer.average, samples=1000, distances=False)
    assert metrics.eubo_gap < 0.5
    assert trainer.chains.shape == (2, 64, 2)
    assert len(trainer.found) > 64


@pytest.mark.parametrize("killed_at", [7, 12])
def test_a_killed_training_ends_with_the_same_bytes(tmp_path, monkeypatch, killed_at):
    """Interrupted between checkpoints and resumed, with buffers, search and averages: the weights' file is the same."""
    chosen = settings(
        objective="subtb",
        training={"iterations": 16, "checkpoint_every": 5, "exploration": 0.5, "gradient_steps": 2},
        search={"enabled": True, "every": 4, "steps": 6, "burn_in": 2, "chains": 16, "persistent": True},
        process={"random_times": True, "train_steps": 6},
    )
    train_to_folder(chosen, tmp_path / "whole", energy=ENERGY)
    step = Trainer.step

    def dying(self):
        if self.iteration == killed_at:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Trainer, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        train_to_folder(chosen, tmp_path / "killed", energy=ENERGY)
    monkeypatch.setattr(Trainer, "step", step)
    train_to_folder(chosen, tmp_path / "killed", energy=ENERGY, resume=True)
    files = [tmp_path / run / training.MODEL for run in ("whole", "killed")]
    assert sha256(files[0]) == sha256(files[1])
    measured = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", "killed")]
    for metrics in measured:
        metrics.pop("cpu_seconds")
    assert measured[0] == measured[1]
    assert not (tmp_path / "killed" / training.CHECKPOINT).exists()
    # The file is a sampler that samples what the evaluation saw.
    sampler = load_sampler(tmp_path / "whole", energy=ENERGY)
    assert float(sampler.sample(300, seed=0).log_weights.double().mean()) == pytest.approx(
        measured[0]["log_z"], rel=1e-5
    )


def test_forgetting_activations_changes_nothing():
    """Without the record of the rollout the same training comes out, up to rounding."""
    weights = []
    for keep in (True, False):
        chosen = settings(objective="tb", training={"iterations": 5, "keep_activations": keep})
        trainer = train(chosen, energy=ENERGY)
        weights.append(torch.cat([p.detach().flatten() for p in trainer.sampler.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)


def test_a_folder_belongs_to_its_settings(tmp_path):
    """Another training in the same folder is refused, and so is a folder that holds no sampler."""
    chosen = settings(training={"iterations": 2})
    train_to_folder(chosen, tmp_path / "run", energy=ENERGY)
    with pytest.raises(InputError, match="--resume"):
        train_to_folder(chosen, tmp_path / "run", energy=ENERGY)
    with pytest.raises(InputError, match="other settings"):
        train_to_folder(settings(seed=1, training={"iterations": 2}), tmp_path / "run", energy=ENERGY, resume=True)
    with pytest.raises(InputError, match="cannot be read"):
        load_sampler(tmp_path)


class Holes(Energy):
    """A Gaussian that gives NaN on a part of the plane and minus infinity on another."""

    dim = 2
    log_z = None

    def __init__(self, edge):
        self.edge = edge

    def log_reward(self, x, condition=None):
        value = -0.5 * x.square().sum(dim=1)
        value = torch.where(x[:, 0] > self.edge, torch.nan, value)
        return torch.where(x[:, 1] > 1.5, -torch.inf, value)


def test_holes_of_an_energy_are_not_learned_from(tmp_path, caplog):
    """With NaN and infinities on a part of the space training goes on, weights stay finite, and the run says so."""
    chosen = settings(
        training={"iterations": 30},
        policy={"langevin": True},
        search={"enabled": True, "every": 5, "steps": 20} | {"burn_in": 10, "chains": 32},
    )
    metrics = train_to_folder(chosen, tmp_path / "run", energy=Holes(1.0))
    assert "were not finite" in caplog.text
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["energy_rejected"] > 0
    assert 0 < metrics.rejected < 1
    assert torch.isfinite(torch.tensor(metrics.log_z))
    sampler = load_sampler(tmp_path / "run", energy=Holes(1.0))
    assert all(parameter.isfinite().all() for parameter in sampler.parameters())


def test_nothing_but_holes_ends_the_training():
    """An energy that is never finite is told of in one line, and not trained on for ever."""
    with pytest.raises(HelicellError, match="look at the energy"):
        train(settings(), energy=Holes(-torch.inf))


def test_rates_and_exploration_fall():
    """Rates rise over the warm-up and fall over the last share; exploration falls to zero at its share."""
    chosen = TrainingSettings(iterations=100, warm_up=10, decay_share=0.5, exploration=0.4, exploration_share=0.5)
    assert [chosen.rate_factor(i) for i in (4, 30, 75)] == [0.5, 1.0, 0.5]
    assert [chosen.exploration_at(i) for i in (0, 25, 50, 80)] == [0.4, 0.2, 0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": "pis", "search": {"enabled": True}}, "such as tb"),
        ({"objective": "dds", "policy": {"learned_backward": True}}, "such as tb"),
        ({"objective": "mle"}, "switch the search on"),
        ({"search": {"temperatures": [2.0, 1.0]}}, "starts at 1"),
        ({"search": {"steps": 10, "burn_in": 10}}, "make it shorter"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, told):
    """Methods that cannot learn from a buffer, likelihood of nothing, and searches that keep nothing."""
    with pytest.raises(InputError, match=told):
        settings(**changes)


def test_conditional_training():
    """The digits' posterior: paths of one condition are grouped, log Z depends on it, and the bound rises."""
    chosen = SamplerSettings.from_mapping(
        {
            "energy": "digits",
            "objective": "vargrad",
            "policy": {"hidden": 32, "langevin": True},
            "process": {"steps": 10},
            "training": {"iterations": 120, "batch": 100, "learning_rate": 3e-3, "warm_up": 5},
            "search": {"enabled": True, "every": 10, "steps": 6, "burn_in": 3, "chains": 20, "persistent": True}
            | {"temperatures": [1.0, 2.0]},
        }
    )
    before = evaluate(Trainer(training.make_energy("digits"), chosen).sampler, samples=500)
    trainer = train(chosen)
    after = evaluate(trainer.average, samples=500)
    assert after.log_z > before.log_z + 2
    assert (after.log_z_error, after.eubo, after.w2) == (None, None, None)
    # Points are kept with their images, and a replica keeps its image while it moves among temperatures.
    assert trainer.visited.points.shape[1] == trainer.found.points.shape[1] == 74
    points, log_reward = trainer.found.draw(30, torch.Generator().manual_seed(0))
    torch.testing.assert_close(trainer.sampler.energy.log_reward(points[:, :10], points[:, 10:]), log_reward)
    assert torch.equal(trainer.chains[0, :, 10:], trainer.chains[1, :, 10:])
    balance = Trainer(trainer.sampler.energy, SamplerSettings.from_mapping({**chosen.to_mapping(), "objective": "tb"}))
    condition = trainer.sampler.energy.draw_conditions(4, torch.Generator().manual_seed(0))
    assert balance.sampler.log_z(condition).shape == (4,)
    assert balance.step().loss > 0
