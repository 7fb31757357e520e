"""Simulated donors: signals in closed form, the response as its formula says, and what only the population knows."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from helicell.cells import Populations, Preprocessing, PreprocessingSettings
from helicell.cells.simulate.donors import COFACTOR, OFFSET, DonorSettings, DonorSimulation
from helicell.core.errors import InputError
from helicell.core.statistics.transport import wasserstein


@pytest.fixture(scope="module")
def simulation() -> DonorSimulation:
    """Return the default simulation with fewer donors."""
    return DonorSimulation.create(DonorSettings(donors=12, cells=1000))


def test_signals_are_the_mean_secretion(simulation: DonorSimulation) -> None:
    """The closed form of the signals is what a large sample of the donor's cells secretes."""
    for donor in range(3):
        states, _ = simulation.draw(donor, 200_000, generator=torch.Generator().manual_seed(donor))
        secreted = simulation.secretion(states.double()).mean(dim=0)
        torch.testing.assert_close(simulation.signals(donor), secreted, atol=4 * 0.5 / math.sqrt(200_000), rtol=0)


def test_the_oracle_is_the_formula(simulation: DonorSimulation) -> None:
    """One cell at a time and in plain numbers, the response is that of the module's first lines."""
    states, _ = simulation.draw(0, 5, generator=torch.Generator().manual_seed(0))
    levels = simulation.signals(0).numpy()
    moved = simulation.oracle(states, "drug2", dose=1.5, signals=simulation.signals(0))
    for cell, result in zip(states.double().numpy(), moved.numpy(), strict=True):
        receptor = cell @ simulation.receptors.weights[1].numpy() + simulation.receptors.offsets[1].item()
        gate = (1 + math.erf(receptor / math.sqrt(2))) / 2
        effect = simulation.effects[1].numpy() + sum(
            (levels[j] - simulation.typical[j].item()) * simulation.modulations[1, j].numpy() for j in range(2)
        )
        np.testing.assert_allclose(result, cell + 1.5 / (1.5 + 0.5) * gate * effect, atol=1e-5)


def test_effects_of_drugs_add_up(simulation: DonorSimulation) -> None:
    """Two drugs move a cell by the sum of what each does, in either order."""
    states, _ = simulation.draw(1, 50, generator=torch.Generator().manual_seed(0))
    levels = simulation.signals(1)
    single = [simulation.oracle(states, drug, signals=levels) - states for drug in ("drug1", "drug3")]
    for condition in ("drug1+drug3", "drug3+drug1"):
        both = simulation.oracle(states, condition, signals=levels) - states
        torch.testing.assert_close(both, single[0] + single[1])


def test_the_oracle_of_a_population_feels_that_population(simulation: DonorSimulation) -> None:
    """Without given levels, cells feel what they themselves secrete; the order of the cells does not matter."""
    states, _ = simulation.draw(2, 4000, generator=torch.Generator().manual_seed(0))
    own = simulation.oracle(states, "drug1")
    torch.testing.assert_close(own, simulation.oracle(states, "drug1", signals=simulation.signals(2)), atol=0.2, rtol=0)
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(simulation.oracle(states[order], "drug1"), own[order])


def test_only_the_population_tells_the_response(simulation: DonorSimulation) -> None:
    """The oracle reaches the floor; the best guess that is blind to the population stays far above 1.25 times it."""
    average = torch.stack([simulation.signals(donor) for donor in range(12)]).mean(dim=0)
    rows = []
    for response in simulation.responses()[::2]:
        donor = [donor.name for donor in simulation.donors].index(response.key.donor)
        generator = torch.Generator().manual_seed(donor)
        fresh, _ = simulation.draw(donor, 500, generator=generator)
        predictions = {
            "oracle": simulation.oracle(
                response.control[:500], response.key.condition, signals=simulation.signals(donor)
            ),
            "own": simulation.oracle(response.control, response.key.condition)[:500],
            "blind": simulation.oracle(response.control[:500], response.key.condition, signals=average),
            "identity": fresh,
            "floor": response.treated[500:],
        }
        rows.append([wasserstein(value, response.treated[:500]) for value in predictions.values()])
    oracle, own, blind, identity, floor = np.mean(rows, axis=0)
    assert oracle == pytest.approx(floor, rel=0.05)
    assert own == pytest.approx(floor, rel=0.05)
    assert blind > 1.4 * floor
    assert identity > 1.4 * floor


