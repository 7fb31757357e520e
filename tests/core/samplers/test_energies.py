"""Energies: gradients, log Z and exact samples against oracles; a user's own; values that are no numbers."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad

from helicell.core.errors import InputError
from helicell.core.samplers.energies import (
    CoxProcess,
    DigitPosterior,
    Energy,
    Funnel,
    GaussianMixture,
    ManyWell,
    Target,
    grid_mixture,
    make_energy,
    spread_mixture,
)

DOUBLE = torch.float64
ENERGIES = {
    "gmm9": lambda: grid_mixture(3),
    "gmm25": lambda: grid_mixture(5),
    "funnel": lambda: Funnel(10),
    "easy funnel": lambda: Funnel(4, spread=1.0),
    "many wells": lambda: ManyWell(8),
    "cox": lambda: CoxProcess(5),
    "digits": DigitPosterior,
    "von Mises": lambda: spread_mixture(3),
}


def points(energy, count=6):
    """Return points in double precision, and conditions where there are any."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, energy.dim, generator=generator, dtype=DOUBLE)
    return x, energy.draw_conditions(count, generator)


@pytest.mark.parametrize("name", ENERGIES)
def test_closed_forms_agree_with_automatic_differentiation(name):
    """Values and gradients in closed form are those of `log_reward`, which differences of it confirm."""
    energy = ENERGIES[name]()
    x, condition = points(energy)
    value, gradient = energy.value_and_gradient(x, condition)
    torch.testing.assert_close(value, energy.log_reward(x, condition))
    torch.testing.assert_close(gradient, Energy.value_and_gradient(energy, x, condition)[1])
    step = 1e-6 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    difference = energy.log_reward(x + step, condition) - energy.log_reward(x - step, condition)
    torch.testing.assert_close(difference, 2 * (gradient * step).sum(dim=1), rtol=1e-5, atol=1e-9)


def test_normalising_constants_by_quadrature():
    """Log Z of the mixture, of the funnel in the plane and of a pair of the many wells, by quadrature."""
    for energy, low, high in ((grid_mixture(3), -9, 9), (Funnel(2, spread=1.0), -40, 40)):

        def density(y, x, energy=energy):
            return float(energy.log_reward(torch.tensor([[x, y]], dtype=DOUBLE)).exp())

        if isinstance(energy, Funnel):
            mass = dblquad(lambda y, x: density(y * math.exp(0.5 * x), x) * math.exp(0.5 * x), -7, 7, -9, 9)[0]
        else:
            edges = np.linspace(low, high, 721)
            grid = torch.cartesian_prod(*2 * [torch.from_numpy(edges)])
            mass = float(energy.log_reward(grid).exp().sum()) * (edges[1] - edges[0]) ** 2
        assert mass == pytest.approx(math.exp(energy.log_z), rel=1e-5)
    well = quad(lambda x: math.exp(-(x**4) + 6 * x**2 + x / 2), -6, 6)[0]
    assert well == pytest.approx(11784.5092651, rel=1e-9)
    for dim in (2, 8, 32, 128, 512):
        expected = dim / 2 * (math.log(well) + 0.5 * math.log(2 * math.pi))
        assert ManyWell(dim).log_z == pytest.approx(expected, abs=1e-6 * dim)


@pytest.mark.parametrize("name", ["gmm25", "funnel", "easy funnel", "many wells"])
def test_exact_samples_have_the_density(name):
    """E grad log p = 0 and E x . grad log p = -dim under p, for the exact samples: Stein's identity."""
    energy = ENERGIES[name]()
    x = energy.sample(40_000, torch.Generator().manual_seed(0)).double()
    gradient = energy.value_and_gradient(x)[1]
    for statistic in (gradient, x * gradient + 1):
        error = statistic.std(dim=0) / len(x) ** 0.5
        assert (statistic.mean(dim=0).abs() < 5 * error).all()


def test_the_right_wells_hold_their_share():
    """The published mass of the right well, and the share of exact samples there."""
    energy = ManyWell(4)
    assert energy.right_share == pytest.approx(0.844307, abs=1e-6)
    share = (energy.sample(50_000, torch.Generator().manual_seed(1))[:, 0] > 0).double().mean()
    assert float(share) == pytest.approx(energy.right_share, abs=0.006)


