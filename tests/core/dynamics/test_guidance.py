"""Guidance, on fields that are known in closed form."""

import itertools

import pytest
import torch

from helicell.core.dynamics.guidance import Adaptive, ClassifierFree, Projected, RewardGradient
from helicell.core.dynamics.ode import integrate
from helicell.core.errors import InputError
from helicell.core.paths import convert, converted, linear, one_sided_linear
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions

DOUBLE = torch.float64
CENTRES = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], dtype=DOUBLE)
SPREAD = 0.3


def mixture_data(x, t, weights):
    """Return E[x_1 | x_t] on the one-sided linear path to a mixture of normals around the centres."""
    t = t[..., None, None]
    variance = (1 - t) ** 2 + t**2 * SPREAD**2
    log_share = (-(x[:, None] - t * CENTRES).square() / (2 * variance)).sum(-1) + weights.log()
    share = log_share.softmax(1)
    per_centre = CENTRES + (t * SPREAD**2 / variance) * (x[:, None] - t * CENTRES)
    return (share[..., None] * per_centre).sum(1)


ALL = torch.full((4,), 0.25, dtype=DOUBLE)
UPPER = torch.tensor([0.9, 0.1, 1e-9, 1e-9], dtype=DOUBLE)
PATH = one_sided_linear()
CONDITIONAL = converted(lambda x, t: mixture_data(x, t, UPPER), "velocity", given="x_1", path=PATH)
UNCONDITIONAL = converted(lambda x, t: mixture_data(x, t, ALL), "velocity", given="x_1", path=PATH)


HALF = torch.tensor(0.5, dtype=DOUBLE)


def twice(guided):
    """Call a guided field for one batch and, without a reset, for another."""
    guided(noise(4), HALF)
    guided(noise(3), HALF)


def noise(count, seed=0):
    """Return standard normal points."""
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def follow(field, x, steps=50, until=0.99):
    """Return where Heun's method arrives at a time short of 1, at which the reward's share is still finite."""
    times = torch.linspace(0, until, steps + 1, dtype=DOUBLE)
    for t, s in itertools.pairwise(times):
        first = field(x, t)
        x = x + (s - t) * 0.5 * (first + field(x + (s - t) * first, s))
    return x


def euler(field, x, steps=40):
    """Return the end of Euler's method, with one evaluation a step."""
    times = torch.linspace(0, 1, steps + 1, dtype=DOUBLE)
    for t, s in itertools.pairwise(times):
        x = x + (s - t) * field(x, t)
    return x


def test_classifier_free_guidance_extrapolates():
    """Scale 0 is the unconditional field, 1 the conditional one alone, 3 goes on by twice the difference."""
    x, t = noise(5), torch.tensor(0.4, dtype=DOUBLE)
    c, u = CONDITIONAL(x, t), UNCONDITIONAL(x, t)
    torch.testing.assert_close(ClassifierFree(CONDITIONAL, UNCONDITIONAL, scale=0.0)(x, t), u)
    torch.testing.assert_close(ClassifierFree(CONDITIONAL, UNCONDITIONAL, scale=3.0)(x, t), u + 3 * (c - u))

    def forbidden(x, t):
        raise AssertionError

    torch.testing.assert_close(ClassifierFree(CONDITIONAL, forbidden, scale=1.0)(x, t), c)


def test_adaptive_guidance_saves_a_quarter_at_equal_output():
    """With 40 steps and scale 2, at least 25 % of the evaluations are saved, and no sample of 500 moves by more than
    0.5 % of the width of the data.
    """  # noqa: D205
    start = noise(500)
    plain = euler(ClassifierFree(CONDITIONAL, UNCONDITIONAL, scale=2.0), start)
    adaptive = Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0)
    width = float(CENTRES.norm(dim=1).mean())
    moved = (euler(adaptive, start) - plain).norm(dim=1) / width
    print(f"saved {adaptive.saved:.1%}, moved {moved.mean():.2%} on average, {moved.max():.2%} at most")
    assert adaptive.saved >= 0.25
    assert moved.max() < 0.005
    assert adaptive.evaluations == round((1 - adaptive.saved) * 2 * 40 * 500)


def test_adaptive_guidance_judges_each_point_by_itself():
    """A point ends in the same place alone as in a batch, and a threshold of 1 never stops guiding."""
    start = noise(20)
    together = euler(Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0), start)
    alone = euler(Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0), start[7:8])
    torch.testing.assert_close(together[7:8], alone)
    never = Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0, threshold=1.0)
    times = torch.full((20,), 0.5, dtype=DOUBLE)
    plain = ClassifierFree(CONDITIONAL, UNCONDITIONAL, scale=2.0)
    torch.testing.assert_close(never(start, times), plain(start, times[0]))
    never.reset()
    assert never.evaluations == 0
    assert never.saved == 0


