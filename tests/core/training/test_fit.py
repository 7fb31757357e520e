"""The training loop on a problem with a known answer: it learns, averages, and resumes to the same bytes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helicell.core.training.fit import ExponentialAverage, fit
from helicell.core.training.module import FlowTraining
from helicell.core.training.settings import OptimiserSettings

# Lightning's own use of torch's trees and its advice on loaders.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*srun.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
]

SLOPE = torch.tensor([[2.0, -1.0]])


class Regression(nn.Module):
    """Fits y = slope . x from noisy draws."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        noise = 0.1 * torch.randn(len(batch), 1, generator=generator)
        return {"loss": (self.linear(batch) - batch @ SLOPE.T - noise).square().mean()}


class Stream:
    """Endless seeded batches with a position."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.drawn = 0
        self.fails_at = fails_at

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            if self.drawn == self.fails_at:
                raise MemoryError
            self.drawn += 1
            yield torch.randn(32, 2, generator=torch.Generator().manual_seed(self.drawn))

    def state_dict(self) -> dict[str, int]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.drawn = state["drawn"]


def train(folder: Path, *, steps: int, resume: bool = False, fails_at: int | None = None) -> Tensor:
    """Fit the regression and return its averaged weights."""
    settings = OptimiserSettings(steps=steps, learning_rate=0.1, warm_up=5, decay_share=0.0, average_decay=0.9)
    module = FlowTraining(Regression(), settings, seed=3)
    fit(
        module,
        Stream(fails_at=fails_at),
        validation=[torch.eye(2)],
        folder=folder,
        checkpoint_every=20,
        validate_every=20,
        resume=resume,
        progress=False,
        accelerator="cpu",
    )
    return module.objective.linear.weight.detach()


def test_learns_the_known_answer_and_logs_it(tmp_path: Path) -> None:
    """Averaged weights come within the noise of the truth, and the log tells of training and validation."""
    weight = train(tmp_path, steps=100)
    torch.testing.assert_close(weight, SLOPE, atol=0.05, rtol=0)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {entry["event"] for entry in entries} == {"train", "validation"}
    assert entries[-1]["loss"] < 0.05


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    """A run that died at step 50 goes on from its checkpoint at 40 and ends, bit for bit, like one that never died."""
    whole = train(tmp_path / "whole", steps=80)
    with pytest.raises(MemoryError):
        train(tmp_path / "parts", steps=80, fails_at=50)
    resumed = train(tmp_path / "parts", steps=80, resume=True)
    assert torch.equal(whole, resumed)


def test_the_average_forgets_the_start() -> None:
    """After few steps the average weighs the present; after many its decay is the one asked for."""
    average = ExponentialAverage(0.999)
    start, now = torch.zeros(1), torch.ones(1)
    assert average(start, now, torch.tensor(0)).item() == pytest.approx(0.9)
    assert average(start, now, torch.tensor(10**6)).item() == pytest.approx(0.001, rel=1e-3)
