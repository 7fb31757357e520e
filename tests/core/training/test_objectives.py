"""Objectives: their minimum, their variance, and what they are given."""

import geoopt
import pytest
import torch
from torch import nn

from gaussian_flows import GaussianPair
from helicell.core.errors import HelicellError, InputError, MissingPackageError
from helicell.core.paths import (
    Brownian,
    ExactTransport,
    GeodesicPath,
    UShapedTimes,
    WithinLabels,
    linear,
    one_sided_linear,
    trigonometric,
)
from helicell.core.spaces import Euclidean, Manifold, Product, UnitQuaternions, quaternions
from helicell.core.training.batches import FlowBatch, PooledPairs
from helicell.core.training.objectives import ConditionDropout, FlowObjective, PseudoHuber, SquaredError
from helicell.core.training.optimisers import adamw


def generator(seed=0):
    """Return a seeded stream."""
    return torch.Generator().manual_seed(seed)


class Shifted(nn.Module):
    """The closed-form field between Gaussians plus a learnable constant, whose gradient is then zero on the average."""

    def __init__(self, path, kind):
        super().__init__()
        self.path, self.kind, self.pair = path, kind, GaussianPair.of(path)
        self.shift = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.slope = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x, t):
        t = t.double()[:, None]
        field = self.pair.fields(self.path, x, t)[self.kind]
        return field + self.shift + self.slope * x


def gradient(path, kind, count, *, seed=0, antithetic=False):
    """Return the gradient of the loss at the closed-form field."""
    network = Shifted(path, kind)
    pair, stream = network.pair, generator(seed)
    x_0, x_1 = pair.draw(count, stream)
    objective = FlowObjective(network, path, predict=kind, antithetic=antithetic)
    objective(FlowBatch(x_1, x_0), stream)["loss"].backward()
    return torch.cat((network.shift.grad, network.slope.grad[None]))


@pytest.mark.parametrize("kind", ["velocity", "score", "denoiser", "x_0", "x_1"])
@pytest.mark.parametrize("antithetic", [False, True], ids=["plain", "antithetic"])
def test_the_closed_form_field_is_the_minimum(kind, antithetic):
    """The gradient of every objective vanishes at the true field of a noisy path, up to the noise of the sample."""
    found = gradient(trigonometric(Brownian()), kind, 40_000, antithetic=antithetic)
    one_batch = gradient(trigonometric(Brownian()), kind, 100, antithetic=antithetic)
    # The standard error falls by 20 from 100 to 40,000 examples.
    assert found.norm() < max(one_batch.norm() / 4, 0.15)


def test_the_score_of_a_one_sided_path_is_learned_from_its_source():
    """Without gamma the target is -x_0 / alpha."""
    assert gradient(one_sided_linear(), "x_1", 40_000).norm() < 0.05


@pytest.mark.parametrize("kind", ["velocity", "score"])
def test_antithetic_pairs_lower_the_variance(kind):
    """With gamma sqrt(t (1 - t)), whose slope is infinite at the ends, by more than the doubled work costs."""
    path = linear(Brownian())
    spread = [
        torch.stack([gradient(path, kind, 64, seed=seed, antithetic=choice) for seed in range(40)]).var(0).sum()
        for choice in (False, True)
    ]
    assert spread[0] > 2 * spread[1]


def test_losses_are_those_of_the_formulas():
    """Squared error over d, and the pseudo-Huber loss with c = 0.00054 d."""
    squared = torch.tensor([0.0, 1e-8, 4.0])
    assert torch.equal(SquaredError()(squared, 8), squared / 8)
    c = 0.00054 * 8
    torch.testing.assert_close(PseudoHuber()(squared, 8), ((squared + c * c).sqrt() - c) / 8)
    assert PseudoHuber(constant=1.0)(torch.tensor(3.0), 2).item() == pytest.approx(0.5)


def test_weights_and_times_reach_the_loss():
    """With a network that predicts zero, the loss is the weighted mean of the squared target over the times."""
    x_0, x_1 = torch.zeros(5000, 1), torch.ones(5000, 1)
    weighted = FlowObjective(lambda x, t: torch.zeros_like(x), linear(), weight=lambda t: t, times=UShapedTimes())
    loss = weighted(FlowBatch(x_1, x_0), generator())["loss"]
    assert loss.item() == pytest.approx(0.5, abs=0.01)


