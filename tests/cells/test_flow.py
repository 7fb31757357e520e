"""`PopulationFlow`: what it learns, what it must not depend on, what it refuses, and that it survives being stored."""

import math

import numpy as np
import pytest
import torch
from anndata import AnnData

from helicell.cells import Columns, PopulationFlow, PopulationFlowSettings, PopulationKey, Response
from helicell.cells.batches import PopulationBatches
from helicell.cells.objective import PopulationObjective
from helicell.cells.populations import Populations
from helicell.core.errors import InputError
from helicell.core.training.loop import minimise

QUICK = {
    "optimiser": {"steps": 60, "warm_up": 10, "average_decay": 0.9, "learning_rate": 3e-3},
    "field": {"width": 32, "layers": 2},
    "encoder": {"kind": "moments", "width": 16, "cells": 64},
    "cells": 64,
    "coupling": {"pool": 64},
    "calibration": {"kind": "none"},
}


def settings_with(**changes):
    """Return quick settings with some parts changed."""
    parts = {
        name: {**QUICK.get(name, {}), **value} if isinstance(value, dict) else value for name, value in changes.items()
    }
    return PopulationFlowSettings.from_mapping({**QUICK, **parts})


def responses(count=6, *, drugs=("x",), cells=150, seed=0):
    """Return populations that shrink to a third about twice their mean, in two dimensions."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        mean = torch.randn(2, generator=generator)
        control = torch.randn(cells, 2, generator=generator) + mean
        for drug in drugs:
            treated = torch.randn(cells - 10, 2, generator=generator) / 3 + 2 * mean
            found.append(Response(PopulationKey(f"{seed}-{number}", drug), control, treated))
    return found


@pytest.fixture(scope="module")
def model():
    """Return a quickly trained model."""
    return PopulationFlow.fit(responses(12), settings_with())


def test_it_learns_a_response_that_depends_on_the_population(model):
    """An unseen population moves and shrinks as its own mean demands."""
    for response in responses(3, seed=9):
        predicted = model.transport(response.control, response.key)
        assert (predicted.mean(dim=0) - response.treated.mean(dim=0)).norm() < 0.35
        assert (predicted.std(dim=0) - 1 / 3).abs().max() < 0.25


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": {"kind": "deep_sets"}},
        {"encoder": {"kind": "attention"}},
        {"encoder": {"kind": "graph", "neighbours": 5}},
        {"encoder": {"kind": "index"}, "shift": {"kind": "learned"}},
        {"encoder": {"kind": "none"}, "shift": {"kind": "learned"}},
        {"field": {"bandwidths": 3, "frequencies": 4, "dropout": 0.1}},
        {"coupling": {"kind": "independent"}},
        {"coupling": {"kind": "unbalanced"}},
        {"path": {"gamma": "quadratic", "scale": 0.5}},
        {"path": {"gamma": "brownian", "scale": 0.5}},
        {"condition": {"dropout": 0.2}},
        {"precision": "bf16-mixed"},
    ],
    ids=str,
)
def test_every_kind_comes_back_from_its_file(changes, tmp_path):
    """A loaded model predicts the same numbers, and is written to the same bytes."""
    changes = {**changes, "optimiser": {"steps": 3, "warm_up": 1}}
    model = PopulationFlow.fit(responses(), settings_with(**changes))
    model.save(tmp_path / "a.safetensors")
    loaded = PopulationFlow.load(tmp_path / "a.safetensors")
    control = responses()[0].control
    assert torch.equal(loaded.transport(control, "x"), model.transport(control, "x"))
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_training_is_repeatable_and_follows_its_seed():
    """The same seed gives the same weights, another one others."""
    weights = [PopulationFlow.fit(responses(), settings_with(), seed=s).network.field.leave.weight for s in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_cell_depends_on_its_population_only_not_on_the_batch(model):
    """Predicted alone, with the population given, or among all others, a cell ends at one place."""
    control = responses()[0].control
    together = model.transport(control, "x")
    alone = model.transport(control[3:4], "x", population=control)
    torch.testing.assert_close(alone, together[3:4], rtol=1e-4, atol=1e-4)
    order = torch.randperm(len(control), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        model.transport(control[order], "x", population=control), together[order], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["moments", "deep_sets", "graph"])
def test_embeddings_are_never_stale(kind):
    """The encoder learns in every step together with the field, and its vectors follow its weights at once."""
    model, batches = PopulationFlow.prepare(responses(), settings_with(encoder={"kind": kind}))
    objective = PopulationObjective(model.network).train().requires_grad_()
    with torch.no_grad():  # the vectors are not looked at before the first step
        model.network.field.steer.weight.normal_(std=0.1)
    encoder = dict(model.network.encoder.named_parameters())
    before = {name: value.detach().clone() for name, value in encoder.items()}
    batch = batches.batch(0)
    first = model.network.encoder(batch.references).detach()
    minimise(objective, iter([batch]), settings_with(optimiser={"steps": 1, "warm_up": 0}).optimiser, seed=0)
    assert all(not torch.equal(before[name], value) for name, value in encoder.items() if value.ndim > 1)
    assert not torch.equal(first, model.network.encoder(batch.references))


def test_batches_depend_on_their_number_alone():
    """A stream that starts at batch 5 gives what one gives that came there; pairs of a plan come up once each."""
    _, first = PopulationFlow.prepare(responses(), settings_with())
    stream = iter(first)
    for _ in range(5):
        next(stream)
    _, second = PopulationFlow.prepare(responses(), settings_with())
    second.load_state_dict({"drawn": 5})
    ours, theirs = next(stream), next(iter(second))
    assert torch.equal(ours.x_0, theirs.x_0)
    assert torch.equal(ours.x_1, theirs.x_1)


def test_transport_pairs_cost_less_than_random_ones():
    """The plan stays within a population: its pairs are nearer than independent ones of the same cells."""
    costs = []
    for kind in ("transport", "independent"):
        _, batches = PopulationFlow.prepare(responses(), settings_with(coupling={"kind": kind}))
        batch = batches.batch(0)
        costs.append(float((batch.x_0 - batch.x_1).square().sum(dim=2).mean()))
    assert costs[0] < 0.7 * costs[1]


def test_given_pairs_need_pairs():
    """Populations without pairs are refused by name."""
    with pytest.raises(InputError, match="not paired"):
        PopulationFlow.prepare(responses(), settings_with(coupling={"kind": "pairs"}))
    paired = [Response(r.key, r.control[:140], r.control[:140] + 1, paired=True) for r in responses()]
    _, batches = PopulationFlow.prepare(paired, settings_with(coupling={"kind": "pairs"}, shift={"kind": "learned"}))
    assert isinstance(batches, PopulationBatches)
    batch = batches.batch(0)
    torch.testing.assert_close(batch.x_1 - batch.x_0, torch.ones_like(batch.x_0))


def test_growth_is_found():
    """Where one of two clusters dies, unbalanced transport gives its cells less mass; a balanced model gives one."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(4):
        left = torch.randn(100, 2, generator=generator) * 0.3
        right = torch.randn(100, 2, generator=generator) * 0.3 + torch.tensor([6.0, 0.0])
        control = torch.cat((left, right))
        treated = torch.cat((left, right[:20])) + 0.05 * torch.randn(120, 2, generator=generator)
        found.append(Response(PopulationKey(f"{number}", "x"), control, treated))
    coupling = {"kind": "unbalanced", "pool": 120, "marginal_weight": 0.05, "regularisation": 0.01}
    model = PopulationFlow.fit(found, settings_with(coupling=coupling, optimiser={"steps": 100}))
    growth = model.growth(found[0].control, "x")
    assert growth[:100].mean() > 1.5 * growth[100:].mean()
    balanced = PopulationFlow.fit(found, settings_with(optimiser={"steps": 1, "warm_up": 0}))
    assert torch.equal(balanced.growth(found[0].control, "x"), torch.ones(200))