def test_guidance_of_frames():
    """On R^3 x S^3 both factors are guided, a solver stays on the space, and agreement is judged over both."""
    space = Product(Euclidean(), UnitQuaternions())

    def towards(point, angle):
        end = quaternions.from_rotation_vector(torch.tensor([0.0, 0.0, angle], dtype=DOUBLE))

        def velocity(x, t):
            left = (1 - t)[:, None]
            log = space.log(x, (torch.full_like(x[0], point), end.expand_as(x[1])))
            return log[0] / left, log[1] / left

        return velocity

    start = (torch.zeros(3, 3, dtype=DOUBLE), torch.tensor([[1.0, 0, 0, 0]], dtype=DOUBLE).repeat(3, 1))
    c, u = towards(2.0, 0.6), towards(1.0, 0.2)
    end = integrate(ClassifierFree(c, u, scale=2.0), start, torch.linspace(0, 0.9, 20), space=space, method="heun").x
    torch.testing.assert_close(end[0], torch.full_like(end[0], 3 * 0.9), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        space.factors[1].distance(start[1], end[1]), torch.full((3,), 0.9, dtype=DOUBLE), rtol=0, atol=1e-6
    )
    always, never = (Adaptive(c, u, scale=2.0, threshold=threshold) for threshold in (1.0, 0.01))
    t = torch.full((3,), 0.5, dtype=DOUBLE)
    torch.testing.assert_close(always(start, t), ClassifierFree(c, u, scale=2.0)(start, t))
    never(start, t)
    torch.testing.assert_close(never(start, t), c(start, t))
    assert (always.evaluations, never.evaluations) == (6, 9)


def test_projected_guidance_without_projection_is_classifier_free():
    """With the parallel part kept, no limit and no momentum, velocities are those of plain guidance."""
    data = [lambda x, t, w=w: mixture_data(x, t, w) for w in (UPPER, ALL)]
    projected = Projected(*data, scale=2.5, parallel=1.0, momentum=0.0)
    field = converted(projected, "velocity", given="x_1", path=PATH)
    x, t = noise(6), torch.tensor(0.3, dtype=DOUBLE)
    torch.testing.assert_close(field(x, t), ClassifierFree(CONDITIONAL, UNCONDITIONAL, scale=2.5)(x, t))


def test_projected_guidance_turns_but_does_not_lengthen():
    """Without its parallel part guidance adds nothing along the prediction; the limit and the momentum are as told."""
    c, u = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, -1.0], [0.0, 1.9]])
    projected = Projected(lambda x, t: c, lambda x, t: u, scale=3.0, momentum=0.0)
    t = torch.tensor(0.5)
    torch.testing.assert_close(projected(c, t), torch.tensor([[3.0, 2.0], [0.0, 2.0]]))
    limited = Projected(lambda x, t: c, lambda x, t: u, scale=3.0, parallel=1.0, radius=0.5, momentum=0.0)
    torch.testing.assert_close((limited(c, t) - c).norm(dim=1), torch.tensor([1.0, 0.2]))
    pushed = Projected(lambda x, t: c, lambda x, t: u, scale=2.0, parallel=1.0, momentum=-0.5)
    torch.testing.assert_close(pushed(c, t), 2 * c - u)
    torch.testing.assert_close(pushed(c, t), c + 0.5 * (c - u))
    pushed.reset()
    torch.testing.assert_close(pushed(c, t), 2 * c - u)


def test_a_linear_reward_tilts_gaussian_data_exactly():
    """Data N(m, v) with reward a x come out as N(m + v a, v): the closed form of the tilted density."""
    mean, variance = torch.tensor([1.0, -0.5], dtype=DOUBLE), torch.tensor([0.5, 1.5], dtype=DOUBLE)
    pull = torch.tensor([0.8, -0.4], dtype=DOUBLE)

    def velocity(x, t):
        gain = t * variance / ((1 - t) ** 2 + t**2 * variance)
        return convert(mean + gain * (x - t * mean), "velocity", given="x_1", path=PATH, x_t=x, t=t)

    guided = RewardGradient(velocity, lambda x: x @ pull, path=PATH, scale=1.0)
    start = noise(2000)
    end = follow(guided, torch.cat((start, -start)), steps=100, until=0.999)
    torch.testing.assert_close(end.mean(0), mean + variance * pull, atol=0.01, rtol=0)
    torch.testing.assert_close(end.var(0), variance, atol=0.06, rtol=0.06)


def test_a_reward_moves_a_mixture_towards_it():
    """The share of the rewarded half grows, and samples stay where the data are."""
    start = noise(400)
    field = RewardGradient(UNCONDITIONAL, lambda x: 2 * x[:, 0], path=PATH)
    plain, guided = follow(UNCONDITIONAL, start), follow(field, start)
    assert (guided[:, 0] > 0).double().mean() > 0.75 > 0.6 > (plain[:, 0] > 0).double().mean()
    assert torch.cdist(guided, CENTRES).amin(1).median() < 3 * SPREAD


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0, threshold=1.5), "at most 1"),
        (lambda: Projected(CONDITIONAL, UNCONDITIONAL, scale=2.0, radius=0.0), "None for no limit"),
        (lambda: RewardGradient(CONDITIONAL, lambda x: x, path=linear()), "one_sided_linear"),
        (lambda: RewardGradient(CONDITIONAL, lambda x: x, path=PATH)(noise(3), HALF), r"expected \[3\]"),
        (lambda: RewardGradient(CONDITIONAL, lambda x: HALF.expand(3), path=PATH)(noise(3), HALF), "differentiable"),
        (lambda: ClassifierFree(CONDITIONAL, lambda x, t: x[:2], scale=2.0)(noise(3), HALF), r"shapes \[\[2, 2\]\]"),
        (lambda: twice(Adaptive(CONDITIONAL, UNCONDITIONAL, scale=2.0)), "3 points, and had 4 before"),
        (lambda: twice(Projected(CONDITIONAL, UNCONDITIONAL, scale=2.0)), r"\[3, 2\], and had \[4, 2\] before"),
    ],
)
def test_bad_guidance_is_refused(call, told):
    """Options out of range, paths without a Gaussian source, rewards and fields that do not fit, two batches in one."""
    with pytest.raises(InputError, match=told):
        call()