def test_without_signalling_donors_respond_alike() -> None:
    """With the strength at zero, the levels of the signals do not matter."""
    simulation = DonorSimulation.create(DonorSettings(signalling=0.0, donors=2))
    states, _ = simulation.draw(0, 20, generator=torch.Generator().manual_seed(0))
    none, all_ = (simulation.oracle(states, "drug1", signals=torch.full((2,), level)) for level in (0.0, 1.0))
    assert torch.equal(none, all_)
    assert not torch.equal(none, states)


def test_cytometry_is_the_state_behind_arcsinh(simulation: DonorSimulation) -> None:
    """The arcsinh of intensities is the state, moved by a constant, plus noise of the given width."""
    adata = simulation.anndata()
    residual = np.arcsinh(adata.X / COFACTOR) - OFFSET - adata.obsm["state"]
    assert residual.std() == pytest.approx(0.1, rel=0.01)
    assert abs(residual.mean()) < 0.001


def test_counts_have_the_given_dispersion() -> None:
    """Counts are whole, and over many cells of one state their variance is mean + dispersion mean^2."""
    simulation = DonorSimulation.create(DonorSettings(measurement="counts", genes=30, dispersion=0.3, donors=2))
    state = simulation.draw(0, 1, generator=torch.Generator().manual_seed(0))[0].expand(40_000, -1)
    counts = simulation.measure(state, generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(counts, counts.round())
    means, variances = counts.mean(dim=0), counts.var(dim=0)
    library = math.exp(0.3**2) - 1  # relative variance of the size of a cell
    expected = means + (0.3 * (1 + library) + library) * means**2
    common = means > 20
    assert common.sum() > 5
    torch.testing.assert_close(variances[common], expected[common], rtol=0.1, atol=0)


def test_as_anndata() -> None:
    """Populations of all donors, drugs, pairs and doses come back from the table; true states are beside them."""
    settings = DonorSettings(donors=3, cells=50, pairs=True, doses=(0.1, 1.0), measurement="counts", genes=20)
    simulation = DonorSimulation.create(settings)
    adata = simulation.anndata()
    populations = Populations.from_anndata(adata, simulation.columns)
    assert populations.conditions == ("drug1", "drug1+drug2", "drug1+drug3", "drug2", "drug2+drug3", "drug3")
    assert len(populations) == 3 * 6 * 2
    truth = {response.key: response for response in simulation.responses()}
    for key in populations:
        assert np.array_equal(adata.obsm["state"][populations.rows(key)], truth[key].treated.numpy())
        assert np.array_equal(adata.obsm["state"][populations.control_rows(key)], truth[key].control.numpy())
    np.testing.assert_allclose(adata.uns["signals"][1], simulation.signals(1).numpy())
    fitted = Preprocessing.fit(PreprocessingSettings(kind="counts", components=5), populations)
    assert populations.responses(fitted)[0].treated.shape == (50, 5)


def test_donors_do_not_depend_on_how_many_there_are() -> None:
    """The first donors of a larger study are those of a smaller one, and another seed gives another study."""
    few, many = (DonorSimulation.create(DonorSettings(donors=count, cells=20)) for count in (2, 4))
    for small, large in zip(few.responses()[:3], many.responses()[:3], strict=True):
        assert torch.equal(small.treated, large.treated)
    other = DonorSimulation.create(DonorSettings(donors=2, cells=20, seed=1))
    assert not torch.equal(other.responses()[0].treated, few.responses()[0].treated)


def test_settings_that_do_not_fit(simulation: DonorSimulation) -> None:
    """Unknown drugs, more signals than cell types, and doses that are none are refused."""
    with pytest.raises(InputError, match=re.escape("unknown drug 'drug4' (did you mean")):
        simulation.oracle(torch.zeros(2, 10), "drug1+drug4")
    with pytest.raises(InputError, match="signals is 5, more than the 4 cell types"):
        DonorSimulation.create(DonorSettings(signals=5))
    for doses in ((0.0, 1.0), (1.0, 1.0)):
        with pytest.raises(InputError, match="expected different numbers above 0"):
            DonorSimulation.create(DonorSettings(doses=doses))
