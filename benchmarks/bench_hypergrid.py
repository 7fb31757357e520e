"""The hypergrid of four dimensions with eight points each: the cost of an iteration, and how near the reward it comes.

Trajectory balance with batches of 128, two hidden layers of 256 and a learned backward policy on the same trunk, as
torchgfn's example has it. Costs are processor time of one thread, the median over blocks of iterations.
"""

import statistics
import time

import torch

from harness import Row, write_results
from helicell.core.samplers.discrete import DiscreteSettings, DiscreteTrainer, HyperGrid
from helicell.core.samplers.discrete.exact import (
    log_partition,
    target_distribution,
    terminal_distribution,
    total_variation,
)
from helicell.core.samplers.discrete.policies import tabulated

# torchgfn 2.4.1 on the same grid, batch and network, as measured on a nearly untrained policy, in milliseconds.
PUBLISHED, GOAL = 42.8, 10.0
BLOCK = 20
ITERATIONS = 1500


def main() -> None:
    """Measure everything and write the table."""
    torch.set_num_threads(1)
    write_results("hypergrid", grid_rows(), {"clock": "processor time, median", "iterations": ITERATIONS})


def grid_rows() -> list[Row]:
    """Measure an iteration of trajectory balance on the 4 x 8 grid, and how near it comes to the exact distribution."""
    name = "hypergrid 4 x 8, batch 128, tb"
    grid = HyperGrid(4, 8)
    made = [Row(f"{name}: torchgfn 2.4.1, as measured before", PUBLISHED, "ms")]
    for label, lag in (("every walk by the newest policy", 0), ("walks lag by up to 50 iterations", 50)):
        trainer = DiscreteTrainer(grid, DiscreteSettings(batch=128, lag=lag, iterations=ITERATIONS))
        costs = [_block(trainer) for _ in range(ITERATIONS // BLOCK)]
        early, late = statistics.median(costs[:5]), statistics.median(costs[-25:])
        made.append(Row.at_most(f"{name}, {label}: first 100 iterations", early, GOAL, unit="ms"))
        made.append(Row.at_most(f"{name}, {label}: iterations 1000 to 1500", late, GOAL, unit="ms"))
        ends = terminal_distribution(grid, tabulated(trainer.policy, grid).log_forward)
        distance = total_variation(ends, target_distribution(grid))
        made.append(Row(f"{name}, {label}: total variation after 1500 iterations", distance))
        error = abs(trainer.estimate_log_z() - log_partition(grid))
        made.append(Row(f"{name}, {label}: error of the learned log Z", error))
    return made


def _block(trainer: DiscreteTrainer) -> float:
    """Return the cost of an iteration, in milliseconds, over a block."""
    start = time.process_time()
    for _ in range(BLOCK):
        trainer.step()
    return (time.process_time() - start) / BLOCK * 1e3


if __name__ == "__main__":
    main()
