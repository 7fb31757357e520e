"""The network of a `PopulationFlow`: encoders of population and condition, the field they steer, and growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from helicell.cells.conditions import ConditionBatch, ConditionEncoder, Conditions
from helicell.cells.encoders import BLIND, NEEDS_GRAPH, build_encoder
from helicell.cells.encoders.moments import MomentsEncoder
from helicell.cells.fields import ConditionedField, Context
from helicell.cells.references import Moments, Reference, ReferenceBatch, make_reference
from helicell.cells.responses import Response
from helicell.cells.settings import PopulationFlowSettings
from helicell.cells.shifts import ShiftRegression, mean_shifts
from helicell.core.runs.seeds import sample_generator


class PopulationNetwork(nn.Module):
    """All that is learned.

    Parameters
    ----------
    settings
        Sizes and kinds.
    features
        Of a cell.
    conditions
        The treatments and cell types.
    populations
        Number of training populations.
    spread
        The standard deviation within populations, over all features.
    seed
        Of random features; weights are drawn from torch's own generator.
    """

    def __init__(
        self,
        settings: PopulationFlowSettings,
        *,
        features: int,
        conditions: Conditions,
        populations: int,
        spread: float,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings, self.features, self.populations = settings, features, populations
        generator = sample_generator(seed, 0, stream="random features")
        self.moments = Moments(
            features, random_features=settings.encoder.random_features, spread=spread, generator=generator
        )
        self.encoder = build_encoder(settings.encoder, features=features, moments=self.moments, populations=populations)
        self.condition = ConditionEncoder(
            conditions.treatment_features, len(conditions.cell_types), width=settings.condition.width
        )
        channels = int(self.encoder.channels) + settings.condition.width  # type: ignore[arg-type]
        self.noisy = settings.path.gamma != "none"
        self.field = ConditionedField(
            features,
            2 * features if self.noisy else features,
            channels=channels,
            settings=settings.field,
            spread=spread,
            generator=generator,
        )
        self.shift = None
        if settings.shift.kind == "regressed":
            self.shift = ShiftRegression(
                populations,
                features=features,
                moments=0 if settings.encoder.kind in BLIND else 2 * features,
                condition_features=2 * (conditions.treatment_features - 2),
                cell_types=len(conditions.cell_types),
            )
        self.growth = None
        if settings.coupling.kind == "unbalanced":
            self.growth = ConditionedField(
                features, 1, channels=channels, settings=settings.field, spread=1.0, generator=generator
            )
        # How much of the way of the flow cells go; see `calibration`.
        self.share: Tensor
        self.register_buffer("share", torch.ones(()))

    @classmethod
    def like(cls, other: PopulationNetwork, *, conditions: Conditions, seed: int) -> PopulationNetwork:
        """Return an untrained network for the same data, with the same settings and random features."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(
                other.settings,
                features=other.features,
                conditions=conditions,
                populations=other.populations,
                spread=float(other.field.spread),
                seed=seed,
            )

    @property
    def keeps_means(self) -> bool:
        """Whether the field, besides the regressed shift, leaves the mean of a population where it is."""
        return self.shift is not None and self.growth is None and self.settings.encoder.kind not in BLIND

    def reference(self, control: Tensor, *, seed: int, number: int = 0, index: int = -1) -> Reference:
        """Return a control population as the encoder sees it.

        Parameters
        ----------
        control
            Its cells, shape [controls, features].
        seed, number
            Determine which cells are drawn.
        index
            Which training population it is.
        """
        encoder = self.settings.encoder
        return make_reference(
            control,
            self.moments,
            cells=encoder.cells,
            neighbours=encoder.neighbours if encoder.kind in NEEDS_GRAPH else None,
            generator=sample_generator(seed, number, stream="reference"),
            index=index,
        )

    def context(
        self,
        references: ReferenceBatch,
        conditions: ConditionBatch,
        dropped: Bool[Tensor, " populations"] | None = None,
    ) -> Context:
        """Return what the field is told of each population, computed anew from its cells."""
        return self.field.context(self._vector(references, conditions, dropped), references.cells, references.mask)

    def masses(
        self, x: Float[Tensor, "populations points features"], references: ReferenceBatch, conditions: ConditionBatch
    ) -> Float[Tensor, "populations points"]:
        """Return what a mass of one at each control cell becomes."""
        if self.growth is None:
            return torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
        vector = self._vector(references, conditions, None)
        context = self.growth.context(vector, references.cells, references.mask)
        # exp, so that masses are positive and equal to one at the start of training.
        return self.growth(x, torch.zeros_like(x[..., 0]), context).squeeze(2).float().clamp(-10, 10).exp()

    def _vector(self, references: ReferenceBatch, conditions: ConditionBatch, dropped: Tensor | None) -> Tensor:
        return torch.cat((self.encoder(references), self.condition(conditions, dropped)), dim=1)

    def shifts(
        self, references: ReferenceBatch, conditions: ConditionBatch, *, average: bool = False
    ) -> Float[Tensor, "populations features"]:
        """Return the part of the way that all cells of a population go alike, besides what the field does."""
        if self.shift is None:
            return references.cells.new_zeros(len(references.cells), self.features)
        return self.shift(references.moments, conditions, average=average)

    @torch.no_grad()
    def start_from(
        self, responses: Sequence[Response], references: Sequence[Reference], conditions: ConditionBatch
    ) -> list[Response]:
        """Take scales from the training populations, and fit their shifts or start from the mean of them.

        Returns
        -------
        list of Response
            What is left for the field: the responses without the shifts that are fitted.
        """
        moments = torch.stack([reference.moments for reference in references])
        if isinstance(self.encoder, MomentsEncoder):
            self.encoder.fit_scale(moments)
        shifts = mean_shifts(responses)
        if self.shift is None:
            self.field.drift.bias[: self.features] = shifts.mean(dim=0) / self.field.spread
            return list(responses)
        self.shift.fit(responses, moments, conditions)
        return [replace(r, treated=r.treated - shift) for r, shift in zip(responses, shifts, strict=True)]


def spread_within(responses: Sequence[Response]) -> float:
    """Return the standard deviation within control populations, over all features; 1 where there is none."""
    variances = [response.control.double().var(dim=0, unbiased=False).mean() for response in responses]
    return float(torch.stack(variances).mean().sqrt()) or 1.0
