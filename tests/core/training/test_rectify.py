"""Rectification: pairs, streams, straightness in closed form, and one round that straightens a flow."""

import math

import pytest
import torch
from torch import nn

from helicell.core.dynamics.ode import integrate
from helicell.core.errors import HelicellError, InputError
from helicell.core.paths import GeodesicPath
from helicell.core.spaces import Euclidean, Product, UnitQuaternions, quaternions
from helicell.core.training.batches import FlowBatch
from helicell.core.training.distil import DistilObjective, distil, one_step
from helicell.core.training.loop import minimise
from helicell.core.training.objectives import FlowObjective, SquaredError
from helicell.core.training.rectify import (
    FlowPairs,
    PairBatches,
    generate_pairs,
    invert_data,
    reflow,
    straightness,
)
from helicell.core.training.settings import OptimiserSettings

DOUBLE = torch.float64
SETTINGS = OptimiserSettings(steps=600, learning_rate=3e-3, warm_up=20, decay_share=0.7, average_decay=0.98)


class Network(nn.Module):
    """A velocity network in the plane."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 2)
        )  # fmt: skip

    def forward(self, x, t):
        t = t[:, None]
        return self.layers(torch.cat((x, t, (3 * t).sin(), (3 * t).cos()), dim=1))


def turn(x, t):
    """Return a rigid turn of the plane by pi over the whole time, whose trajectories are half-circles."""
    return math.pi * torch.stack((-x[:, 1], x[:, 0]), dim=1)


def normal(count, seed=0):
    """Draw Gaussian points in the plane."""
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def two_peaks(count, generator):
    """Draw data around (-2, 0) and (2, 0)."""
    side = torch.randint(2, (count, 1), generator=generator) * 4.0 - 2
    return torch.cat((side, torch.zeros_like(side)), dim=1) + 0.3 * torch.randn(count, 2, generator=generator)


def test_pairs_are_ends_of_trajectories():
    """Forwards and backwards the pairs are those of the flow, in the order given, whatever the batch size."""
    x_0 = normal(10)
    pairs = generate_pairs(turn, x_0, times=40, method="rk4", batch_size=3)
    torch.testing.assert_close(pairs.x_1, -x_0, rtol=0, atol=1e-5)
    assert torch.equal(pairs.x_0, x_0)
    back = invert_data(turn, pairs.x_1, times=40, method="rk4", batch_size=4)
    torch.testing.assert_close(back.x_0, x_0, rtol=0, atol=1e-5)
    assert len(pairs.joined(back)) == 20


def test_conditions_follow_their_points():
    """A conditional field gets the condition of each point, and batches carry it on."""
    condition = torch.arange(6.0)

    def field(x, t, condition):
        return condition[:, None].to(x) * torch.ones_like(x)

    pairs = generate_pairs(field, torch.zeros(6, 2), condition=condition, batch_size=4, method="euler", times=2)
    torch.testing.assert_close(pairs.x_1[:, 0], condition)
    batch = next(iter(PairBatches(pairs, batch_size=5, seed=0)))
    torch.testing.assert_close(batch.x_1[:, 0], batch.condition)
    with pytest.raises(InputError, match="cannot be joined"):
        pairs.joined(FlowPairs(pairs.x_0, pairs.x_1))


def test_streams_deal_every_pair_once_a_round_and_resume():
    """A round holds each pair once, rounds differ in their order, and a stream goes on where another stopped."""
    x = torch.arange(12.0).reshape(6, 2)
    stream = PairBatches(FlowPairs(x, x), batch_size=2, seed=1)
    batches = [batch.x_0[:, 0] for batch, _ in zip(stream, range(6), strict=False)]
    for part in (batches[:3], batches[3:]):
        assert sorted(torch.cat(part).tolist()) == x[:, 0].tolist()
    assert not torch.equal(torch.cat(batches[:3]), torch.cat(batches[3:]))
    resumed = PairBatches(FlowPairs(x, x), batch_size=2, seed=1)
    resumed.load_state_dict({"drawn": 4})
    assert torch.equal(next(iter(resumed)).x_0[:, 0], batches[4])


def test_straightness_in_closed_form():
    """Half-circles of radius r: the straight velocity is 2 r, the length pi r, the deviation pi^2 r^2 - 4 r^2."""
    x_0 = normal(200)
    result = straightness(turn, x_0, steps=200)
    mean_square = float(x_0.square().sum(dim=1).mean())
    assert result.deviation == pytest.approx((math.pi**2 - 4) * mean_square, rel=1e-3)
    assert result.curvature == pytest.approx(math.pi**2 / 4 - 1, rel=1e-3)
    assert result.detour == pytest.approx(math.pi / 2 - 1, rel=1e-3)


def test_what_does_not_move_is_straight():
    """A field of zeros has no curvature, not an undefined one."""
    found = straightness(lambda x, t: torch.zeros_like(x), normal(5))
    assert (found.deviation, found.curvature, found.detour) == (0, 0, 0)


def test_geodesics_are_straight_on_every_space():
    """For the geodesic flow to given ends all measures vanish; walked at uneven speed only the detour does."""
    space = Product(Euclidean(), UnitQuaternions())
    generator = torch.Generator().manual_seed(2)
    ends = [
        (torch.randn(5, 3, generator=generator, dtype=DOUBLE),
         UnitQuaternions().project(torch.randn(5, 4, generator=generator, dtype=DOUBLE)))
        for _ in range(2)
    ]  # fmt: skip
    path = GeodesicPath(space)
    even = straightness(lambda x, t: path.velocity(x, ends[1], t), ends[0], space=space, steps=20)
    assert max(even.deviation, even.curvature, abs(even.detour)) < 1e-9

    def uneven(x, t):
        # At the pace t^2: 2 t / (1 - t^2) of what is left.
        log = space.log(x, ends[1])
        return tuple((2 * t / (1 - t**2))[:, None] * part for part in log)

    result = straightness(uneven, ends[0], space=space, steps=400)
    # The mean of (2 t - 1)^2 is 1/3.
    assert result.curvature == pytest.approx(1 / 3, rel=0.02)
    assert abs(result.detour) < 0.01


@pytest.fixture(scope="module")
def flows():
    """Return a flow from independent pairs, its pairs, and the same flow rectified once."""
    torch.manual_seed(0)
    first = Network()

    def batches():
        for step in range(SETTINGS.steps):
            generator = torch.Generator().manual_seed(step)
            yield FlowBatch(two_peaks(256, generator), torch.randn(256, 2, generator=generator))

    losses = minimise(FlowObjective(first, GeodesicPath(Euclidean())), batches(), SETTINGS, seed=0)
    assert sum(losses[-50:]) < 0.8 * sum(losses[:50])
    pairs = generate_pairs(first, normal(4000).float(), times=20)
    return first, pairs, reflow(first, pairs, settings=SETTINGS, seed=0, loss=SquaredError())


def test_one_round_straightens_and_keeps_the_flow(flows):
    """Curvature falls to a tenth, and two steps go where the first flow leads better than its own five did."""
    first, _, second = flows
    x_0 = normal(1000, seed=5).float()
    with torch.no_grad():
        exact = integrate(first, x_0, 50, method="rk4").x
        errors = [
            float((integrate(network, x_0, steps).x - exact).square().sum(dim=1).mean())
            for network, steps in ((second, 2), (first, 5), (first, 2))
        ]
    assert straightness(second, x_0).curvature < 0.1 * straightness(first, x_0).curvature
    assert errors[0] < errors[1] < errors[2], errors


def test_distillation_brings_one_step_nearer(flows):
    """One step of the distilled network lands nearer to the flow's end than one of the rectified network."""
    first, pairs, second = flows
    x_0 = normal(1000, seed=6).float()
    student = distil(second, pairs, settings=SETTINGS, seed=0, loss=SquaredError())
    with torch.no_grad():
        exact = integrate(first, x_0, 50, method="rk4").x
        errors = [(one_step(net, x_0) - exact).square().mean() for net in (second, student)]
    assert errors[1] < 0.8 * errors[0]