def test_guidance_exaggerates_what_the_treatment_adds():
    """Two drugs pull apart further with guidance; without training for it, it is refused."""
    found = responses(8, drugs=("x", "y"))
    found = [Response(r.key, r.control, r.control + (3.0 if r.key.condition == "x" else -3.0)) for r in found]
    model = PopulationFlow.fit(found, settings_with(condition={"dropout": 0.3}))
    control = found[0].control
    apart = [
        (model.transport(control, "x", guidance=w) - model.transport(control, "y", guidance=w)).mean() for w in (1, 2)
    ]
    assert apart[0] == pytest.approx(6, abs=0.5)
    assert apart[1] > 1.3 * apart[0]
    plain = PopulationFlow.fit(found, settings_with(optimiser={"steps": 1, "warm_up": 0}))
    with pytest.raises(InputError, match=r"condition\.dropout"):
        plain.transport(control, "x", guidance=2.0)


def test_noise_keeps_the_distribution():
    """Random and deterministic sampling of a model with gamma end in populations of like mean and spread."""
    model = PopulationFlow.fit(responses(12), settings_with(path={"gamma": "quadratic"}, optimiser={"steps": 150}))
    control = responses(1, seed=9, cells=600)[0].control
    plain, noisy = model.transport(control, "x"), model.transport(control, "x", noise=0.5)
    assert not torch.equal(plain, noisy)
    assert torch.equal(noisy, model.transport(control, "x", noise=0.5))
    torch.testing.assert_close(noisy.mean(dim=0), plain.mean(dim=0), rtol=0, atol=0.15)
    torch.testing.assert_close(noisy.std(dim=0), plain.std(dim=0), rtol=0, atol=0.2)


