"""The core of flows beside torchcfm: training steps, transport plans, time samplers; one thread, one process.

Both sides take turns in the same process on the same batches, and what is compared is processor time, which other work
on the machine hardly touches. torchcfm is put into `benchmarks/peers` by pip, without its dependencies, the first time;
where that fails, a plain version of the published algorithm below stands in for it. Files `core_*.py` beside this one
add rows of their own by a function `rows()`.
"""

import importlib
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness import Row, write_results
from helicell.core.paths import ExactTransport, UShapedTimes, linear
from helicell.core.training.batches import FlowBatch, PooledPairs
from helicell.core.training.objectives import FlowObjective
from helicell.core.training.optimisers import adamw

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
PEER = "torchcfm==1.0.7"
HIDDEN = 64
BATCHES = (256, 1024, 4096)
PLANS = (256, 1024)
ROUNDS = {256: 400, 1024: 40, 4096: 40}
SEED = 0


def main() -> None:
    """Measure everything and write the table."""
    torch.set_num_threads(1)
    peer = load_peer()
    rows = [*training_rows(peer), *plan_rows(peer), *pooling_rows(), *profile_rows(), *time_rows()]
    for file in sorted(HERE.glob("core_*.py")):
        rows += importlib.import_module(file.stem).rows()
    settings = {"peer": PEER if peer else "plain implementation", "hidden": HIDDEN, "clock": "processor time, median"}
    write_results("core", rows, settings)


# ---------------------------------------------------------------------------------------------------------------- peers


def load_peer() -> ModuleType | None:
    """Return torchcfm's module of matchers, or None where it cannot be had."""
    sys.path.append(str(PEERS))
    for attempt in range(2):
        try:
            return importlib.import_module("torchcfm.conditional_flow_matching")
        except ImportError:
            if attempt:
                return None
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--retries",
                "0",
                "--timeout",
                "20",
            ]
            subprocess.run([*command, "--target", str(PEERS), PEER], check=False, capture_output=True)
            importlib.invalidate_caches()
    return None


