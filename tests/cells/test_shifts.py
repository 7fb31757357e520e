"""The regression of mean shifts, on responses whose shift is known."""

import pytest
import torch

from helicell.cells.conditions import Conditions
from helicell.cells.references import Moments
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.shifts import ShiftRegression, mean_shifts


def study(donors, slope, *, seed=0):
    """Return responses to two drugs whose shift is the drug's own, plus `slope` times the mean of the controls."""
    generator = torch.Generator().manual_seed(seed)
    effects = {"x": torch.tensor([1.0, 0.0, 0.0]), "y": torch.tensor([0.0, -1.0, 0.5])}
    found = []
    for number in range(donors):
        control = torch.randn(400, 3, generator=generator) + torch.randn(3, generator=generator)
        for drug, effect in effects.items():
            shift = effect + slope * control.mean(dim=0)
            treated = control[torch.randperm(400, generator=generator)] + shift
            found.append(Response(PopulationKey(f"{seed}-{number}", drug), control, treated))
    return found


def error_of(train, test, *, moments):
    """Return the mean squared error of predicted shifts."""
    taken = Moments(3, random_features=0, spread=1.0)
    conditions = Conditions.of([response.key for response in train])
    regression = ShiftRegression(
        len(train),
        features=3,
        moments=moments,
        condition_features=2 * (conditions.treatment_features - 2),
        cell_types=0,
    )

    def looked_at(responses):
        encoded = conditions.encode([response.key for response in responses])
        return torch.stack([taken(response.control) for response in responses]), encoded

    regression.fit(train, *looked_at(train))
    return float((regression(*looked_at(test)) - mean_shifts(test)).square().mean())


@pytest.mark.parametrize(("slope", "most"), [(0.0, 0.005), (0.5, 0.005)])
def test_shifts_that_follow_the_population_are_found(slope, most):
    """On unseen donors, with an effect of the population and without one."""
    assert error_of(study(12, slope), study(5, slope, seed=1), moments=6) < most


def test_without_moments_only_the_mean_of_a_treatment_is_known():
    """A regression that sees no moments misses what the population determines, and nothing else."""
    train, test = study(12, 0.5), study(5, 0.5, seed=1)
    assert error_of(train, test, moments=0) > 20 * error_of(train, test, moments=6)
    assert error_of(study(12, 0.0), study(5, 0.0, seed=1), moments=0) < 0.005
