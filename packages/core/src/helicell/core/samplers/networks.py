"""The network of a sampler, and its evaluation along whole paths with a backward pass of its own.

A state x at time t goes through: a linear map of x plus a row of the time table (and of a condition, where there is
one), GELU, hidden layers with GELU, and a linear head that starts at zero. The time table holds a row for every time of
the grid and is made once a training step.

Training needs the outputs at all states of a path, which a rollout has already computed. `Record` keeps the
activations of the rollout, and `along_path` returns its outputs as a function of the weights: no second forward pass,
and a backward pass that goes through the path in blocks that fit into the cache. Without a record the activations are
computed block by block, in the forward pass and again in the backward pass, so that memory does not grow with the
number of steps beyond the states themselves.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# Rows of a path that the batched passes take at once: the activations of a block should fit into a processor's cache.
BLOCK_ROWS = 2400
# Frequencies of the time features, in radians over the unit of time.
SLOWEST, FASTEST = 0.1, 100.0

_gelu = torch.ops.aten.gelu.out


class TimeFeatures(nn.Module):
    """Rows of learned features of times: sines and cosines with learned phases, then two linear maps.

    Parameters
    ----------
    features
        Numbers in a row.
    harmonics
        Frequencies.
    """

    frequencies: Tensor

    def __init__(self, features: int, *, harmonics: int = 64) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(SLOWEST, FASTEST, harmonics), persistent=False)
        self.phases = nn.Parameter(torch.randn(harmonics))
        self.inner = nn.Linear(2 * harmonics, features)
        self.outer = nn.Linear(features, features)

    def forward(self, times: Float[Tensor, " times"]) -> Float[Tensor, "times features"]:
        """Return a row for every time."""
        angles = times[:, None] * self.frequencies + self.phases
        return self.outer(functional.gelu(self.inner(torch.cat((angles.sin(), angles.cos()), dim=1))))


class SamplerNetwork(nn.Module):
    """From states and times to outputs of about unit size, all zero before training.

    Parameters
    ----------
    dim
        Dimensions of a state.
    outputs
        Numbers for each state.
    hidden
        Width of the layers.
    layers
        Hidden layers.
    condition_dim
        Dimensions of a condition; 0 for none.
    scale
        The size of the states, by which they are divided.
    waves
        For states that are angles: the sines and cosines of so many multiples of each are what the network sees.
    """

    def __init__(
        self,
        dim: int,
        outputs: int,
        *,
        hidden: int = 64,
        layers: int = 2,
        condition_dim: int = 0,
        scale: float = 1.0,
        waves: int = 0,
    ) -> None:
        super().__init__()
        self.scale, self.waves = 1.0 if waves else scale, waves
        self.time = TimeFeatures(hidden)
        self.state = nn.Linear(2 * waves * dim if waves else dim, hidden, bias=False)
        self.context = nn.Sequential()
        if condition_dim:
            self.context.extend((nn.Linear(condition_dim, hidden), nn.GELU(), nn.Linear(hidden, hidden)))
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.head = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def embed(self, condition: Tensor | None) -> Tensor | None:
        """Return the rows that conditions add to the first layer."""
        return None if condition is None else self.context(condition)

    def features(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch features"]:
        """Return what the first layer sees of states."""
        if not self.waves:
            return x
        multiples = torch.arange(1, self.waves + 1, dtype=x.dtype, device=x.device)
        angles = (x.unsqueeze(-1) * multiples).flatten(-2)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def forward(
        self,
        x: Float[Tensor, "batch dim"],
        row: Float[Tensor, " hidden"],
        context: Float[Tensor, "batch hidden"] | None = None,
    ) -> Float[Tensor, "batch outputs"]:
        """Return the outputs at one time, whose row of the time table is given; differentiable in everything."""
        inner = torch.addmm(row, self.features(x), self._first_weight())
        h = functional.gelu(inner if context is None else inner + context)
        for layer in self.hidden:
            h = functional.gelu(layer(h))
        return self.head(h)

    def along_path(
        self,
        states: Float[Tensor, "steps batch dim"],
        table: Float[Tensor, "steps hidden"],
        context: Float[Tensor, "batch hidden"] | None = None,
        *,
        record: Record | None = None,
    ) -> Float[Tensor, "steps batch outputs"]:
        """Return the outputs at all states, differentiable in the weights, the table and the context only.

        Parameters
        ----------
        states
            One for each row of the table and each path.
        table
            Rows of the time table.
        context
            Rows of the conditions.
        record
            The activations at these states, if a rollout with the present weights has kept them.
        """
        return _AlongPath.apply(self.features(states), record, table, context, *self.weights())

    def weights(self) -> list[Tensor]:
        """Return the weights and biases in the order of use, the first one scaled; weights are [outputs, inputs]."""
        parts: list[Tensor] = [self._first_weight().T]
        for layer in (*self.hidden, self.head):
            parts += [layer.weight, layer.bias]
        return parts

    def _first_weight(self) -> Tensor:
        return self.state.weight.T / self.scale


class Record:
    """The activations of a rollout: before and after each GELU, and the outputs, of every step.

    Parameters
    ----------
    network
        Whose activations they are.
    steps, batch
        How many there will be.
    """

    def __init__(self, network: SamplerNetwork, steps: int, batch: int) -> None:
        self._features = network.features
        first, *rest = [weight.detach() for weight in network.weights()]
        # What addmm takes fastest: the inputs first.
        self._first = first.T.contiguous()
        self._layers = [(weight.T.contiguous(), bias) for weight, bias in zip(rest[0::2], rest[1::2], strict=True)]
        hidden = len(first)
        depth = len(self._layers)
        self.before = [first.new_empty(steps, batch, hidden) for _ in range(depth)]
        self.after = [first.new_empty(steps, batch, hidden) for _ in range(depth)]
        self.outputs = first.new_empty(steps, batch, network.head.out_features)

    def step(self, k: int, x: Tensor, row: Tensor, context: Tensor | None = None) -> Tensor:
        """Evaluate step k, keep the activations, and return the outputs; without a graph."""
        torch.addmm(row, self._features(x), self._first, out=self.before[0][k])
        if context is not None:
            self.before[0][k].add_(context)
        h = _gelu(self.before[0][k], out=self.after[0][k])
        last = len(self._layers) - 1
        for number, (weight, bias) in enumerate(self._layers):
            if number == last:
                return torch.addmm(bias, h, weight, out=self.outputs[k])
            torch.addmm(bias, h, weight, out=self.before[number + 1][k])
            h = _gelu(self.before[number + 1][k], out=self.after[number + 1][k])
        raise AssertionError


class _AlongPath(torch.autograd.Function):
    """The outputs at all states of a path, with a backward pass in blocks of steps."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, record: Record | None, table: Tensor, context: Tensor | None, *weights: Tensor
    ) -> Tensor:
        ctx.record = record
        ctx.save_for_backward(states, table, context, *weights)
        if record is not None:
            return record.outputs
        outputs = states.new_empty(*states.shape[:2], len(weights[-1]))
        for block in _blocks(states):
            _, after = _activations(states[block], table[block], context, weights)
            outputs[block] = torch.addmm(weights[-1], after[-1], weights[-2].T).view(outputs[block].shape)
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        states, table, context, *weights = ctx.saved_tensors
        record: Record | None = ctx.record
        gradients = [torch.zeros_like(weight) for weight in weights]
        table_gradient = torch.zeros_like(table)
        context_gradient = None if context is None else torch.zeros_like(context)
        for block in _blocks(states):
            if record is None:
                before, after = _activations(states[block], table[block], context, weights)
            else:
                before = [part[block].flatten(0, 1) for part in record.before]
                after = [part[block].flatten(0, 1) for part in record.after]
            flow = upstream[0][block].flatten(0, 1)
            for layer in reversed(range(len(before))):
                weight, bias = 1 + 2 * layer, 2 + 2 * layer
                gradients[weight].addmm_(flow.T, after[layer])
                gradients[bias].add_(flow.sum(dim=0))
                flow = torch.ops.aten.gelu_backward(flow @ weights[weight], before[layer])
            gradients[0].addmm_(flow.T, states[block].flatten(0, 1))
            rows = flow.view(*states[block].shape[:2], -1)
            table_gradient[block] = rows.sum(dim=1)
            if context_gradient is not None:
                context_gradient.add_(rows.sum(dim=0))
        return None, None, table_gradient, context_gradient, *gradients


