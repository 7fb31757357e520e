"""Conversions among predictions, and rescheduling, against the closed forms between Gaussians."""

import itertools

import pytest
import torch

from gaussian_flows import INTERPOLANTS, TIMES, GaussianPair
from helicell.core.errors import InputError
from helicell.core.paths import (
    Brownian,
    Power,
    Rescheduled,
    convert,
    converted,
    linear,
    one_sided_linear,
    one_sided_trigonometric,
    trigonometric,
    variance_preserving,
)
from helicell.core.paths.conversions import regression_target, score_share
from helicell.core.paths.interpolants import scheduled

KINDS = ("velocity", "score", "denoiser", "x_0", "x_1")
X = torch.tensor([[0.3, -0.8], [1.1, 0.4], [-2.0, 0.0]], dtype=torch.float64)


GAUSSIAN = {name: path for name, path in INTERPOLANTS.items() if path.gaussian_source}
NOISELESS = {name: path for name, path in INTERPOLANTS.items() if not (path.noisy or path.gaussian_source)}
TWO_SIDED = {
    name: path
    for name, path in INTERPOLANTS.items()
    if path.noisy and not path.gaussian_source and "mirror" not in name and name != "encoding-decoding"
}


@pytest.mark.parametrize("path", GAUSSIAN.values(), ids=GAUSSIAN)
def test_with_a_gaussian_source_each_prediction_gives_every_other(path):
    """All conversions among velocity, score and both ends agree with the closed forms."""
    pair = GaussianPair.of(path)
    for t, (given, wanted) in itertools.product(TIMES, itertools.permutations(("velocity", "score", "x_0", "x_1"), 2)):
        fields = pair.fields(path, X, t)
        found = convert(fields[given], wanted, given=given, path=path, x_t=X, t=t)
        torch.testing.assert_close(found, fields[wanted], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("path", NOISELESS.values(), ids=NOISELESS)
def test_without_noise_velocity_and_ends_give_each_other(path):
    """Between any two data sets; the score does not follow, and asking for it is an error."""
    pair = GaussianPair.of(path)
    for t in TIMES:
        fields = pair.fields(path, X, t)
        for given, wanted in itertools.permutations(("velocity", "x_0", "x_1"), 2):
            found = convert(fields[given], wanted, given=given, path=path, x_t=X, t=t)
            torch.testing.assert_close(found, fields[wanted], atol=1e-6, rtol=1e-6)
        with pytest.raises(InputError, match="the score does not follow"):
            convert(fields["velocity"], "score", given="velocity", path=path, x_t=X, t=t)


@pytest.mark.parametrize("path", TWO_SIDED.values(), ids=TWO_SIDED)
def test_with_noise_between_two_data_sets_two_predictions_give_the_rest(path):
    """Score and denoiser are the same; either and the velocity give both ends; the velocity alone gives neither."""
    pair = GaussianPair.of(path)
    for t in TIMES:
        fields = pair.fields(path, X, t)
        for given, wanted in itertools.permutations(("score", "denoiser"), 2):
            found = convert(fields[given], wanted, given=given, path=path, x_t=X, t=t)
            torch.testing.assert_close(found, fields[wanted])
        for known in ("score", "denoiser"):
            for wanted in ("x_0", "x_1"):
                found = convert(
                    fields["velocity"], wanted, given="velocity", path=path, x_t=X, t=t, also={known: fields[known]}
                )
                torch.testing.assert_close(found, fields[wanted], atol=1e-6, rtol=1e-6)
        with pytest.raises(InputError, match="x_1 does not follow"):
            convert(fields["velocity"], "x_1", given="velocity", path=path, x_t=X, t=t)


def test_on_the_mirror_interpolant_the_score_gives_everything():
    """There x_t is x_1 and noise, so the denoiser tells the data and the velocity."""
    path = INTERPOLANTS["mirror, quadratic"]
    pair = GaussianPair.of(path)
    for t in TIMES:
        fields = pair.fields(path, X, t)
        for wanted in ("velocity", "x_1", "denoiser"):
            found = convert(fields["score"], wanted, given="score", path=path, x_t=X, t=t)
            torch.testing.assert_close(found, fields[wanted])


def test_conversions_at_the_ends_are_exact_or_refused():
    """At t = 0 the data follow from the velocity; at t = 1 the score does not, and the error says when."""
    path, x = one_sided_linear(), torch.tensor([[2.0]])
    at_start = convert(torch.tensor([[-1.0]]), "x_1", given="velocity", path=path, x_t=x, t=torch.tensor(0.0))
    assert at_start.item() == pytest.approx(1.0)
    with pytest.raises(InputError, match="at t = 1 on this path"):
        convert(x, "score", given="velocity", path=path, x_t=x, t=torch.tensor([1.0]))
    with pytest.raises(InputError, match="did you mean 'velocity'"):
        convert(x, "velosity", given="score", path=path, x_t=x, t=torch.tensor([0.5]))


def test_each_point_has_its_own_time():
    """A batch of times gives what the times give one by one."""
    path = variance_preserving()
    together = convert(X, "score", given="velocity", path=path, x_t=X, t=TIMES[:3])
    for i in range(3):
        alone = convert(X[i : i + 1], "score", given="velocity", path=path, x_t=X[i : i + 1], t=TIMES[i])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_targets_average_to_the_fields():
    """The mean of a regression target, weighted to one place, is the closed form of the field it is for."""
    path = linear(Brownian())
    pair, t = GaussianPair.of(path), TIMES[1]
    generator = torch.Generator().manual_seed(0)
    sample = path.sample(*pair.draw(50_000, generator), t, generator=generator)
    for kind in KINDS:
        target = regression_target(sample, kind, path=path)
        centred = sample.x_t - sample.x_t.mean(0)
        slope = (centred * target).mean(0) / centred.square().mean(0)
        found = target.mean(0) + slope * (X - sample.x_t.mean(0))
        torch.testing.assert_close(found, pair.fields(path, X, t)[kind], atol=0.1, rtol=0.1)
    with pytest.raises(InputError, match="give it a gamma"):
        regression_target(linear().sample(X, X, t), "denoiser", path=linear())


def test_the_scores_share_of_the_velocity():
    """On the straight one-sided path it is (1 - t) / t."""
    torch.testing.assert_close(score_share(one_sided_linear(), TIMES), (1 - TIMES) / TIMES)


RESCHEDULINGS = [
    (one_sided_linear(), one_sided_trigonometric()),
    (one_sided_trigonometric(), variance_preserving()),
    (linear(), trigonometric()),
    (trigonometric(), scheduled(Power(3.0))),
]


@pytest.mark.parametrize(("old", "new"), RESCHEDULINGS, ids=["to trig", "to VP", "two-sided", "to power"])
def test_a_rescheduled_field_is_that_of_the_new_path(old, new):
    """The velocity of one path between Gaussians, rescheduled, is the closed-form velocity of the other."""
    pair = GaussianPair.of(old)
    field = Rescheduled(lambda x, t: pair.fields(old, x, t)["velocity"], old, new)
    for t in TIMES:
        torch.testing.assert_close(field(X, t), pair.fields(new, X, t)["velocity"], atol=1e-8, rtol=1e-8)
        mean, variance = pair.moments(old, field.time(t))
        torch.testing.assert_close(field.scale(t) * mean, pair.moments(new, t)[0])
        torch.testing.assert_close(field.scale(t) ** 2 * variance, pair.moments(new, t)[1])


def test_a_rescheduled_field_is_finite_at_the_ends():
    """Where the signal-to-noise ratio is infinite too."""
    old, new = one_sided_linear(), one_sided_trigonometric()
    pair = GaussianPair.of(old)
    field = Rescheduled(lambda x, t: pair.fields(old, x, t)["velocity"], old, new)
    for t in torch.tensor([0.0, 1.0], dtype=torch.float64):
        torch.testing.assert_close(field(X, t), pair.fields(new, X, t)["velocity"], atol=1e-6, rtol=1e-6)


def test_noise_between_data_sets_cannot_be_rescheduled():
    """The error says what can."""
    with pytest.raises(InputError, match="without gamma"):
        Rescheduled(lambda x, t: x, linear(Brownian()), trigonometric())


def test_converted_fields_pass_further_arguments_on():
    """A network with a condition stays one."""
    field = converted(lambda x, t, shift: x + shift, "x_1", given="velocity", path=one_sided_linear())
    found = field(X, torch.tensor(0.5), torch.ones(()))
    torch.testing.assert_close(found, X + 0.5 * (X + 1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"value": X[:2]}, r"the velocity has the shape \[2, 2\]"),
        ({"also": {"score": X[:, :1]}}, r"the score has the shape \[3, 1\]"),
        ({"t": torch.full((3,), 1.5)}, r"expected times in \[0, 1\]"),
        ({"t": torch.full((2,), 0.5)}, r"expected \[\] or \[3\]"),
        ({"t": torch.tensor(torch.nan)}, r"expected times in \[0, 1\]"),
        ({"x_t": X[:0], "value": X[:0], "t": torch.zeros(0)}, "one for each point"),
        ({"to": "noise"}, "unknown kind of prediction"),
    ],
)
def test_what_does_not_fit_is_named(change, told):
    """Shapes, times and kinds are checked."""
    arguments = {"value": X, "to": "x_1", "given": "velocity", "x_t": X, "t": torch.tensor(0.5)} | change
    value, to = arguments.pop("value"), arguments.pop("to")
    with pytest.raises(InputError, match=told):
        convert(value, to, path=one_sided_linear(), **arguments)


def test_rescheduled_fields_check_their_times():
    """Times outside of the unit interval have no counterpart on the other path."""
    field = Rescheduled(lambda x, t: x, one_sided_linear(), one_sided_trigonometric())
    with pytest.raises(InputError, match=r"expected times in \[0, 1\]"):
        field(X, torch.tensor(1.2))
