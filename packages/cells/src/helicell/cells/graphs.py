"""Nearest-neighbour graphs of cells, for torch_geometric: made once for a population, joined into batches.

A graph is an `edge_index` of shape [2, edges] whose edges lead from a neighbour to the cell, as torch_geometric has it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helicell.core.errors import InputError

# Up to this many features a k-d tree finds neighbours faster than a table of all distances.
TREE_FEATURES = 8
# Rows of the table of distances that are held at a time.
TABLE_ROWS = 1024


def neighbour_edges(points: Float[Tensor, "cells features"], neighbours: int) -> Int[Tensor, "2 edges"]:
    """Return the edges from the nearest cells to each cell, without loops.

    Parameters
    ----------
    points
        The cells.
    neighbours
        How many; fewer where there are not so many other cells.

    Raises
    ------
    InputError
        If there is no cell, or a number is not finite.

    Examples
    --------
    >>> neighbour_edges(torch.tensor([[0.0], [1.0], [3.0]]), 1)
    tensor([[1, 0, 1],
            [0, 1, 2]])
    """
    count = len(points)
    if not count or not points.isfinite().all():
        message = f"a graph needs cells with finite numbers, got {count} cells; remove those that are not finite"
        raise InputError(message)
    k = min(neighbours, count - 1)
    if k < 1:
        return torch.zeros(2, 0, dtype=torch.long)
    nearest = _by_tree(points, k) if points.shape[1] <= TREE_FEATURES else _by_table(points, k)
    cells = torch.arange(count).repeat_interleave(k)
    return torch.stack((nearest.reshape(-1), cells))


@dataclass(frozen=True, slots=True)
class NeighbourMean:
    """The matrix that takes the mean over the neighbours, and its transpose, both sparse.

    Attributes
    ----------
    matrix, transposed
        Compressed rows, shape [cells, cells].
    """

    matrix: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, edges: Int[Tensor, "2 edges"], *, cells: int) -> NeighbourMean:
        """Return the matrix of a graph with so many cells; a cell without neighbours gets zeros."""
        source, target = edges
        weights = 1 / torch.bincount(target, minlength=cells).clamp_min(1)[target]
        return cls(_compressed(target, source, weights, cells), _compressed(source, target, weights, cells))

    @classmethod
    def joined(cls, graphs: Sequence[NeighbourMean], *, stride: int) -> NeighbourMean:
        """Return several graphs as one, in which each graph's cells start `stride` after those of the last."""
        return cls(
            _joined([graph.matrix for graph in graphs], stride),
            _joined([graph.transposed for graph in graphs], stride),
        )

    def __call__(self, x: Float[Tensor, "cells channels"]) -> Float[Tensor, "cells channels"]:
        """Return the means, differentiable in x."""
        with torch.autocast(x.device.type, enabled=False):  # sparse products exist in single precision only
            return _Product.apply(x.float(), self.matrix, self.transposed)

    def to(self, device: torch.device) -> NeighbourMean:
        """Return the matrices on a device."""
        return NeighbourMean(self.matrix.to(device), self.transposed.to(device))


class _Product(torch.autograd.Function):
    """A sparse product whose gradient takes the ready transpose; torch would make it anew every time."""

    @staticmethod
    def forward(ctx, x, matrix, transposed):  # type: ignore[no-untyped-def]
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return ctx.transposed @ gradient.contiguous(), None, None


def _compressed(rows: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    order = torch.argsort(rows, stable=True)
    starts = torch.zeros(size + 1, dtype=torch.int32)
    starts[1:] = torch.bincount(rows, minlength=size).cumsum(0)
    return _sparse(starts, columns[order].int(), values[order].float(), size)


def _joined(matrices: Sequence[Tensor], stride: int) -> Tensor:
    """Return the block diagonal of matrices, each padded with empty rows to `stride`."""
    starts, columns, before = [torch.zeros(1, dtype=torch.int32)], [], 0
    for number, matrix in enumerate(matrices):
        own = matrix.crow_indices()[1:] + before
        before += matrix.values().shape[0]
        starts += [own, own.new_full((stride - len(own),), before)]
        columns.append(matrix.col_indices() + number * stride)
    values = torch.cat([matrix.values() for matrix in matrices])
    return _sparse(torch.cat(starts), torch.cat(columns), values, stride * len(matrices))


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # that compressed rows are new to torch
        return torch.sparse_csr_tensor(starts, columns, values, (size, size), check_invariants=False)


def _by_tree(points: Tensor, k: int) -> Tensor:
    from scipy.spatial import cKDTree

    array = points.detach().cpu().double().numpy()
    nearest = torch.from_numpy(cKDTree(array).query(array, k=k + 1)[1])
    return _without_self(nearest, k)


def _by_table(points: Tensor, k: int) -> Tensor:
    blocks = [
        torch.cdist(block, points).topk(k + 1, largest=False).indices for block in points.detach().split(TABLE_ROWS)
    ]
    return _without_self(torch.cat(blocks).cpu(), k)


def _without_self(nearest: Tensor, k: int) -> Tensor:
    """Drop each cell from the list of its neighbours; where equal cells crowd it out, drop the farthest."""
    own = nearest == torch.arange(len(nearest))[:, None]
    own[~own.any(dim=1), -1] = True
    return nearest[~own].reshape(len(nearest), k)
