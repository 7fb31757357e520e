"""Rectification in the plane and on the rotations: one round of reflow against the flow that it came from.

Two errors are compared by the number of Euler steps. The energy distance to fresh data, unbiased, tells how good the
samples are; the flow's own exact samples give its floor. The root mean square distance of each sample from where the
first flow exactly leads from the same noise tells how well its map is followed.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from harness import Row
from helicell.core.dynamics.ode import integrate
from helicell.core.paths import GeodesicPath
from helicell.core.runs.seeds import sample_generator
from helicell.core.spaces import Euclidean, Space, UnitQuaternions, quaternions
from helicell.core.statistics.kernels import energy_distance
from helicell.core.training.batches import FlowBatch
from helicell.core.training.distil import distil, one_step
from helicell.core.training.loop import minimise
from helicell.core.training.objectives import FlowObjective, SquaredError
from helicell.core.training.rectify import generate_pairs, reflow, straightness
from helicell.core.training.settings import OptimiserSettings

SEED = 0
HIDDEN = 128
BATCH = 512
PAIRS = 50_000
COMPARED = 10_000
SETTINGS = OptimiserSettings(steps=4000, learning_rate=2e-3, warm_up=100, decay_share=0.8, average_decay=0.995)


class Network(nn.Module):
    """A small velocity network in the plane."""

    inputs, outputs = 2, 2

    def __init__(self) -> None:
        super().__init__()
        widths = (self.inputs + 9, HIDDEN, HIDDEN, HIDDEN)
        layers = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), nn.SiLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(HIDDEN, self.outputs))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the velocity at x [batch, dimension] and t [batch]."""
        phases = t[:, None] * (math.pi * 2.0 ** torch.arange(4))
        return self.output(x, self.layers(torch.cat((self.features(x), t[:, None], phases.sin(), phases.cos()), dim=1)))

    def features(self, x: Tensor) -> Tensor:
        """Return what the layers see of a point."""
        return x

    def output(self, x: Tensor, result: Tensor) -> Tensor:
        """Return the velocity that the layers' result means."""
        return result


class RotationNetwork(Network):
    """The same on rotations: it sees the rotation matrix, which knows no sign, and turns in the body's frame."""

    inputs, outputs = 9, 3

    def features(self, x: Tensor) -> Tensor:
        """Return the entries of the rotation matrix."""
        return quaternions.to_matrix(x).flatten(1)

    def output(self, x: Tensor, result: Tensor) -> Tensor:
        """Return the tangent vector of an angular velocity."""
        return UnitQuaternions().tangent(x, result)


@dataclass(frozen=True, slots=True)
class Task:
    """A source, data and a network on a space; `coordinates` puts points where energy distances are taken."""

    name: str
    space: Space
    network: type[Network]
    source: Callable[[int, torch.Generator], Tensor]
    data: Callable[[int, torch.Generator], Tensor]
    coordinates: Callable[[Tensor], Tensor]
    unit: str


def gaussian(count: int, generator: torch.Generator) -> Tensor:
    """Draw from the standard Gaussian of the plane."""
    return torch.randn(count, 2, generator=generator)


def moons(count: int, generator: torch.Generator) -> Tensor:
    """Draw from two interlocked half-circles of radius 2."""
    angle = math.pi * torch.rand(count, generator=generator)
    side = torch.randint(2, (count,), generator=generator) * 2.0 - 1
    arcs = 2 * torch.stack((angle.cos() + side / 2, side * angle.sin() - side / 4), dim=1)
    return arcs + 0.1 * torch.randn(count, 2, generator=generator)


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """Draw uniform rotations."""
    return quaternions.random_quaternions((count,), generator=generator)


def ring(count: int, generator: torch.Generator) -> Tensor:
    """Draw turns of any angle about one axis, with a wobble of 0.1 radian about each axis."""
    turn = torch.zeros(count, 3)
    turn[:, 2] = 2 * math.pi * torch.rand(count, generator=generator)
    wobble = 0.1 * torch.randn(count, 3, generator=generator)
    return quaternions.multiply(quaternions.from_rotation_vector(turn), quaternions.from_rotation_vector(wobble))


def entries(x: Tensor) -> Tensor:
    """Return the entries of the rotation matrices."""
    return quaternions.to_matrix(x).flatten(1)


PLANE = Task("plane", Euclidean(), Network, gaussian, moons, lambda x: x, "")
ROTATIONS = Task("rotations", UnitQuaternions(), RotationNetwork, uniform, ring, entries, "rad")


def rows() -> list[Row]:
    """Return the rows of both tasks."""
    return [row for task in (PLANE, ROTATIONS) for row in task_rows(task)]


def task_rows(task: Task) -> list[Row]:
    """Train a flow, rectify it once, distil it, and compare errors by steps."""
    started = time.process_time()
    torch.manual_seed(SEED)
    path, space = GeodesicPath(task.space), task.space
    first = task.network()
    minimise(FlowObjective(first, path), _batches(task), SETTINGS, seed=SEED)
    noise = task.source(PAIRS, sample_generator(SEED, 0, stream="noise"))
    pairs = generate_pairs(first, noise, times=50, method="heun", space=space, batch_size=5000)
    # In so few dimensions the squared error serves better than the pseudo-Huber loss, which is meant for images.
    second = reflow(first, pairs, path=path, settings=SETTINGS, seed=SEED, batch_size=BATCH, loss=SquaredError())
    third = distil(second, pairs, space=space, settings=SETTINGS, seed=SEED, batch_size=BATCH, loss=SquaredError())
    spent = time.process_time() - started

    start = task.source(COMPARED, sample_generator(SEED, 0, stream="start"))
    reference = task.coordinates(task.data(COMPARED, sample_generator(SEED, 0, stream="reference")))
    with torch.no_grad():
        exact = integrate(first, start, 100, method="rk4", space=space).x
        few = {(name, n): integrate(network, start, n, space=space).x
               for name, network in (("before", first), ("rectified", second)) for n in (1, 2, 5, 20)}  # fmt: skip
        single = one_step(third, start, space=space)

    def energy(x: Tensor) -> float:
        return energy_distance(task.coordinates(x), reference, unbiased=True)

    def distance(x: Tensor) -> float:
        return float(space.distance(x, exact).square().mean().sqrt())

    made = [Row(f"{task.name}: energy distance, exact samples of the flow (floor)", energy(exact))]
    for measure, function, unit in (
        ("energy distance", energy, ""),
        ("distance from the flow's map", distance, task.unit),
    ):
        made += [Row(f"{task.name}: {measure}, {name}, steps {n}", function(x), unit)
                 for (name, n), x in few.items() if (name, n) != ("rectified", 2)]  # fmt: skip
        made.append(Row(f"{task.name}: {measure}, distilled, steps 1", function(single), unit))
        goal, value = function(few["before", 20]), function(few["rectified", 2])
        made.append(Row.at_most(f"{task.name}: {measure}, rectified, steps 2", value, goal, unit=unit))
    bends = [straightness(network, start, space=space).curvature for network in (first, second)]
    made.append(Row(f"{task.name}: curvature before", bends[0]))
    made.append(Row.at_most(f"{task.name}: curvature rectified", bends[1], bends[0] / 10))
    made.append(Row(f"{task.name}: training of all three", spent, "s"))
    return made


def _batches(task: Task) -> Iterator[FlowBatch]:
    for number in range(SETTINGS.steps):
        generator = sample_generator(SEED, number, stream=f"batches of {task.name}")
        yield FlowBatch(task.data(BATCH, generator), task.source(BATCH, generator))