def test_bad_input_is_refused(model):
    """Missing numbers, other features, no cells, unknown treatments and settings that do not fit."""
    control = responses()[0].control
    with pytest.raises(InputError, match="not finite"):
        model.transport(torch.full((5, 2), math.nan), "x")
    with pytest.raises(InputError, match="3 features, the model 2"):
        model.transport(torch.zeros(5, 3), "x")
    with pytest.raises(InputError, match="shape"):
        model.transport(torch.zeros(0, 2), "x")
    with pytest.raises(InputError, match="'z' was not trained on"):
        model.transport(control, "z")
    with pytest.raises(InputError, match="embeddings"):
        model.transport(control, "z", embeddings={"z": torch.ones(3)})
    with pytest.raises(InputError, match=r"path\.gamma"):
        model.transport(control, "x", noise=1.0)
    with pytest.raises(InputError, match="no population"):
        PopulationFlow.fit([], settings_with())
    broken = Response(PopulationKey("A", "x"), control, torch.full_like(control, math.inf))
    with pytest.raises(InputError, match=r"A / x treated.*not finite"):
        PopulationFlow.fit([broken], settings_with())


def test_an_unseen_drug_is_predicted_by_its_embedding():
    """Shifts that are linear in the embedding carry over to a drug without data, also after saving."""
    directions = {"a": (1.0, 0.0), "b": (0.0, 1.0), "c": (1.0, 1.0), "d": (-1.0, 0.5), "unseen": (0.5, -0.5)}
    embeddings = {name: torch.tensor(vector) for name, vector in directions.items()}
    found = [
        Response(PopulationKey(r.key.donor, name), r.control, r.control + 2 * embeddings[name])
        for r in responses(6)
        for name in ("a", "b", "c", "d")
    ]
    model = PopulationFlow.fit(found, settings_with(), embeddings=embeddings)
    control = responses(1, seed=9)[0].control
    moved = (model.transport(control, "unseen") - control).mean(dim=0)
    torch.testing.assert_close(moved, torch.tensor([1.0, -1.0]), rtol=0, atol=0.4)
    vector = {"later": torch.tensor([0.5, -0.5])}
    torch.testing.assert_close(
        model.transport(control, "later", embeddings=vector), model.transport(control, "unseen"), rtol=0, atol=1e-5
    )


def table(*, cells=40):
    """Return cells of three donors, half of them treated, whose features carry names."""
    rng = np.random.default_rng(0)
    labels = [(donor, drug) for donor in "ABC" for drug in ("none", "x") for _ in range(cells)]
    values = rng.normal(size=(len(labels), 3)) + np.array([[1.0 if drug == "x" else 0.0] for _, drug in labels])
    found = AnnData(values.astype(np.float32))
    found.obs["donor"] = [donor for donor, _ in labels]
    found.obs["drug"] = [drug for _, drug in labels]
    found.var_names = ["one", "two", "three"]
    return found


def test_anndata_in_and_anndata_out():
    """Controls come back treated, in their order and features, with labels and origin; the input is not changed."""
    data = table()
    columns = Columns(donor="donor", condition="drug", control="none")
    model = PopulationFlow.fit(Populations.from_anndata(data, columns), settings_with())
    before = data.copy()
    predicted = model.predict(data[:, ["three", "one", "two"]], "x")
    assert predicted.var_names.tolist() == ["one", "two", "three"]
    assert predicted.obs_names.tolist() == data.obs_names[data.obs["drug"] == "none"].tolist()
    assert set(predicted.obs["drug"]) == {"x"}
    assert abs(predicted.X.mean() - 1) < 0.3
    assert predicted.obsm["X_helicell"].shape == (120, 3)
    assert "trained_on" in predicted.uns["helicell"]
    assert (data.X == before.X).all()
    assert data.obs.equals(before.obs)
    with pytest.raises(InputError, match="two"):
        model.predict(data[:, ["one", "three"]], "x")
    with pytest.raises(InputError, match="'y' was not trained on"):
        model.predict(data, "y")
    with pytest.raises(InputError, match="none"):
        model.predict(data[data.obs["drug"] == "x"], "x")
    with pytest.raises(InputError, match="3 cells"):
        model.predict(data[[*range(3), *range(80, 120)]], "x")
