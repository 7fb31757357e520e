"""An order by rank that changes in logarithmic time: a treap over the slots of a buffer.

A treap is a search tree by key that is a heap by a fixed random priority of each node, so its depth stays logarithmic
whatever the order of the keys. Each node knows the size of its subtree, which gives the slot of any rank in as many
steps as the tree is deep. Here nodes are slots, keys are log rewards with the greatest first, and ties go by the slot;
the shape depends on the keys alone, not on the history.

Aragon and Seidel, Randomized search trees, FOCS 1989.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from helicell.core.errors import InputError

NONE = -1
# The columns of a node: its subtrees before and after it, the size of its own tree, and its key. They lie side by side,
# since what a walk down a large tree waits for is memory.
BEFORE, AFTER, SIZE, KEY = range(4)
# A path longer than this would need a treap of more nodes than memory holds.
DEEPEST = 512


class Ranking:
    """The slots 0 to capacity - 1, some of them filled, in the order of their values.

    Parameters
    ----------
    capacity
        Slots.

    Examples
    --------
    >>> ranking = Ranking(4)
    >>> ranking.put(np.array([0, 1, 2]), np.array([5.0, 7.0, 6.0], dtype=np.float32))
    >>> ranking.slots(np.array([0, 1, 2])).tolist()
    [1, 2, 0]
    """

    def __init__(self, capacity: int) -> None:
        if not 1 <= capacity < 2**31:
            message = f"a ranking of {capacity} slots was asked for, expected 1 to {2**31 - 1}"
            raise InputError(message)
        self.values = np.zeros(capacity, dtype=np.float32)
        self._nodes = np.full((capacity, 4), NONE, dtype=np.int32)
        self._nodes[:, SIZE] = 0
        # The top of the tree, as a pair of which the second number is not used.
        self._root = np.array([NONE], dtype=np.int32)

    def __len__(self) -> int:
        root = int(self._root[0])
        return int(self._nodes[root, SIZE]) if root != NONE else 0

    def put(self, slots: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Fill slots with values, in the place of those that they had."""
        self.values[slots] = values
        _put(self._nodes, self._root, slots, _keys(values))

    def slots(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots of ranks, 0 for the greatest value."""
        return _select(self._nodes, self._root, ranks)


def _keys(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return whole numbers in the order of floating-point ones: their bits, those of negative ones turned round."""
    bits = (np.ascontiguousarray(values, dtype=np.float32) + np.float32(0)).view(np.int32)
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


@njit(cache=True)
def _priority(slot: Any) -> Any:
    """A fixed pseudo-random number of a slot: a permutation of the 32-bit numbers."""
    value = np.uint64(slot)
    mask = np.uint64(0xFFFFFFFF)
    value ^= value >> np.uint64(16)
    value = (value * np.uint64(0x7FEB352D)) & mask
    value ^= value >> np.uint64(15)
    value = (value * np.uint64(0x846CA68B)) & mask
    return value ^ (value >> np.uint64(16))


@njit(cache=True)
def _before(key: Any, slot: Any, nodes: Any, node: Any) -> Any:
    """Whether a key and its slot rank before a node."""
    other = nodes[node, KEY]
    if key != other:
        return key > other
    return slot < node


@njit(cache=True)
def _link(nodes: Any, root: Any, parent: Any, side: Any, child: Any) -> None:
    if parent == NONE:
        root[0] = child
    else:
        nodes[parent, side] = child


@njit(cache=True)
def _resize(nodes: Any, node: Any) -> None:
    size = 1
    for side in range(2):
        if nodes[node, side] != NONE:
            size += nodes[nodes[node, side], SIZE]
    nodes[node, SIZE] = size


@njit(cache=True)
def _insert(nodes: Any, root: Any, slot: Any, key: Any, path: Any) -> None:
    priority = _priority(slot)
    parent, side, node = NONE, 0, root[0]
    while node != NONE and _priority(node) > priority:
        nodes[node, SIZE] += 1
        parent, side = node, 0 if _before(key, slot, nodes, node) else 1
        node = nodes[node, side]
    _link(nodes, root, parent, side, slot)
    # Split what was there into the nodes before the slot and those after it.
    ends = np.array([slot, slot], dtype=np.int32)
    sides = np.array([0, 1], dtype=np.int32)
    nodes[slot, BEFORE] = nodes[slot, AFTER] = NONE
    nodes[slot, KEY] = key
    depth = 0
    while node != NONE:
        after = 1 if _before(key, slot, nodes, node) else 0
        path[depth] = node
        depth += 1
        nodes[ends[after], sides[after]] = node
        ends[after], sides[after] = node, 1 - after
        node = nodes[node, 1 - after]
    for which in range(2):
        nodes[ends[which], sides[which]] = NONE
    for position in range(depth - 1, -1, -1):
        _resize(nodes, path[position])
    _resize(nodes, slot)


@njit(cache=True)
def _remove(nodes: Any, root: Any, slot: Any) -> None:
    key = nodes[slot, KEY]
    parent, side, node = NONE, 0, root[0]
    while node != slot:
        nodes[node, SIZE] -= 1
        parent, side = node, 0 if _before(key, slot, nodes, node) else 1
        node = nodes[node, side]
    # Merge its subtrees; every node on the way takes in what is left of the other one.
    left, right = nodes[slot, BEFORE], nodes[slot, AFTER]
    while left != NONE and right != NONE:
        if _priority(left) > _priority(right):
            nodes[left, SIZE] += nodes[right, SIZE]
            _link(nodes, root, parent, side, left)
            parent, side = left, 1
            left = nodes[left, AFTER]
        else:
            nodes[right, SIZE] += nodes[left, SIZE]
            _link(nodes, root, parent, side, right)
            parent, side = right, 0
            right = nodes[right, BEFORE]
    _link(nodes, root, parent, side, left if left != NONE else right)
    nodes[slot, SIZE] = 0


@njit(cache=True)
def _put(nodes: Any, root: Any, slots: Any, keys: Any) -> None:
    path = np.empty(DEEPEST, dtype=np.int32)
    for position in range(len(slots)):
        slot = slots[position]
        if nodes[slot, SIZE] > 0:
            _remove(nodes, root, slot)
        _insert(nodes, root, slot, keys[position], path)


@njit(cache=True)
def _select(nodes: Any, root: Any, ranks: Any) -> Any:
    found = np.empty(len(ranks), dtype=np.int64)
    for position in range(len(ranks)):
        rank = ranks[position]
        node = root[0]
        while True:
            left = nodes[node, BEFORE]
            before = nodes[left, SIZE] if left != NONE else 0
            if rank == before:
                break
            if rank < before:
                node = left
            else:
                rank -= before + 1
                node = nodes[node, AFTER]
        found[position] = node
    return found
