"""Every measure is what SciPy, POT or a closed form says, and is worse for what is worse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import ot
import pytest
import scipy.stats
import torch

from helicell.cells.evaluation.kernel import GAMMAS, published_kernel, published_mmd
from helicell.cells.evaluation.measures import FEATURE_SCORES, MEASURES, find_measure
from helicell.core.errors import InputError


@pytest.fixture
def cells() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Control, predicted and treated cells of 12 features, in different numbers."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.eye(12) + 0.4 * torch.randn(12, 12, generator=generator)
    sizes = (70, 60, 50)
    control, predicted, treated = (torch.randn(size, 12, generator=generator) @ mixing for size in sizes)
    change = torch.linspace(-1, 2, 12)
    return control, predicted + 0.7 * change, treated + change


def measured(name: str, cells: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> float:
    """The measure of this name."""
    return MEASURES[name](*cells)


def test_transport_is_that_of_pot(cells):
    """W1 and the root of the squared W2 of the exact plan between unequal numbers of cells."""
    _, predicted, treated = (sample.double().numpy() for sample in cells)
    masses = np.full(len(predicted), 1 / len(predicted)), np.full(len(treated), 1 / len(treated))
    w1 = ot.emd2(*masses, ot.dist(predicted, treated, metric="euclidean"))
    w2 = math.sqrt(ot.emd2(*masses, ot.dist(predicted, treated, metric="sqeuclidean")))
    assert measured("w1", cells) == pytest.approx(w1, rel=1e-6)
    assert measured("w2", cells) == pytest.approx(w2, rel=1e-6)


def test_transport_and_energy_of_one_feature_are_those_of_scipy():
    """In one dimension SciPy knows W1, and the energy distance as the root of ours."""
    generator = torch.Generator().manual_seed(1)
    one, other = torch.randn(40, 1, generator=generator), 1 + torch.randn(30, 1, generator=generator)
    first, second = one[:, 0].numpy(), other[:, 0].numpy()
    assert measured("w1", (one, one, other)) == pytest.approx(scipy.stats.wasserstein_distance(first, second), rel=1e-5)
    energy = scipy.stats.energy_distance(first, second) ** 2
    assert measured("energy", (one, one, other)) == pytest.approx(energy, rel=1e-5)


def test_mmd_is_the_published_sum(cells):
    """The mean over six gammas of means over all pairs, each pair by itself, the cells with themselves included."""
    _, predicted, treated = (sample.double().numpy() for sample in cells)

    def mean(x: np.ndarray, y: np.ndarray, gamma: float) -> float:
        return float(np.mean([math.exp(-gamma * ((a - b) ** 2).sum()) for a, b in itertools.product(x, y)]))

    expected = np.mean(
        [
            mean(predicted, predicted, gamma) + mean(treated, treated, gamma) - 2 * mean(predicted, treated, gamma)
            for gamma in (2, 1, 0.5, 0.1, 0.01, 0.005)
        ]
    )
    assert measured("mmd", cells) == pytest.approx(expected, rel=1e-9)
    assert published_mmd(cells[1], cells[2]) == pytest.approx(expected, rel=1e-3), "single precision"
    squared = torch.linspace(0, 40, 9, dtype=torch.float64)
    kernel = sum(torch.exp(-gamma * squared) for gamma in GAMMAS) / len(GAMMAS)
    torch.testing.assert_close(published_kernel(squared), kernel)


def test_mmd_of_gaussians_is_known():
    """Between N(0, 1) and N(m, 1) in d dimensions, k of gamma has the mean (1 + 4 g)^-d/2 exp(-g m^2 / (1 + 4 g))."""
    generator = torch.Generator().manual_seed(2)
    count, features, shift = 2000, 3, 1.5
    one, other = torch.randn(2, count, features, generator=generator, dtype=torch.float64)
    other[:, 0] += shift
    widths = [(gamma, (1 + 4 * gamma) ** (-features / 2)) for gamma in GAMMAS]
    within = np.mean([width for _, width in widths])
    between = np.mean([width * math.exp(-gamma * shift**2 / (1 + 4 * gamma)) for gamma, width in widths])
    expected = 2 * (within - between) + 2 / count * (1 - within)
    assert published_mmd(one, other) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("w1", 5.0), ("w2", 5.0), ("mean_error", 5.0), ("sinkhorn", 25.0), ("sliced_w2", math.sqrt(5))],
)
def test_distance_of_moved_cells_is_how_far_they_moved(name, expected):
    """A translation by (3, 4, 0, 0, 0): distances are its length, Sinkhorn's its square, sliced ones a 5th of that."""
    treated = torch.randn(200, 5, generator=torch.Generator().manual_seed(3))
    predicted = treated + torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0])
    # Random directions estimate the sliced distance; the others are exact, Sinkhorn's to its tolerance.
    tolerance = {"sinkhorn": 5e-3, "sliced_w2": 1e-3}.get(name, 1e-5)
    assert measured(name, (treated, predicted, treated)) == pytest.approx(expected, rel=tolerance)


def test_sinkhorn_goes_to_transport_as_its_regularisation_falls(cells, monkeypatch):
    """With a small share it is the squared W2, within its own accuracy."""
    monkeypatch.setattr("helicell.cells.evaluation.measures.SINKHORN_SHARE", 1e-3)
    assert measured("sinkhorn", cells) == pytest.approx(measured("w2", cells) ** 2, rel=0.02)


