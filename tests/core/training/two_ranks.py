"""A training that `test_ranks` starts as two processes, and as one: fits y = slope . x on batches of 32 rows.

Each process takes its share of the rows of every batch, so that two see together what one sees alone.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from helicell.core.training.fit import fit
from helicell.core.training.module import FlowTraining
from helicell.core.training.settings import OptimiserSettings

SLOPE = torch.tensor([[2.0, -1.0]])
ROWS = 32


class Regression(nn.Module):
    """The squared error; the generator is drawn from, so that it must be there, and does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        torch.randn(1, generator=generator)
        return {"loss": (self.linear(batch) - batch @ SLOPE.T).square().mean()}


class Shares:
    """Endless seeded batches, of which this process takes its rows."""

    def __iter__(self) -> Iterator[Tensor]:
        number = 0
        while True:
            number += 1
            batch = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(number))
            ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
            rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
            yield batch[rank::ranks]


def main(out: Path, devices: int) -> None:
    """Train, and save the averaged weights under the number of this process."""
    torch.manual_seed(0)
    settings = OptimiserSettings(steps=20, learning_rate=0.1, warm_up=5, decay_share=0.0, average_decay=0.9)
    module = FlowTraining(Regression(), settings, seed=3)
    fit(
        module,
        Shares(),
        validation=[torch.eye(2), torch.eye(2)],
        folder=out,
        validate_every=10,
        progress=False,
        accelerator="cpu",
        devices=devices,
    )
    torch.save(module.state_dict(), out / f"rank{module.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