def test_the_modes_are_all_there():
    """Exact samples of the grid mixtures fall on every mode, in equal shares."""
    energy = grid_mixture(5)
    x = energy.sample(25_000, torch.Generator().manual_seed(2))
    counts = torch.bincount(torch.cdist(x, energy.modes).argmin(dim=1), minlength=25)
    statistic = ((counts - 1000.0).square() / 1000).sum()
    assert statistic < 52.6  # the chi-square quantile of 24 degrees at 0.0007


def test_a_posterior_needs_its_images():
    """The digits' decoder reconstructs better than chance, and a posterior without images is refused."""
    energy = DigitPosterior()
    assert energy.held_out.shape == (297, 64)
    images = energy.held_out[:50]
    # The best of many latents from the prior explains an image better than a flat guess of each pixel's mean.
    latents = torch.randn(400, energy.dim, generator=torch.Generator().manual_seed(0))
    best = torch.stack([energy.log_reward(latents, image.expand(400, -1)).max() for image in images])
    mean = energy._images.mean(dim=0).clamp(1e-5, 1 - 1e-5)
    flat = (images * mean.log() + (1 - images) * (1 - mean).log()).sum(dim=1)
    prior = -0.5 * energy.dim * math.log(2 * math.pi)
    assert (best - prior > flat).double().mean() > 0.8
    with pytest.raises(InputError, match="an image for each latent"):
        energy.log_reward(latents)


def test_a_user_energy_by_its_path(tmp_path, monkeypatch):
    """An object, or a class, in a module or a file of the working directory; gradients by automatic differentiation."""
    (tmp_path / "my_energy.py").write_text(
        "class Ring:\n    dim = 2\n    log_z = 0.5\n    def log_reward(self, x):\n"
        "        return -(x.square().sum(dim=1) - 1).square()\nring = Ring()\nnothing = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    x = torch.tensor([[1.0, 1.0]])
    for path in ("my_energy:ring", "my_energy:Ring", "my_energy.py:ring"):
        energy = make_energy(path)
        assert (energy.dim, energy.log_z, energy.has_samples) == (2, 0.5, False)
        value, gradient = energy.value_and_gradient(x)
        torch.testing.assert_close(value, torch.tensor([-1.0]))
        torch.testing.assert_close(gradient, torch.tensor([[-4.0, -4.0]]))
    for path, told in (
        ("my_energy:missing", "no attribute"),
        ("my_energy:nothing", "log_reward"),
        ("no_such_module:ring", "cannot be imported"),
        ("nofile.py:ring", "does not exist"),
        ("my_energy:", "module:attribute"),
    ):
        with pytest.raises(InputError, match=told):
            make_energy(path)


def test_what_is_no_number_is_found_and_counted():
    """NaN and infinities come out as minus infinity with a zero gradient, and are counted; wrong shapes are refused."""

    class Broken(Energy):
        dim = 1

        def log_reward(self, x, condition=None):
            return torch.where(x[:, 0] > 1, torch.nan, torch.where(x[:, 0] < -1, torch.inf, -x[:, 0].square()))

    target = Target(Broken())
    found = target.evaluate(torch.tensor([[0.5], [2.0], [-2.0]]), gradient=True)
    assert found.finite.tolist() == [True, False, False]
    assert found.log_reward.tolist() == [-0.25, -math.inf, -math.inf]
    assert found.gradient.isfinite().all()
    assert (target.calls, target.rejected) == (3, 2)

    class Wide(Energy):
        dim = 1

        def log_reward(self, x, condition=None):
            return x

    with pytest.raises(InputError, match="one number a point"):
        Target(Wide()).evaluate(torch.zeros(3, 1))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: make_energy("gmm24"), "did you mean 'gmm25'"),
        (lambda: make_energy("gmm25", 3), "leave --dim out"),
        (lambda: ManyWell(3), "even number"),
        (lambda: Funnel(1), "dim >= 2"),
        (lambda: CoxProcess(1), "2 or more"),
        (lambda: CoxProcess(2, counts=torch.zeros(3)), "one for each cell"),
        (lambda: GaussianMixture(torch.zeros(2, 1), scale=0.0), "positive scale"),
        (lambda: CoxProcess(3).sample(2), "no exact samples"),
    ],
)
def test_bad_energies_are_refused(call, told):
    """Unknown names, impossible dimensions and wrong shapes."""
    with pytest.raises(InputError, match=told):
        call()
