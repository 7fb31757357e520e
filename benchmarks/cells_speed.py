"""What training and prediction cost in processor time, beside the published training step.

The peer is a plain implementation of the published step from its description: 10 letters of 700 paired cells; the graph
of 50 nearest neighbours is made anew on each pass; three graph convolutions of width 64 by gathering and scattering
along the edges, mean, division by the norm; a decoder of width 512 with four layers on the embedding, 128 channels of
time, 256 of position and the position itself, for every cell; two Adam optimisers that take turns, one on the decoder
with a stored embedding, one on the graph network through the decoder. Its step is the mean of the two kinds. Ours
trains graph network and field together at every step. Both take turns in one process on one thread.
"""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from harness import Row
from helicell.cells.flow import PopulationFlow
from helicell.cells.objective import PopulationObjective
from helicell.cells.settings import PopulationFlowSettings
from helicell.cells.simulate.letters import simulate_letters
from helicell.core.training.optimisers import adamw

POPULATIONS, CELLS, NEIGHBOURS, WIDTH = 10, 700, 50, 512
ROUNDS = 7
PREDICTED = 200_000
GOAL_STEP = 0.25
GOAL_CELLS = 20_000

OURS = {
    "encoder": {"kind": "graph", "neighbours": NEIGHBOURS, "cells": CELLS, "width": 64, "layers": 2},
    "field": {"width": WIDTH, "layers": 4},
    "condition": {"cell_types": False},
    "coupling": {"kind": "pairs"},
    "populations": POPULATIONS,
    "cells": CELLS,
}


class PublishedEncoder(nn.Module):
    """Three graph convolutions with symmetric normalisation and loops, mean, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, 64) for inputs in (2, 64, 64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings [populations, 64] of cells [populations, cells, 2]."""
        from scipy.spatial import cKDTree

        count = x.shape[1]
        edges = []
        for number, points in enumerate(x.numpy()):
            nearest = torch.from_numpy(cKDTree(points).query(points, k=NEIGHBOURS + 1)[1][:, 1:].astype(np.int64))
            cells = torch.arange(count).repeat_interleave(NEIGHBOURS)
            edges.append(torch.stack((nearest.reshape(-1), cells)) + number * count)
        loops = torch.arange(x.shape[0] * count).expand(2, -1)
        source, target = torch.cat((*edges, loops), dim=1)
        degree = torch.zeros(x.shape[0] * count).scatter_add_(0, target, torch.ones(len(target)))
        weight = (degree[source] * degree[target]).rsqrt()[:, None]
        h = x.reshape(-1, 2)
        for number, layer in enumerate(self.layers):
            h = nn.functional.linear(h, layer.weight)
            h = torch.zeros_like(h).scatter_add_(0, target[:, None].expand(-1, 64), h[source] * weight) + layer.bias
            h = h if number == 2 else h.relu()
        mean = h.view(x.shape[0], count, 64).mean(dim=1)
        return mean / mean.norm(dim=1, keepdim=True)


