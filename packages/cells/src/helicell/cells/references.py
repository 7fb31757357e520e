"""What an encoder looks at: reference cells of a control population, their graph and moments, made once.

Nothing here has parameters, so nothing here can go stale: vectors are made of it anew at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from helicell.cells.graphs import NeighbourMean, neighbour_edges
from helicell.core.errors import InputError

# Rows of a population that are looked at together where all of its cells count.
CHUNK = 16_384
# Bandwidths of the random features, as shares of the spread of a population's cells.
SHARES = (0.25, 0.5, 1.0)
# Correlations are moments too where there are few enough of them.
MOST_CORRELATED = 24


@dataclass(frozen=True, slots=True)
class Reference:
    """One control population as encoders see it.

    Attributes
    ----------
    cells
        A sample of its cells.
    moments
        Of all of its cells.
    neighbours
        The graph of `cells`, for encoders that use one.
    index
        Which of the training populations it is; -1 for a new one.
    """

    cells: Float[Tensor, "cells features"]
    moments: Float[Tensor, " moments"]
    neighbours: NeighbourMean | None = None
    index: int = -1


@dataclass(frozen=True, slots=True)
class ReferenceBatch:
    """References of several populations, padded.

    Attributes
    ----------
    cells, mask
        The cells, and which of them are no padding.
    moments, index
        As in `Reference`.
    neighbours
        The joint graph of all cells, padding included, row by row.
    """

    cells: Float[Tensor, "populations cells features"]
    mask: Bool[Tensor, "populations cells"]
    moments: Float[Tensor, "populations moments"]
    index: Int[Tensor, " populations"]
    neighbours: NeighbourMean | None = None

    @classmethod
    def of(cls, references: Sequence[Reference]) -> ReferenceBatch:
        """Return the batch of some references."""
        longest = max(len(reference.cells) for reference in references)
        features = references[0].cells.shape[1]
        cells = torch.zeros(len(references), longest, features)
        mask = torch.zeros(len(references), longest, dtype=torch.bool)
        for i, reference in enumerate(references):
            cells[i, : len(reference.cells)] = reference.cells
            mask[i, : len(reference.cells)] = True
        graphs = [reference.neighbours for reference in references if reference.neighbours is not None]
        neighbours = NeighbourMean.joined(graphs, stride=longest) if graphs else None
        return cls(
            cells,
            mask,
            torch.stack([reference.moments for reference in references]),
            torch.tensor([reference.index for reference in references]),
            neighbours,
        )

    def to(self, device: torch.device) -> ReferenceBatch:
        """Return the batch on a device."""
        return ReferenceBatch(
            self.cells.to(device),
            self.mask.to(device),
            self.moments.to(device),
            self.index.to(device),
            None if self.neighbours is None else self.neighbours.to(device),
        )


class Moments(nn.Module):
    """Means and standard deviations, correlations where there are few features, and means of random features.

    The mean of cos(w x + b) over a population is its characteristic function at w; many of them tell populations apart
    as the maximum mean discrepancy does. Frequencies w are drawn for kernels of three bandwidths, and are kept with
    the model.

    Parameters
    ----------
    features
        Of a cell.
    random_features
        How many random features.
    spread
        The standard deviation within populations, over all features.
    generator
        Of the frequencies.

    References
    ----------
    Rahimi and Recht, Random features for large-scale kernel machines, NeurIPS 2007.
    """

    def __init__(
        self, features: int, *, random_features: int, spread: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        frequencies = torch.randn(features, random_features, generator=generator)
        # Where there are many features, distances grow with their root; so does the bandwidth of a kernel.
        bandwidth = torch.tensor(SHARES).repeat(-(-random_features // len(SHARES)))[:random_features]
        frequencies /= bandwidth * spread * features**0.5
        phases = torch.rand(random_features, generator=generator) * (2 * torch.pi)
        self.frequencies: Tensor
        self.phases: Tensor
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("phases", phases)
        self.correlated = 1 < features <= MOST_CORRELATED
        self.count = 2 * features + random_features + (features * (features - 1) // 2 if self.correlated else 0)

    def forward(self, cells: Float[Tensor, "cells features"]) -> Float[Tensor, " moments"]:
        """Return the moments of a population."""
        device = self.frequencies.device
        total = cells.shape[0]
        mean = sum(chunk.to(device).double().sum(dim=0) for chunk in cells.split(CHUNK)) / total
        second = torch.zeros(cells.shape[1], cells.shape[1], dtype=torch.float64, device=device)
        waves = torch.zeros(self.frequencies.shape[1], dtype=torch.float64, device=device)
        for chunk in cells.split(CHUNK):
            rows = chunk.to(device)
            centred = rows.double() - mean
            second += centred.T @ centred
            waves += torch.cos(rows @ self.frequencies + self.phases).double().sum(dim=0)
        variance = second.diagonal() / total
        deviation = variance.sqrt()
        parts = [mean, deviation, 2**0.5 * waves / total]
        if self.correlated:
            scale = deviation.clamp_min(1e-6)
            upper = torch.triu_indices(len(scale), len(scale), offset=1, device=device)
            parts.append((second / total / scale[:, None] / scale)[upper[0], upper[1]])
        return torch.cat(parts).float()


def make_reference(
    control: Float[Tensor, "controls features"],
    moments: Moments,
    *,
    cells: int,
    neighbours: int | None,
    generator: torch.Generator,
    index: int = -1,
) -> Reference:
    """Return a population as encoders see it.

    Parameters
    ----------
    control
        All of its cells.
    moments
        How moments are taken.
    cells
        How many cells are kept, drawn at random where there are more.
    neighbours
        Of the graph, or None for no graph.
    generator
        Of the draw.
    index
        Which training population it is.

    Raises
    ------
    InputError
        If the population is empty or not finite.
    """
    check_population("control", control)
    kept = control
    if len(control) > cells:
        kept = control[torch.randperm(len(control), generator=generator)[:cells].to(control.device)]
    kept = kept.cpu()
    graph = None
    if neighbours is not None:
        graph = NeighbourMean.of(neighbour_edges(kept, neighbours), cells=len(kept))
    return Reference(kept, moments(control).cpu(), graph, index)


def check_population(name: str, cells: Tensor, *, features: int | None = None) -> None:
    """Raise an error unless cells are a finite table with at least one row and, if given, so many features."""
    if cells.ndim != 2 or not cells.numel():
        message = f"the {name} cells have the shape {list(cells.shape)}, expected [cells, features] with one of each"
        raise InputError(message)
    if features is not None and cells.shape[1] != features:
        message = f"the {name} cells have {cells.shape[1]} features, the model {features}; give those it was trained on"
        raise InputError(message)
    if not cells.isfinite().all():
        count = int((~cells.isfinite()).sum())
        message = f"the {name} cells hold {count} numbers that are not finite; remove or replace them"
        raise InputError(message)