def _blocks(states: Tensor) -> list[slice]:
    steps, batch = states.shape[:2]
    size = max(BLOCK_ROWS // max(batch, 1), 1)
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


def _activations(
    states: Tensor, table: Tensor, context: Tensor | None, weights: tuple[Tensor, ...] | list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the activations of a block before and after each GELU, each [steps * batch, hidden]."""
    inner = states @ weights[0].T + table[:, None]
    if context is not None:
        inner += context
    before, after = [inner.flatten(0, 1)], [functional.gelu(inner).flatten(0, 1)]
    for layer in range((len(weights) - 1) // 2 - 1):
        before.append(torch.addmm(weights[2 + 2 * layer], after[-1], weights[1 + 2 * layer].T))
        after.append(functional.gelu(before[-1]))
    return before, after


def log_normal(
    x: Float[Tensor, "*batch dim"], mean: Tensor | float, variance: Tensor | float
) -> Float[Tensor, "*batch"]:
    """Return the log density of N(mean, variance) with independent coordinates, summed over the last axis."""
    spread = torch.as_tensor(variance, dtype=x.dtype, device=x.device)
    logs = spread.log().expand(x.shape).sum(dim=-1) if spread.ndim else x.shape[-1] * spread.log()
    quadratic = ((x - mean).square() / spread).sum(dim=-1)
    return -0.5 * (quadratic + logs + x.shape[-1] * math.log(2 * math.pi))
