"""Spread independent pieces of work over processes; results keep their order whatever the number of processes."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

# Pieces sent to a process at once: few enough that all end together, many enough that sending costs nothing.
CHUNKS_PER_WORKER = 16


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Result]:
    """Apply a function to each item, in this process or in several.

    Parameters
    ----------
    function : callable
        Defined at the top of a module, so that another process can import it.
    items : sequence
        What to apply it to.
    workers : int
        Number of processes; 1 works in this one.
    advance : callable
        Told the number of items just done.

    Yields
    ------
    Result
        One for each item, in the order of the items.
    """
    if workers <= 1 or len(items) < 2:
        for item in items:
            yield function(item)
            advance(1)
        return
    chunk = max(1, len(items) // (workers * CHUNKS_PER_WORKER))
    # Fresh processes: a fork would copy the threads' locks of whatever the caller has loaded.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
        for result in pool.map(function, items, chunksize=chunk):
            yield result
            advance(1)
