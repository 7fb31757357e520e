"""The ways that the cells of one population take: the trained field, followed, and what moves all of them alike.

A cell goes a share of the way of the flow, and besides it the shift of its population; `calibration` says which share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.cells.conditions import ConditionBatch
from helicell.cells.fields import Context
from helicell.cells.objective import build_path
from helicell.cells.references import ReferenceBatch
from helicell.core.dynamics.guidance import ClassifierFree
from helicell.core.dynamics.ode import integrate
from helicell.core.dynamics.sde import simulate
from helicell.core.errors import InputError

if TYPE_CHECKING:
    from helicell.cells.network import PopulationNetwork

Cells = Float[Tensor, "cells features"]


class Ways:
    """How one population moves under one treatment.

    Parameters
    ----------
    network
        The trained network.
    references, conditions
        The population and the treatment, batches of one.
    guidance
        Above 1, exaggerates what the treatment adds.
    steps
        Of the solver; those of the settings unless given.

    Attributes
    ----------
    shift
        How all cells move alike, besides what the flow does.

    Raises
    ------
    InputError
        If the network was not trained for guidance.
    """

    def __init__(
        self,
        network: PopulationNetwork,
        references: ReferenceBatch,
        conditions: ConditionBatch,
        *,
        guidance: float = 1.0,
        steps: int | None = None,
    ) -> None:
        self.network, self.steps = network, steps or network.settings.steps
        self._outputs = self._steered(network.context(references, conditions))
        self.shift = network.shifts(references, conditions)[0]
        if guidance != 1:
            self._guide(references, conditions, guidance)
        if network.keeps_means:
            # The flow was trained to leave the mean of every population where it is; what is left of that is taken off.
            cells = references.cells[0]
            self.shift = self.shift - (self.ends(cells) - self.shift - cells).mean(dim=0)

    def ends(self, x: Cells) -> Cells:
        """Return where cells end up."""
        times = 1 if self.network.settings.method == "dopri5" else self.steps
        end = integrate(self.velocity, x, times, method=self.network.settings.method).x
        return self._ahead(x, end)  # type: ignore[arg-type]

    def random_ends(self, x: Cells, noise: float, generator: torch.Generator) -> Cells:
        """Return where cells end up with noise of some strength on their ways.

        Raises
        ------
        InputError
            If the network was not trained for noise.
        """
        if not self.network.noisy:
            message = "noise needs a model that was trained with path.gamma; train one, or leave it at 0"
            raise InputError(message)
        path = build_path(self.network.settings.path)

        def epsilon(t: Tensor) -> Tensor:
            # As the square of gamma, so that nothing is divided by a gamma of zero at the ends.
            return noise * torch.as_tensor(path.gamma.value(t)) ** 2

        def score(x: Tensor, t: Tensor) -> Tensor:
            gamma = torch.as_tensor(path.gamma.value(t)).clamp_min(1e-6)
            return -self.noise(x, t) / gamma[:, None]

        end = simulate(self.velocity, score, x, 2 * self.steps, epsilon=epsilon, generator=generator).x
        return self._ahead(x, end)  # type: ignore[arg-type]

    def states(self, x: Cells, points: int) -> Float[Tensor, "points cells features"]:
        """Return cells at so many equal times, the first and the last among them; the shift is spread over time."""
        # Between two points the solver takes as many steps as make at least those of the settings on the whole way.
        between = -(-self.steps // (points - 1))
        at, found = x, [x]
        for number in range(1, points):
            times = torch.linspace((number - 1) / (points - 1), number / (points - 1), between + 1)
            at = integrate(self.velocity, at, times, method=self.network.settings.method).x  # type: ignore[assignment]
            found.append(self._ahead(x, at, time=number / (points - 1)))
        return torch.stack(found)

    def velocity(self, x: Cells, t: Tensor) -> Cells:
        """Return the velocity of the flow, all of it."""
        return self._outputs(x, t)[:, : self.network.features]

    def noise(self, x: Cells, t: Tensor) -> Cells:
        """Return the expected noise at x, in units of its standard deviation."""
        return self._outputs(x, t)[:, self.network.features :] / self.network.field.spread

    def _ahead(self, x: Tensor, at: Tensor, *, time: float = 1.0) -> Tensor:
        return torch.lerp(x, at, self.network.share) + time * self.shift

    def _guide(self, references: ReferenceBatch, conditions: ConditionBatch, guidance: float) -> None:
        if not self.network.settings.condition.dropout:
            message = (
                "guidance needs a model that was trained with condition.dropout over 0; train one, or leave it at 1"
            )
            raise InputError(message)
        everyone = torch.ones(1, dtype=torch.bool, device=references.cells.device)
        null = self._steered(self.network.context(references, conditions, everyone))
        self._outputs = ClassifierFree(self._outputs, null, scale=guidance)
        average = self.network.shifts(references, conditions, average=True)[0]
        self.shift = torch.lerp(average, self.shift, guidance)

    def _steered(self, context: Context) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, t: self.network.field(x[None], t.expand(len(x))[None], context)[0]