class PlainMatcher:
    """The published algorithm of minibatch transport: POT's plan, and pairs drawn from all of its entries."""

    def __init__(self, *, transport: bool) -> None:
        self.transport = transport

    def sample_plan(self, x_0: Tensor, x_1: Tensor) -> tuple[Tensor, Tensor]:
        import ot

        count = len(x_0)
        masses = np.full(count, 1 / count)
        plan = ot.emd(masses, masses, (torch.cdist(x_0, x_1) ** 2).numpy()).flatten()
        chosen = np.random.default_rng(SEED).choice(count * count, p=plan / plan.sum(), size=count)
        return x_0[chosen // count], x_1[chosen % count]

    def sample_location_and_conditional_flow(self, x_0: Tensor, x_1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.transport:
            x_0, x_1 = self.sample_plan(x_0, x_1)
        t = torch.rand(len(x_0))
        return t, (1 - t[:, None]) * x_0 + t[:, None] * x_1, x_1 - x_0


def matcher(peer: ModuleType | None, *, transport: bool) -> Any:
    """Return the peer's matcher."""
    if peer is None:
        return PlainMatcher(transport=transport)
    if transport:
        return peer.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    return peer.ConditionalFlowMatcher(sigma=0.0)


# ----------------------------------------------------------------------------------------------------------------- task


class Field(nn.Module):
    """The usual small network of a flow in the plane."""

    def __init__(self, dimensions: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(dimensions + 1, HIDDEN), nn.SELU()]
        for _ in range(2):
            layers += [nn.Linear(HIDDEN, HIDDEN), nn.SELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(HIDDEN, dimensions))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat((x, t[:, None]), dim=1))


def draw(count: int, generator: torch.Generator, *, dimensions: int = 2) -> tuple[Tensor, Tensor]:
    """Return normal points, and as many of eight clusters on a circle (in more dimensions: around a cube's corners)."""
    x_0 = torch.randn(count, dimensions, generator=generator)
    noise = torch.randn(count, dimensions, generator=generator)
    if dimensions > 2:
        return x_0, 0.3 * noise + torch.randn(count, dimensions, generator=generator).sign()
    angle = torch.randint(8, (count,), generator=generator) * (math.pi / 4)
    return x_0, 2 * torch.stack((angle.cos(), angle.sin()), dim=1) + 0.2 * noise


def medians(*calls: Callable[[], object], rounds: int) -> list[float]:
    """Return the median processor time of each call in milliseconds; the calls take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for k in range(rounds + 3):
        for call, taken in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            if k >= 3:
                taken.append(1e3 * (time.process_time() - start))
    return [statistics.median(taken) for taken in times]


def compared(measure: str, ours: float, theirs: float, *, goal: float | None = None) -> list[Row]:
    """Return the rows of a comparison: our time, theirs and the ratio."""
    ratio = Row(f"{measure}: ours / peer", ours / theirs)
    if goal is not None:
        ratio = Row.at_most(f"{measure}: ours / peer", ours / theirs, goal)
    return [Row(f"{measure}: ours", ours, "ms"), Row(f"{measure}: peer", theirs, "ms"), ratio]


# ---------------------------------------------------------------------------------------------------------------- steps


def our_step(batch: FlowBatch, coupling: Any = None) -> Callable[[], object]:
    """Return a training step of ours, with the optimiser that our training takes."""
    torch.manual_seed(SEED)
    objective = FlowObjective(Field(), linear(), coupling=coupling)
    optimiser = adamw(objective.parameters(), learning_rate=1e-3)
    generator = torch.Generator().manual_seed(SEED)

    def step() -> None:
        optimiser.zero_grad()
        objective(batch, generator)["loss"].backward()
        optimiser.step()

    return step


def their_step(batch: FlowBatch, flow: Any) -> Callable[[], object]:
    """Return the same step as torchcfm's examples write it, with their optimiser."""
    torch.manual_seed(SEED)
    network = Field()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        t, x_t, target = flow.sample_location_and_conditional_flow(batch.x_0, batch.x_1)
        loss = torch.mean((network(x_t, t) - target) ** 2)
        loss.backward()
        optimiser.step()

    return step


def training_rows(peer: ModuleType | None) -> list[Row]:
    """Compare training steps, with independent pairs and with transport plans."""
    rows = []
    for count in BATCHES:
        x_0, x_1 = draw(count, torch.Generator().manual_seed(SEED))
        batch = FlowBatch(x_1, x_0)
        plain = our_step(batch), their_step(batch, matcher(peer, transport=False))
        rows += compared(f"training step, batch {count}", *medians(*plain, rounds=ROUNDS[count]), goal=1)
    for count in PLANS:
        x_0, x_1 = draw(count, torch.Generator().manual_seed(SEED))
        batch = FlowBatch(x_1, x_0)
        steps = our_step(batch, ExactTransport()), their_step(batch, matcher(peer, transport=True))
        rows += compared(f"OT training step, batch {count}", *medians(*steps, rounds=ROUNDS[count]), goal=1)
    return rows


# ---------------------------------------------------------------------------------------------------------------- plans


def plan_rows(peer: ModuleType | None) -> list[Row]:
    """Compare the coupling of one batch, in time and in cost, in the plane and in 50 dimensions."""
    import ot

    flow = matcher(peer, transport=True)
    sampler = flow if peer is None else flow.ot_sampler
    coupling = ExactTransport()
    rows = []
    for dimensions in (2, 50):
        for count in PLANS:
            generator = torch.Generator().manual_seed(SEED)
            batches = [draw(count, generator, dimensions=dimensions) for _ in range(10)]
            times, excess = [], []
            for x_0, x_1 in batches:
                calls = (
                    lambda x_0=x_0, x_1=x_1: coupling.pair(x_0, x_1).take(x_0, x_1),
                    lambda x_0=x_0, x_1=x_1: sampler.sample_plan(x_0, x_1),
                )
                times.append(medians(*calls, rounds=1))
                best = ot.emd2([], [], (torch.cdist(x_0.double(), x_1.double()) ** 2).numpy())
                excess.append(mean_cost(calls[0]()) / best)
            ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            name = f"OT step, {dimensions}-D, batch {count}"
            rows += compared(name, ours, theirs, goal=1 / 3)
            rows.append(Row.at_most(f"{name}: coupling cost, ours / optimal", statistics.mean(excess), 1.00001))
    return rows


def mean_cost(pairs: Sequence[Tensor]) -> float:
    """Return the mean squared distance of the pairs."""
    return float((pairs[0] - pairs[1]).square().sum(dim=1).mean())


def pooling_rows() -> list[Row]:
    """Measure what one plan over many batches of 256 costs a batch, and how much cheaper its pairs are."""
    rows = []
    for batches in (1, 4, 8):
        pool = PooledPairs(
            lambda count, generator: draw(count, generator)[0],
            lambda count, generator: draw(count, generator)[1],
            coupling=ExactTransport(),
            batch_size=256,
            batches=batches,
            seed=SEED,
        )
        stream = iter(pool)
        start, costs = time.process_time(), []
        for _ in range(32):
            batch = next(stream)
            costs.append(mean_cost((batch.x_0, batch.x_1)))
        taken = 1e3 * (time.process_time() - start) / 32
        name = f"plan pooled over {batches} x 256"
        rows += [Row(f"{name}: time a batch", taken, "ms"), Row(f"{name}: coupling cost", statistics.mean(costs))]
    return rows


# -------------------------------------------------------------------------------------------------------------- profile


class Timed:
    """Adds up the time of a function, by the clock that costs least to read."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.taken = function, 0.0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        start = time.perf_counter()
        result = self.function(*arguments, **keywords)
        self.taken += time.perf_counter() - start
        return result


def profile_rows() -> list[Row]:
    """Measure the share of our steps that neither the network (forward, backward, optimiser) nor the plan takes."""
    rows = []
    for count in BATCHES:
        for name, transport in (("training step", False), ("OT training step", True)):
            if transport and count not in PLANS:
                continue
            share = share_outside(count, transport=transport)
            rows.append(Row.at_most(f"{name}, batch {count}: outside network and plan", 100 * share, 20, unit="%"))
    return rows


def share_outside(count: int, *, transport: bool) -> float:
    """Return the share in one kind of step, the median of many."""
    x_0, x_1 = draw(count, torch.Generator().manual_seed(SEED))
    network, coupling = Field(), ExactTransport()
    forward, plan = Timed(network), Timed(coupling.pair)
    objective = FlowObjective(forward, linear(), coupling=_Plan(plan) if transport else None)
    optimiser = adamw(network.parameters(), learning_rate=1e-3)
    clear, update = Timed(optimiser.zero_grad), Timed(optimiser.step)
    generator = torch.Generator().manual_seed(SEED)
    backward = Timed(lambda loss: loss.backward())
    parts = (forward, plan, clear, update, backward)
    shares = []
    for _ in range(max(ROUNDS[count], 40)):
        for part in parts:
            part.taken = 0.0
        start = time.perf_counter()
        clear()
        backward(objective(FlowBatch(x_1, x_0), generator)["loss"])
        update()
        whole = time.perf_counter() - start
        shares.append(1 - sum(part.taken for part in parts) / whole)
    return statistics.median(shares)


class _Plan(ExactTransport):
    """The exact plan with its time taken."""

    def __init__(self, timed: Timed) -> None:
        super().__init__()
        object.__setattr__(self, "pair", timed)


# ---------------------------------------------------------------------------------------------------------------- times


def time_rows() -> list[Row]:
    """Compare draws from the U-shaped density with numeric inversion, as the published code does it."""
    from scipy.stats import rv_continuous

    class Exponential(rv_continuous):
        def _pdf(self, t: Any, a: float) -> Any:
            return a * np.exp(a * t) / (np.exp(a) - 1)

    exponential = Exponential(a=0, b=1, name="exponential")
    random = np.random.default_rng(SEED)

    def published() -> Tensor:
        t = torch.from_numpy(exponential.rvs(4.0, size=256, random_state=random)).float()
        return torch.cat((t, 1 - t))[torch.randperm(512)][:256]

    generator = torch.Generator().manual_seed(SEED)
    ours, theirs = medians(lambda: UShapedTimes().sample(256, generator=generator), published, rounds=10)
    return compared("U-shaped times, batch 256", ours, theirs)


if __name__ == "__main__":
    main()
