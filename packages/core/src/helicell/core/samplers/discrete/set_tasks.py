"""The set tasks of the forward-looking GFlowNets paper, in three sizes.

Items have one of ten energies. A task is defined here by these levels and how many items have each; the order of the
items, which the walk cannot tell, is by level. Exact log Z: 11.89239, 45.37895 and 48.39195.

Pan and others, Better training of GFlowNets with local credit and incomplete trajectories, arXiv 2302.01687.
"""

from __future__ import annotations

import torch

from helicell.core.citations import cited
from helicell.core.errors import unknown_option
from helicell.core.samplers.discrete.sets import AdditiveSets

# For each task: the size of the sets, how many items have each energy, and the ten energies.
_TASKS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "small": (
        20,
        3,
        (
            -0.438139785,
            -0.400464491,
            -0.274505975,
            0.013149745,
            0.411053572,
            0.626174916,
            0.696147446,
            0.744228214,
            0.820635029,
            0.883494922,
        ),
    ),
    "medium": (
        60,
        8,
        (
            -0.786683041,
            -0.783787295,
            -0.523049756,
            -0.418608067,
            -0.385520573,
            0.296121822,
            0.573180245,
            0.600929162,
            0.688181252,
            0.739635097,
        ),
    ),
    "large": (
        80,
        10,
        (
            -0.859685411,
            -0.593878962,
            -0.559617737,
            -0.458999772,
            -0.153829575,
            0.138321827,
            0.392502918,
            0.723198258,
            0.732698986,
            0.924453838,
        ),
    ),
}
SET_TASKS = tuple(_TASKS)


@cited("pan2023better")
def set_task(size: str) -> AdditiveSets:
    """Return a task by its size, "small", "medium" or "large": 20 of 30, 60 of 80, or 80 of 100 items.

    Raises
    ------
    InputError
        If there is no such task.

    Examples
    --------
    >>> round(float(set_task("small").log_partition()), 4)
    11.8924
    """
    if size not in _TASKS:
        raise unknown_option("set task", size, SET_TASKS)
    chosen, copies, energies = _TASKS[size]
    weights = -torch.tensor(energies, dtype=torch.float64).repeat_interleave(copies)
    return AdditiveSets(weights, chosen)