class PublishedDecoder(nn.Module):
    """A perceptron with skips on all inputs, joined for every cell."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = 0.01 * torch.randn(2, 128)
        self.enter = nn.Linear(64 + 128 + 256 + 2, WIDTH)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.leave = nn.Linear(WIDTH, 2)

    def forward(self, embedding: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Return velocities [cells, 2]; `embedding` [populations, 64], `t` [cells], `x` [cells, 2]."""
        angles = t[:, None] * torch.exp(-math.log(10_000) * torch.arange(64) / 63)
        waves = 2 * torch.pi * x @ self.frequencies
        own = embedding.repeat_interleave(len(x) // len(embedding), dim=0)
        h = torch.cat((own, angles.sin(), angles.cos(), waves.cos(), waves.sin(), x), dim=1)
        h = nn.functional.selu(self.enter(h))
        for layer in self.layers:
            h = nn.functional.selu(layer(h) + h)
        return self.leave(h)


def published_steps(x_0: Tensor, x_1: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the step on the decoder, and the one on the graph network."""
    encoder, decoder = PublishedEncoder(), PublishedDecoder()
    optimisers = [torch.optim.Adam(module.parameters(), lr=1e-4) for module in (decoder, encoder)]
    stored = encoder(x_0).detach()

    def step(embed: Callable[[], Tensor], optimiser: torch.optim.Optimizer) -> None:
        t = torch.rand(x_0.shape[0] * CELLS)
        start, end = x_0.reshape(-1, 2), x_1.reshape(-1, 2)
        predicted = decoder(embed(), t, torch.lerp(start, end, t[:, None]))
        loss = (predicted.square() - 2 * predicted * (end - start)).sum(dim=1).mean()
        for module in (decoder, encoder):
            module.zero_grad()
        loss.backward()
        optimiser.step()

    return (lambda: step(lambda: stored, optimisers[0])), (lambda: step(lambda: encoder(x_0), optimisers[1]))


def our_step(precision: str) -> Callable[[], None]:
    """Return our training step, with the making of its batch."""
    responses = simulate_letters("ABDEGHKMQR", rotations=1)
    settings = PopulationFlowSettings.from_mapping({**OURS, "precision": precision})
    model, batches = PopulationFlow.prepare(responses, settings)
    objective = PopulationObjective(model.network).train().requires_grad_()
    optimiser = adamw(objective.parameters(), learning_rate=1e-3)
    generator = torch.Generator().manual_seed(0)
    stream = iter(batches)

    def step() -> None:
        optimiser.zero_grad()
        objective(next(stream), generator)["loss"].backward()
        optimiser.step()

    return step


def rows() -> list[Row]:
    """Measure training steps and prediction."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    responses = simulate_letters("ABDEGHKMQR", rotations=1)
    x_0 = torch.stack([response.control[:CELLS] for response in responses])
    x_1 = torch.stack([response.treated[:CELLS] for response in responses])
    steps = [*published_steps(x_0, x_1), our_step("32-true"), our_step("bf16-mixed")]
    flow, graph, full, half = _medians(steps)
    peer = (flow + graph) / 2
    name = f"training step, {POPULATIONS} x {CELLS} cells, width {WIDTH}, graph of {NEIGHBOURS} neighbours"
    return [
        Row(f"{name}: published", peer, "CPU s"),
        Row(f"{name}: ours, float32", full, "CPU s"),
        Row(f"{name}: ours, bfloat16", half, "CPU s"),
        Row(f"{name}: ours, float32 / published", full / peer),
        Row.at_most(f"{name}: ours, bfloat16 / published", half / peer, GOAL_STEP),
        *prediction_rows(),
    ]


def prediction_rows() -> list[Row]:
    """Measure the prediction of many cells at width 128, with and without kernels on the control cells."""
    found = []
    for title, field in (("", {}), (", sees the control cells through 6 kernels", {"bandwidths": 6})):
        settings = PopulationFlowSettings.from_mapping(
            {"field": {"width": 128, **field}, "condition": OURS["condition"]}
        )
        model, _ = PopulationFlow.prepare(simulate_letters("AB", rotations=1), settings)
        cells = 2 * torch.randn(PREDICTED if not field else PREDICTED // 10, 2)
        start = time.process_time()
        model.transport(cells, "clean")
        # Two processes of one thread each share nothing, so two cores predict twice as many.
        rate = 2 * len(cells) / (time.process_time() - start)
        row = f"predicted at width 128 on two cores{title}"
        found.append(Row.at_least(row, rate, GOAL_CELLS, unit="cells/s") if not field else Row(row, rate, "cells/s"))
    return found


def _medians(steps: list[Callable[[], None]]) -> list[float]:
    """Return the median processor time of each kind of step in seconds; they take turns."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(ROUNDS + 1):
        for step, taken in zip(steps, times, strict=True):
            start = time.process_time()
            step()
            if number:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]