def test_draws_depend_on_the_generator_alone():
    """Equal streams give equal losses, whatever was drawn before."""
    objective = FlowObjective(lambda x, t: x, linear(Brownian()), coupling=ExactTransport())
    x_1 = torch.randn(16, 2, generator=generator(1))
    first = objective(x_1, generator())["loss"]
    torch.rand(3)
    assert torch.equal(first, objective(x_1, generator())["loss"])


def test_conditions_follow_their_points_through_the_coupling():
    """The network sees each x_1 with its own condition, coupled within labels."""
    labels = torch.arange(30) % 3
    seen = {}

    def network(x, t, condition):
        seen["condition"] = condition
        seen["x_1"] = x
        return torch.zeros_like(x)

    late = FlowObjective(network, one_sided_linear(), coupling=WithinLabels(ExactTransport()), times=Late())
    late(FlowBatch(labels[:, None].float() * 100, condition=labels), generator())
    torch.testing.assert_close(seen["x_1"].squeeze(1), seen["condition"] * 100.0, atol=0.1, rtol=0)


class Late(UShapedTimes):
    """Times at the data."""

    def inverse(self, u):
        return torch.ones_like(u)


def test_condition_dropout_replaces_the_asked_share():
    """About the share of the rows becomes the null condition, whole rows at a time, by the generator."""
    dropout = ConditionDropout(0.3, null=torch.tensor([-1.0, -2.0]))
    condition = torch.randn(4000, 2, generator=generator())
    dropped = dropout(condition, generator(1))
    changed = (dropped != condition).all(dim=1)
    assert torch.equal(changed, (dropped != condition).any(dim=1))
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (dropped[changed] == torch.tensor([-1.0, -2.0])).all()
    assert torch.equal(dropped, dropout(condition, generator(1)))


@pytest.mark.parametrize("space", [Manifold(geoopt.Sphere()), UnitQuaternions(), Manifold(geoopt.PoincareBall())])
def test_on_a_manifold_the_error_is_measured_by_its_metric(space):
    """For a network that predicts zero the loss is the mean squared distance of the ends, per coordinate."""
    x_0, x_1 = (0.5 * torch.nn.functional.normalize(torch.randn(2, 8, 4, generator=generator()), dim=-1)).double()
    if not isinstance(getattr(space, "manifold", None), geoopt.PoincareBall):
        x_0, x_1 = 2 * x_0, 2 * x_1
    objective = FlowObjective(lambda x, t: torch.zeros_like(x), GeodesicPath(space))
    loss = objective(FlowBatch(x_1, x_0), generator())["loss"]
    torch.testing.assert_close(loss, space.distance(x_0, x_1).square().mean() / 4, rtol=1e-4, atol=1e-6)


def test_products_are_trained_like_single_spaces():
    """Frames of several residues: the squared errors of both factors and all residues add up."""
    space = Product(Euclidean(), UnitQuaternions())
    x_0, x_1 = (
        (torch.randn(6, 5, 3, generator=generator(k)), quaternions.random_quaternions((6, 5), generator=generator(k)))
        for k in (1, 2)
    )
    objective = FlowObjective(lambda x, t: tuple(torch.zeros_like(part) for part in x), GeodesicPath(space))
    loss = objective(FlowBatch(x_1, x_0), generator())["loss"]
    wanted = space.distance(x_0, x_1).square().sum(dim=1).mean() / 35
    torch.testing.assert_close(loss, wanted, rtol=1e-3, atol=1e-4)


def test_a_pooled_plan_is_cheaper_than_plans_of_batches():
    """Between equal distributions, where all cost is due to the batches, one plan over eight of them costs less.

    Every x_1 keeps its condition.
    """

    def noise(count, stream):
        return torch.randn(count, 8, generator=stream)

    def data(count, stream):
        x_1 = torch.randn(count, 8, generator=stream)
        return x_1, x_1[:, 0] > 0

    def cost(batches):
        stream = iter(PooledPairs(noise, data, coupling=ExactTransport(), batch_size=32, batches=batches, seed=0))
        drawn = [next(stream) for _ in range(16)]
        for batch in drawn:
            assert batch.x_1.shape == (32, 8)
            assert torch.equal(batch.condition, batch.x_1[:, 0] > 0)
        return sum(float((batch.x_1 - batch.x_0).square().sum(1).mean()) for batch in drawn)

    assert cost(8) < 0.9 * cost(1)


