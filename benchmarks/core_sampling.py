"""Sampling: how fast the solvers call a network, how little they add, what dense output and adaptive guidance save.

The network is the small one of the training rows. Ratios are of processor time, each side in turn in one process.
Guidance is measured on fields in closed form: four clusters in the plane, the condition being two of them.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness import Row
from helicell.core.dynamics.fields import CountedField
from helicell.core.dynamics.guidance import Adaptive, ClassifierFree
from helicell.core.dynamics.ode import integrate
from helicell.core.paths import converted, one_sided_linear

HIDDEN = 64
STEPS = 20
BATCHES = (1, 256, 4096)
ROUNDS = {1: 100, 256: 60, 4096: 12}
LARGEST_SHARE = 0.2
GUIDED_STEPS = 40
CENTRES = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], dtype=torch.float64)
SPREAD = 0.3
LARGEST_MOVE = 0.005


class Field(nn.Module):
    """A velocity network in the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, HIDDEN), nn.SELU(), nn.Linear(HIDDEN, HIDDEN), nn.SELU(),
            nn.Linear(HIDDEN, HIDDEN), nn.SELU(), nn.Linear(HIDDEN, 2),
        )  # fmt: skip

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the velocity at x [batch, 2] and t [batch]."""
        return self.layers(torch.cat((x, t[:, None]), dim=1))


@torch.no_grad()
def rows() -> list[Row]:
    """Return throughput, the share of time outside of the network, and the evaluations of dense output."""
    torch.manual_seed(0)
    network = Field()
    made = []
    for batch in BATCHES:
        x_0 = torch.randn(batch, 2)
        times = torch.linspace(0, 1, STEPS + 1)[:-1, None].expand(STEPS, batch).contiguous()

        def bare(x_0: Tensor = x_0, times: Tensor = times) -> None:
            for t in times:
                network(x_0, t)

        def plain(x_0: Tensor = x_0, times: Tensor = times) -> Tensor:
            x = x_0
            for t in times:
                x = x + network(x, t) / STEPS
            return x

        def ours(x_0: Tensor = x_0) -> Tensor:
            return integrate(network, x_0, STEPS).x

        net, loop, solver = medians((bare, plain, ours), rounds=ROUNDS[batch])
        made.append(Row(f"sampling, {STEPS} Euler steps, batch {batch}", batch / solver, "samples/s"))
        made.append(Row(f"sampling, batch {batch}: time over that of a bare loop", solver / loop))
        # One sample at a time a step takes a tenth of a millisecond in all; the goal is meant for batches.
        share = 1 - net / solver
        name = f"sampling, batch {batch}: share of time outside of the network"
        made.append(Row(name, share) if batch == 1 else Row.at_most(name, share, LARGEST_SHARE))
    return [*made, *dense_rows(network), *guidance_rows()]


def dense_rows(network: Field) -> list[Row]:
    """Return the evaluations of dopri5 for few and for many saved states, and those of torchdiffeq where it is."""
    x_0 = torch.randn(256, 2)
    few = integrate(network, x_0, [0, 1], method="dopri5", save_at=[1.0]).evaluations
    many = integrate(network, x_0, [0, 1], method="dopri5", save_at=torch.linspace(0, 1, 200)).evaluations
    made = [
        Row("dopri5: evaluations, 1 saved state", few),
        Row.at_most("dopri5: evaluations, 200 saved states", many, few),
    ]
    try:
        from torchdiffeq import odeint
    except ImportError:
        return made
    counted = CountedField(network)
    odeint(lambda t, x: counted(x, t), x_0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-5, method="dopri5")
    made.append(Row("dopri5: evaluations of torchdiffeq at the same tolerance", counted.evaluations))
    return made


def guidance_rows() -> list[Row]:
    """Return what adaptive guidance saves of classifier-free guidance, and how far it moves samples at most.

    Moves are shares of the distance of the clusters from the origin.
    """
    weights = torch.tensor([[0.5, 0.5, 1e-9, 1e-9], [0.25] * 4], dtype=torch.float64)
    path = one_sided_linear()
    conditional, unconditional = (
        converted(lambda x, t, w=w: expected_data(x, t, w), "velocity", given="x_1", path=path) for w in weights
    )
    start = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = []
    for scale in (1.5, 2.0, 3.0):
        plain = integrate(ClassifierFree(conditional, unconditional, scale=scale), start, GUIDED_STEPS).x
        adaptive = Adaptive(conditional, unconditional, scale=scale)
        moves = (integrate(adaptive, start, GUIDED_STEPS).x - plain).norm(dim=1) / math.hypot(2, 2)
        name = f"adaptive guidance, scale {scale:g}"
        made += [
            Row.at_least(f"{name}: share of the evaluations saved", adaptive.saved, 0.25),
            Row.at_most(f"{name}: largest move of a sample", float(moves.max()), LARGEST_MOVE),
        ]
    return made


def expected_data(x: Tensor, t: Tensor, weights: Tensor) -> Tensor:
    """Return E[x_1 | x_t] on the one-sided linear path to clusters of these weights."""
    t = t[:, None, None]
    variance = (1 - t) ** 2 + t**2 * SPREAD**2
    offsets = x[:, None] - t * CENTRES
    share = torch.softmax((-offsets.square() / (2 * variance)).sum(-1) + weights.log(), dim=1)
    return (share[..., None] * (CENTRES + t * SPREAD**2 / variance * offsets)).sum(dim=1)


def medians(functions: tuple[Callable[[], Any], ...], *, rounds: int) -> list[float]:
    """Return the median processor time of each function; they take turns."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for times, function in zip(taken, functions, strict=True):
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]