def test_rectification_on_rotations():
    """The same code straightens a flow of quaternions: from uniform ones to turns about one axis."""

    class Turning(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(10, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 3))

        def forward(self, q, t):
            seen = torch.cat((quaternions.to_matrix(q).flatten(1), t[:, None]), dim=1)
            return UnitQuaternions().tangent(q, self.layers(seen))

    def data(count, generator):
        vector = torch.zeros(count, 3)
        vector[:, 2] = 2 * math.pi * torch.rand(count, generator=generator)
        return quaternions.from_rotation_vector(vector + 0.1 * torch.randn(count, 3, generator=generator))

    def batches():
        for step in range(500):
            generator = torch.Generator().manual_seed(step)
            yield FlowBatch(data(128, generator), quaternions.random_quaternions((128,), generator=generator))

    torch.manual_seed(1)
    space = UnitQuaternions()
    first, settings = Turning(), OptimiserSettings(steps=500, learning_rate=3e-3, warm_up=20, average_decay=0.95)
    minimise(FlowObjective(first, GeodesicPath(space)), batches(), settings, seed=0)
    noise = quaternions.random_quaternions((2000,), generator=torch.Generator().manual_seed(9))
    pairs = generate_pairs(first, noise, space=space, times=15)
    torch.testing.assert_close(pairs.x_1.norm(dim=1), torch.ones(2000))
    second = reflow(first, pairs, path=GeodesicPath(space), settings=settings, seed=0, loss=SquaredError())
    bends = [straightness(net, noise[:300], space=space, steps=15).curvature for net in (first, second)]
    assert bends[1] < 0.4 * bends[0], bends


