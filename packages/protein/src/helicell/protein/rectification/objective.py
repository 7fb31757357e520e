"""What a rectified flow is trained for: the losses of any backbone flow, between ends that belong together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.paths import BetaTimes, TimeDensity, UniformTimes, UShapedTimes
from helicell.protein.flow import BackboneObjective
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.settings import ObjectiveSettings

TIMES: dict[str, TimeDensity] = {
    "uniform": UniformTimes(),
    "early": BetaTimes(b=2.0),
    "late": BetaTimes(a=2.0),
    "u-shaped": UShapedTimes(),
}


class RectificationObjectiveSettings(ObjectiveSettings):
    """Times and losses of a round of rectification; shares of times of the base class are not used."""

    times: Literal["uniform", "early", "late", "u-shaped"] = Field("uniform", description="density of the times")
    huber: float | None = Field(
        None, gt=0, description="error of a velocity from which its loss is linear; null for squared throughout"
    )


class RectificationObjective(BackboneObjective):
    """The training loss of a round of rectification.

    Parameters
    ----------
    network
        The denoiser, with the weights of the flow that made the pairs.
    settings
        Times and the weights of the losses.
    """

    def __init__(self, network: CompactNetwork, settings: RectificationObjectiveSettings) -> None:
        super().__init__(network, settings)
        self.times = TIMES[settings.times]
        self.huber = settings.huber
