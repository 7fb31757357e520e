"""The light training loop, held against torch's own average of weights."""

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from helicell.core.training.averages import ExponentialAverage
from helicell.core.training.loop import minimise
from helicell.core.training.optimisers import adamw
from helicell.core.training.settings import OptimiserSettings


class Line(nn.Module):
    """A line through points, with its squared error."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, batch: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": (self.line(batch[:, :3]) - batch[:, 3:]).square().mean()}


def test_weights_are_left_at_the_average_that_torch_takes() -> None:
    """After the same steps the weights equal those of AveragedModel with the same decay."""
    settings = OptimiserSettings(steps=30, warm_up=3, average_decay=0.9, learning_rate=0.1)
    batches = torch.randn(30, 8, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    ours, plain = Line(), Line()
    plain.load_state_dict(ours.state_dict())
    minimise(ours, batches, settings, seed=0)
    optimiser = adamw(plain.parameters(), learning_rate=0.1, weight_decay=settings.weight_decay)
    schedule = LambdaLR(optimiser, settings.rate_factor)
    average = AveragedModel(plain, avg_fn=ExponentialAverage(0.9))
    for batch in batches:
        optimiser.zero_grad()
        plain(batch, torch.Generator())["loss"].backward()
        nn.utils.clip_grad_norm_(plain.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        average.update_parameters(plain)
    for mine, theirs in zip(ours.parameters(), average.module.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)
    assert not torch.allclose(ours.line.weight, plain.line.weight, atol=1e-4)