def test_objectives_and_the_loop_refuse_bad_input():
    """Pairs that do not fit, batches without noise, streams that end, losses that are not numbers."""
    x = torch.zeros(4, 2)
    with pytest.raises(InputError, match="as many points of one shape"):
        FlowPairs(x, x[:3])
    with pytest.raises(InputError, match="4 pairs and 3 conditions"):
        FlowPairs(x, x, x[:3])
    with pytest.raises(InputError, match="batch size is 9"):
        PairBatches(FlowPairs(x, x), batch_size=9, seed=0)
    with pytest.raises(InputError, match="3 conditions"):
        generate_pairs(turn, x, condition=torch.zeros(3))
    with pytest.raises(InputError, match="has no x_0"):
        DistilObjective(Network())(FlowBatch(x))
    with pytest.raises(InputError, match="one shape"):
        DistilObjective(Network())(FlowBatch(x, x[:2]))
    with pytest.raises(InputError, match="not finite"):
        one_step(Network(), x * torch.nan)
    with pytest.raises(InputError, match="returned the shapes"):
        one_step(lambda x, t: x[:2], x)
    with pytest.raises(InputError, match="those of one space"):
        FlowPairs(x, x).joined(FlowPairs(x[:, :1], x[:, :1]))
    with pytest.raises(InputError, match="number of steps is 0"):
        straightness(turn, x, steps=0)
    with pytest.raises(InputError, match="no parameters to train"):
        minimise(FlowObjective(turn, GeodesicPath(Euclidean())), [x], OptimiserSettings(steps=1), seed=0)
    settings = OptimiserSettings(steps=5)
    objective = FlowObjective(Network(), GeodesicPath(Euclidean()))
    with pytest.raises(HelicellError, match="ended after 2 of 5 steps"):
        minimise(objective, [FlowBatch(x, x)] * 2, settings, seed=0)
    with torch.no_grad():
        objective.network.layers[0].weight.fill_(torch.nan)
    with pytest.raises(HelicellError, match="step 0 is not a number"):
        minimise(objective, [FlowBatch(x, x)] * 5, settings, seed=0)
