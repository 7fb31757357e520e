"""Densities of training times, against SciPy's distributions."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from helicell.core.errors import InputError
from helicell.core.paths import (
    BetaTimes,
    CustomTimes,
    LogitNormalTimes,
    MixtureTimes,
    UniformTimes,
    UShapedTimes,
)


def u_shaped(t, a=4.0):
    """Return the distribution function of the density proportional to e^(a t) + e^(a (1 - t)), integrated by SciPy."""
    density = lambda s: np.exp(a * s) + np.exp(a * (1 - s))  # noqa: E731
    whole = integrate.quad(density, 0, 1)[0]
    return np.array([integrate.quad(density, 0, s)[0] / whole for s in np.atleast_1d(t)])


LAWS = {
    "uniform": (UniformTimes(), stats.uniform.cdf),
    "beta(2, 1)": (BetaTimes(a=2.0), stats.beta(2, 1).cdf),
    "beta(1, 3)": (BetaTimes(b=3.0), stats.beta(1, 3).cdf),
    "beta(1.9, 1.4)": (BetaTimes(1.9, 1.4), stats.beta(1.9, 1.4).cdf),
    "beta(0.5, 0.5)": (BetaTimes(0.5, 0.5), stats.beta(0.5, 0.5).cdf),
    "logit-normal": (LogitNormalTimes(0.3, 1.2), lambda t: stats.norm(0.3, 1.2).cdf(np.log(t / (1 - t)))),
    "U-shaped": (UShapedTimes(), u_shaped),
    "custom": (CustomTimes(lambda t: 1 + t**2), lambda t: (t + t**3 / 3) * 0.75),
    "custom with gaps": (CustomTimes(lambda t: (t > 0.5).double()), lambda t: np.clip(2 * t - 1, 0, 1)),
    "mixture": (
        MixtureTimes(UniformTimes(), BetaTimes(a=2.0), weight=0.3),
        lambda t: 0.3 * np.asarray(t) + 0.7 * np.asarray(t) ** 2,
    ),
}
every = pytest.mark.parametrize(("density", "law"), LAWS.values(), ids=LAWS)


@every
@pytest.mark.parametrize("stratified", [False, True], ids=["plain", "stratified"])
def test_draws_have_the_density(density, law, stratified):
    """Kolmogorov and Smirnov find no difference between 2,000 draws and the distribution function."""
    t = density.sample(2000, generator=torch.Generator().manual_seed(0), stratified=stratified)
    assert t.dtype == torch.float32
    assert stats.kstest(t.double().numpy(), law).pvalue > 0.01


@every
def test_the_inverse_is_exact(density, law):
    """The distribution function of the inverse is the identity, far below what a test of draws can see."""
    if isinstance(density, MixtureTimes):
        pytest.skip("a mixture maps a uniform number in another way")
    # A jump of the density is spread over one of 4,096 cells.
    tolerance = 3e-4 if density is LAWS["custom with gaps"][0] else 2e-6
    u = torch.linspace(0.001, 0.999, 301, dtype=torch.float64)
    np.testing.assert_allclose(law(density.inverse(u).numpy()), u.numpy(), atol=tolerance)


@every
def test_times_stay_inside(density, law):
    """The ends of the unit interval map into it."""
    t = density.inverse(torch.tensor([0.0, 1.0])).clamp(0, 1)
    assert t.isfinite().all()


def test_stratified_draws_fill_every_part():
    """Of 64 stratified draws one falls into each 64th, in random order."""
    t = UniformTimes().sample(64, generator=torch.Generator().manual_seed(1), stratified=True)
    assert sorted((t * 64).long().tolist()) == list(range(64))
    assert t.tolist() != sorted(t.tolist())


def test_a_margin_keeps_both_ends_out():
    """No draw of a density that crowds at both ends comes nearer than the margin, and inner draws do not move."""
    far, near = (
        UShapedTimes(40.0).sample(1000, generator=torch.Generator().manual_seed(0), margin=margin)
        for margin in (0.0, 0.01)
    )
    assert near.min() == 0.01
    assert near.max() == pytest.approx(0.99)
    inside = (far > 0.01) & (far < 0.99)
    assert torch.equal(far[inside], near[inside])


def test_training_of_the_backbones_keeps_its_times():
    """The draws that the shipped protein model was trained with do not change."""
    times = MixtureTimes(UniformTimes(), BetaTimes(a=2.0), weight=0.5)
    t = times.sample(4, generator=torch.Generator().manual_seed(7), stratified=True)
    u = torch.rand(4, generator=(generator := torch.Generator().manual_seed(7)))
    u = (torch.randperm(4, generator=generator) + u) / 4
    assert torch.equal(t, torch.where(u < 0.5, (u / 0.5).clamp(0, 1), ((u - 0.5) / 0.5).clamp(0, 1) ** 0.5))


@pytest.mark.parametrize(
    "make",
    [
        lambda: UniformTimes().sample(0),
        lambda: BetaTimes(a=0.0),
        lambda: LogitNormalTimes(scale=0.0),
        lambda: UShapedTimes(a=-1.0),
        lambda: CustomTimes(lambda t: t - 0.5),
        lambda: CustomTimes(lambda t: t * 0),
        lambda: CustomTimes(lambda t: 1 / t),
        lambda: MixtureTimes(UniformTimes(), UniformTimes(), weight=1.0),
        lambda: LogitNormalTimes(scale=float("inf")),
        lambda: UniformTimes().sample(4, margin=0.5),
        lambda: UniformTimes().sample(4, margin=float("nan")),
    ],
)
def test_bad_densities_are_refused(make):
    """Empty batches, parameters out of range, and densities that are negative, zero or infinite."""
    with pytest.raises(InputError):
        make()