def test_a_pooled_stream_resumes_where_it_was():
    """The position is the stream's state."""

    def make():
        def draw(count, stream):
            return torch.randn(count, 2, generator=stream)

        return PooledPairs(draw, draw, coupling=ExactTransport(), batch_size=8, batches=3, seed=1)

    whole = iter(make())
    batches = [next(whole) for _ in range(7)]
    first = make()
    one = iter(first)
    for _ in range(4):
        next(one)
    second = make()
    second.load_state_dict(first.state_dict())
    other = iter(second)
    for k in range(4, 7):
        assert torch.equal(next(other).x_0, batches[k].x_0)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: FlowObjective(zero, linear(), antithetic=True), "give it a gamma"),
        (lambda: FlowObjective(zero, GeodesicPath(Euclidean()), predict="x_1"), "take an interpolant"),
        (lambda: FlowObjective(zero, linear())(torch.zeros(0, 2), generator()), "at least one point"),
        (lambda: FlowObjective(zero, linear())(torch.full((4, 2), torch.nan), generator()), "not finite"),
        (lambda: FlowObjective(zero, linear())(torch.full((4, 2), torch.inf), generator()), "x_1 holds 8 numbers"),
        (lambda: FlowObjective(zero, linear())(FlowBatch(torch.zeros(4, 2), torch.zeros(3, 2))), "one shape"),
        (lambda: FlowObjective(told, linear())(FlowBatch(X, condition=torch.zeros(3))), "one for each x_1"),
        (lambda: FlowObjective(told, linear())(FlowBatch(X, condition=X[:, 0] / 0)), "the condition holds 4 numbers"),
        (lambda: FlowObjective(zero, linear(), predict="noise")(torch.zeros(4, 2)), "unknown kind of prediction"),
        (lambda: FlowObjective(zero, linear())(torch.zeros(4, 2, dtype=torch.int64)), "floating-point"),
        (lambda: FlowObjective(zero, linear())(FlowBatch((X, X), (X, X))), "take a Product"),
        (lambda: FlowObjective(lambda x, t: x[:, :1], linear())(X), "returned the shapes"),
        (lambda: FlowObjective(lambda x, t: None, linear())(X), "NoneType"),
        (lambda: FlowObjective(lambda x, t: x[:, :1], GeodesicPath(Euclidean()))(X), "returned the shapes"),
        (lambda: FlowObjective(zero, linear(), weight=lambda t: torch.ones(3))(X), "one for each time"),
        (lambda: ConditionDropout(0.5, null=torch.zeros(3))(X, generator()), "the null condition has the shape"),
        (lambda: PseudoHuber(constant=0.0), "positive number"),
        (lambda: ConditionDropout(1.5), "expected 0 to 1"),
        (lambda: adamw([nn.Parameter(torch.zeros(2, 2))], learning_rate=1e-3, state_bits=4), "choose 32 or 8"),
        (lambda: PooledPairs(zero, zero, coupling=ExactTransport(), batch_size=0, batches=1, seed=0), "is empty"),
    ],
)
def test_bad_input_is_named(call, told):
    """What does not fit together, empty batches and numbers that are not finite are input errors."""
    with pytest.raises(InputError, match=told):
        call()


X = torch.zeros(4, 2)


def zero(x, t):
    """Return the zero field."""
    return torch.zeros_like(x)


def told(x, t, condition):
    """Return a field that is the condition."""
    return condition[:, None].expand_as(x)


def test_matrices_alone_are_decayed():
    """Vectors, such as biases and norms, are left out of the weight decay."""
    module = nn.Linear(3, 2)
    optimiser = adamw(module.parameters(), learning_rate=1e-3, weight_decay=0.1)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimiser.param_groups] == [(1, 0.1), (1, 0.0)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_eight_bits_without_a_gpu_say_what_is_missing():
    """Either the package or the GPU is named, not a failure deep inside."""
    with pytest.raises(HelicellError) as raised:
        adamw([nn.Parameter(torch.zeros(2, 2))], learning_rate=1e-3, state_bits=8)
    assert isinstance(raised.value, MissingPackageError) or "GPU" in str(raised.value)


@pytest.mark.gpu
def test_eight_bits_learn_like_thirty_two():
    """On a GPU the eight-bit states fit a linear map about as well."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    pytest.importorskip("bitsandbytes")
    losses = []
    for bits in (32, 8):
        weights = nn.Parameter(torch.zeros(128, 64, device="cuda"))
        optimiser = adamw([weights], learning_rate=1e-2, state_bits=bits)
        for _ in range(300):
            optimiser.zero_grad()
            loss = (weights - 1).square().mean()
            loss.backward()
            optimiser.step()
        losses.append(loss.item())
    assert max(losses) < 0.02
