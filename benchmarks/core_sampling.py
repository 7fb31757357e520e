"""Sampling: how fast the solvers call a network, how little they add to it, and what dense output saves.

The network is the small one of the training rows. Ratios are of processor time, each side in turn in one process.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness import Row
from helicell.core.dynamics.fields import CountedField
from helicell.core.dynamics.ode import integrate

HIDDEN = 64
STEPS = 20
BATCHES = (1, 256, 4096)
ROUNDS = {1: 100, 256: 60, 4096: 12}
LARGEST_SHARE = 0.2


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
    return [*made, *dense_rows(network)]


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


def medians(functions: tuple[Callable[[], Any], ...], *, rounds: int) -> list[float]:
    """Return the median processor time of each function; they take turns."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for times, function in zip(taken, functions, strict=True):
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]