def test_sliced_distance_is_that_of_pot(cells):
    """Averaged over many more directions, the same number comes out."""
    _, predicted, treated = (sample.double().numpy() for sample in cells)
    expected = ot.sliced_wasserstein_distance(predicted, treated, n_projections=20_000, seed=0)
    assert measured("sliced_w2", cells) == pytest.approx(expected, rel=0.02)


def test_errors_of_moments_are_distances_of_vectors(cells):
    """Means and variances of each feature, as numpy takes them."""
    _, predicted, treated = (sample.double().numpy() for sample in cells)
    means = np.linalg.norm(predicted.mean(axis=0) - treated.mean(axis=0))
    variances = np.linalg.norm(predicted.var(axis=0) - treated.var(axis=0))
    assert measured("mean_error", cells) == pytest.approx(means, rel=1e-9)
    assert measured("variance_error", cells) == pytest.approx(variances, rel=1e-9)


def test_correlation_structure_is_the_published_one(cells):
    """Pearson's correlation of the entries above the diagonals; features that do not vary are left out."""
    _, predicted, treated = (sample.double().numpy() for sample in cells)
    above = np.triu_indices(12, k=1)
    entries = [np.corrcoef(sample.T)[above] for sample in (predicted, treated)]
    expected = scipy.stats.pearsonr(*entries).statistic
    assert measured("correlation", cells) == pytest.approx(expected, rel=1e-9)
    with_constant = tuple(torch.cat((sample, torch.zeros(len(sample), 1)), dim=1) for sample in cells)
    assert measured("correlation", with_constant) == pytest.approx(expected, rel=1e-9)


def test_pearson_of_the_changes_is_that_of_scipy(cells):
    """Changes are from the real control, and both are compared feature by feature."""
    control, predicted, treated = (sample.double().numpy().mean(axis=0) for sample in cells)
    expected = scipy.stats.pearsonr(predicted - control, treated - control).statistic
    assert measured("pearson_delta", cells) == pytest.approx(expected, rel=1e-9)


def test_top_features_are_those_that_change_most_for_their_spread():
    """Of 12 features three are compared: overlap and direction count which were found, and with the right sign."""
    spread = torch.tensor([-1.0, 1.0]).repeat(10)[:, None] * torch.ones(12)
    spread[:, 11] *= 100
    control = spread
    change = torch.zeros(12)
    # The last feature changes most, but varies so much that three others change more for their spread.
    change[0], change[1], change[2], change[11] = 5.0, -4.0, 3.0, 20.0
    treated = control + change
    for predicted_change, overlap, direction in (
        ({0: 1.0, 1: -1.0, 2: 1.0}, 1.0, 1.0),
        ({0: 1.0, 1: 1.0, 7: 1.0}, 2 / 3, 1 / 3),
        ({7: 1.0, 8: 1.0, 9: 1.0}, 0.0, 0.0),
        ({0: -1.0, 1: 1.0, 2: -1.0}, 1.0, 0.0),
    ):
        guess = torch.zeros(12)
        for feature, value in predicted_change.items():
            guess[feature] = value
        sample = (control, control + guess, treated)
        assert measured("top_overlap", sample) == pytest.approx(overlap)
        assert measured("top_direction", sample) == pytest.approx(direction)


def test_perfect_predictions_are_perfect(cells):
    """The treated cells themselves have distance 0 and score 1, by every measure."""
    control, _, treated = cells
    for name, measure in MEASURES.items():
        best = 0.0 if measure.kind == "distance" else 1.0
        # Sinkhorn's iteration ends within a thousandth of what it measures.
        tolerance = 1e-3 if name == "sinkhorn" else 1e-6
        assert measure(control, treated, treated) == pytest.approx(best, abs=tolerance), name


def test_a_better_prediction_is_better_by_every_measure(cells):
    """Halfway to the treated cells is better than a quarter of the way from wrongly turned cells."""
    control, _, treated = cells
    generator = torch.Generator().manual_seed(4)
    near = treated + 0.3 * torch.randn(treated.shape, generator=generator)
    far = control.flip(1) * 2
    for name, measure in MEASURES.items():
        good, bad = (measure(control, predicted, treated) for predicted in (near, far))
        assert (good < bad) if measure.kind == "distance" else (good > bad), name


def test_order_of_the_cells_does_not_matter(cells):
    """Permuting any sample changes nothing beyond rounding."""
    generator = torch.Generator().manual_seed(5)
    permuted = tuple(sample[torch.randperm(len(sample), generator=generator)] for sample in cells)
    for name in MEASURES:
        assert measured(name, permuted) == pytest.approx(measured(name, cells), rel=1e-5), name


def test_what_is_not_defined_is_not_a_number():
    """Correlations of constants, of too few features, of changes that are none."""
    flat = torch.ones(5, 4)
    cells = torch.randn(5, 4, generator=torch.Generator().manual_seed(6))
    assert math.isnan(measured("correlation", (cells, flat, cells)))
    assert math.isnan(measured("correlation", (cells[:, :2], cells[:, :2], cells[:, :2])))
    assert math.isnan(measured("pearson_delta", (cells, cells, cells + 1)))
    assert math.isnan(measured("top_overlap", (cells, cells, cells + 1)))
    assert math.isnan(measured("sinkhorn", (cells, cells, flat)))


def test_names_are_known():
    """Measures are found by name, and a misspelt one is corrected; the scores of features are among them."""
    assert find_measure("w2") is MEASURES["w2"]
    assert set(FEATURE_SCORES) == {name for name, measure in MEASURES.items() if measure.kind == "score"}
    with pytest.raises(InputError, match=r"unknown measure 'energi' \(did you mean 'energy'\?\)"):
        find_measure("energi")
