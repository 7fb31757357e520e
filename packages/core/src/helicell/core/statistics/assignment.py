"""The exact assignment problem: which permutation pairs rows with columns at the smallest sum of costs.

Rows are assigned one after another, each along the shortest augmenting path (Dijkstra's algorithm on reduced costs), as
in the algorithm of Jonker and Volgenant. Three things make this several times faster than the usual codes on the dense
costs of minibatch transport. The inner loop, which relaxes all columns by one row and finds the nearest, is one pass
over 32-bit numbers that the compiler turns into vector instructions. Every row first takes its cheapest column where
that is free. And for points of few dimensions, where augmenting paths are long, a part of the problem is solved first
and its prices start the whole: any start leads to the optimum, a good one leads there sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from numba import njit
from numpy.typing import NDArray

from helicell.core.errors import InputError

# Columns that are relaxed together: four vector registers of 16 numbers, or eight of 8.
LANES = 64
# The coarse problem takes every fourth row and column, while at least this many are left of them.
COARSE_STRIDE = 4
LEAST_COARSE = 32

# Infinities mark columns that are done, so they must keep their meaning; everything else may be reordered.
compiled = njit(cache=True, fastmath={"reassoc", "nsz", "contract", "nnan"}, error_model="numpy")


@dataclass(frozen=True, slots=True)
class Assignment:
    """An optimal assignment, with the prices that prove it.

    Attributes
    ----------
    columns
        The column of each row, shape [n].
    prices
        The dual value of each column, shape [n]: every row has the column at which its cost less the price is smallest.
    """

    columns: NDArray[np.int64]
    prices: NDArray[np.float32]


def assign(cost: NDArray[np.floating[Any]], *, coarse: bool = False) -> Assignment:
    """Return the assignment with the smallest sum of costs, exact to the rounding of 32-bit numbers.

    Parameters
    ----------
    cost
        Shape [n, n], finite.
    coarse
        Start from the solution of a quarter of the problem. That pays for costs between points of few dimensions.

    Raises
    ------
    InputError
        If the cost is not square, is empty or is not finite.

    References
    ----------
    Jonker and Volgenant, Computing 38 (1987) 325-340; Crouse, IEEE Trans. Aerosp. Electron. Syst. 52 (2016) 1679-1696.

    Examples
    --------
    >>> import numpy as np
    >>> assign(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])).columns
    array([1, 0, 2])
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or not cost.size:
        message = f"the cost has shape {list(cost.shape)}, expected a square matrix of one row or more"
        raise InputError(message)
    table = np.ascontiguousarray(cost, dtype=np.float32)
    if not np.isfinite(table.sum(dtype=np.float64)):
        message = "the cost holds numbers that are not finite; remove the points that are not, or scale the data down"
        raise InputError(message)
    prices = _coarse_prices(table) if coarse else table.min(axis=0)
    columns = _solve(table, prices)
    return Assignment(columns.astype(np.int64), prices)


def _coarse_prices(cost: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return prices of all columns from the solution of every fourth row and column, which starts the same way."""
    if len(cost) < LEAST_COARSE * COARSE_STRIDE:
        return cost.min(axis=0)
    rows = np.ascontiguousarray(cost[::COARSE_STRIDE])
    part = np.ascontiguousarray(rows[:, ::COARSE_STRIDE])
    prices = _coarse_prices(part)
    _solve(part, prices)
    remaining = (part - prices).min(axis=1)
    return (rows - remaining[:, None]).min(axis=0)


@compiled
@no_type_check
def _solve(cost, prices):
    """Assign all rows; `prices` are the start and are left optimal."""
    size = cost.shape[0]
    column_of, row_of = np.full(size, -1, np.int32), np.full(size, -1, np.int32)
    distance, previous = np.empty(size, np.float32), np.empty(size, np.int32)
    lanes = np.empty(LANES, np.float32)
    # Every row takes its cheapest column where that is free.
    for row in range(size):
        distance[:] = np.inf
        nearest = _relax(cost[row], prices, np.float32(0), distance, previous, np.int32(row), lanes)
        column = _find(distance, nearest)
        if row_of[column] < 0:
            row_of[column], column_of[row] = row, column
    done, reached = np.empty(size, np.int64), np.empty(size, np.float32)
    # A copy of the prices in which the columns that are done stand at minus infinity, so that nothing relaxes them.
    open_prices = prices.copy()
    for start in range(size):
        if column_of[start] >= 0:
            continue
        distance[:] = np.inf
        nearest = _relax(cost[start], open_prices, np.float32(0), distance, previous, np.int32(start), lanes)
        column, count = _find(distance, nearest), 0
        while row_of[column] >= 0:
            done[count], reached[count] = column, nearest
            count += 1
            row = row_of[column]
            offset = cost[row, column] - open_prices[column] - nearest
            distance[column], open_prices[column] = np.inf, -np.inf
            nearest = _relax(cost[row], open_prices, offset, distance, previous, row, lanes)
            column = _find(distance, nearest)
        for k in range(count):
            prices[done[k]] += reached[k] - nearest
            open_prices[done[k]] = prices[done[k]]
        row = np.int32(-1)
        while row != start:
            row = previous[column]
            row_of[column] = row
            column_of[row], column = column, column_of[row]
    return column_of


@compiled
@no_type_check
def _relax(costs, prices, offset, distance, previous, row, lanes):
    """Lower the distances of the columns that are nearer by way of a row, and return the smallest of all."""
    size = distance.shape[0]
    whole = size - size % LANES
    for lane in range(LANES):
        lanes[lane] = np.inf
    for block in range(0, whole, LANES):
        for lane in range(LANES):
            column = block + lane
            new, old = costs[column] - prices[column] - offset, distance[column]
            nearer = new < old
            best = new if nearer else old
            distance[column] = best
            previous[column] = row if nearer else previous[column]
            # As conditional expressions, which become vector instructions; min() does not.
            lanes[lane] = best if best < lanes[lane] else lanes[lane]  # noqa: FURB136
    smallest = np.float32(np.inf)
    for column in range(whole, size):
        new = costs[column] - prices[column] - offset
        if new < distance[column]:
            distance[column], previous[column] = new, row
        smallest = min(smallest, distance[column])
    width = LANES // 2
    while width:
        for lane in range(width):
            other = lanes[lane + width]
            lanes[lane] = other if other < lanes[lane] else lanes[lane]  # noqa: FURB136
        width //= 2
    return min(smallest, lanes[0])


@compiled
@no_type_check
def _find(values, value):
    """Return the first place of a value that is there."""
    place = 0
    while place + LANES <= values.shape[0]:
        hits = 0
        for lane in range(LANES):
            hits += np.int32(values[place + lane] == value)
        if hits:
            break
        place += LANES
    while values[place] != value:
        place += 1
    return place
