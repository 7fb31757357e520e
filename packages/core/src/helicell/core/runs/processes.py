"""The processes of one distributed job, told apart by what started them: torchrun, srun, or Lightning itself.

This is for what comes before the processes are connected, such as making the output folder, which only one may do.
"""

from __future__ import annotations

import os

__all__ = ["is_first_process"]

# Of torchrun and others; of processes that Lightning starts on one node; of its nodes; of srun. Each is 0 or absent in
# the first process, and at least one of them is not in any other.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Tell whether this is the first process of a distributed job, or the only one of any other job."""
    return all(os.environ.get(name, "0") in ("0", "") for name in RANKS)
