"""From measurements to the space that a model works in, and back, with parameters that are fitted once and stored.

Three steps, each of which can be left out: spread (arcsinh of intensities, or the logarithm of normalised counts of the
most variable genes), principal components, and scale. They are fitted on the populations that are given to
`Preprocessing.fit`, which should be those of the training split alone: a mean that has seen a held-out donor has told
the model about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from torch import Tensor

from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.settings import Settings

Floats = NDArray[np.float64]

# Cells from which variable genes and components are found; more of them change neither, but fill the memory.
FIT_CELLS = 50_000
# A feature that does not vary is centred, but not divided by its spread of zero.
LEAST_SPREAD = 1e-8


class Measurements(Protocol):
    """What a preprocessing is fitted on: `populations.Populations`."""

    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def donors(self) -> tuple[str, ...]: ...
    def used_rows(self) -> NDArray[np.int64]: ...
    def matrix(self, rows: ArrayLike) -> NDArray[np.float32]: ...
    def chunks(self, rows: ArrayLike) -> Iterator[NDArray[np.float32]]: ...


class PreprocessingSettings(Settings):
    """What is done to the measurements of a cell."""

    kind: Literal["none", "arcsinh", "counts"] = Field(
        "none", description="arcsinh(x / cofactor) of cytometry, normalised log(1 + x) of counts, or neither"
    )
    cofactor: float = Field(5.0, gt=0, description="of arcsinh: 5 for mass cytometry, 150 for fluorescence")
    linear: tuple[str, ...] = Field((), description="features that arcsinh leaves as they are, such as scatter")
    target_sum: float | None = Field(
        None, gt=0, description="of counts: what every cell is normalised to; unless given, the training cells' median"
    )
    highly_variable: int | None = Field(None, ge=1, description="of counts: how many genes to keep; unless given, all")
    components: int | None = Field(None, ge=1, description="principal components to work in; unless given, features")
    scale: Literal["single", "none", "each"] = Field(
        "single", description="divide by one number, the features' mean spread; by nothing; or each by its own spread"
    )

    @model_validator(mode="after")
    def _fitting(self) -> PreprocessingSettings:
        if self.highly_variable is not None and self.kind != "counts":
            message = f"highly_variable needs counts, the kind is {self.kind}"
            raise ValueError(message)
        if self.linear and self.kind != "arcsinh":
            message = f"linear features need arcsinh, the kind is {self.kind}"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessing:
    """Fitted preprocessing: `transform` there, `inverse` back.

    Attributes
    ----------
    settings
        What is done.
    features
        What `transform` takes, in order.
    kept
        Positions among them of the features that are modelled.
    target_sum
        What counts are normalised to.
    offset, loadings
        Mean [kept] and axes [kept, components] of the principal components; `loadings` is None without them.
    centre, spread
        What is subtracted and divided by at last, shape [dimensions].
    fitted_on
        Cells and donors of the fit, as a model card tells them.
    """

    settings: PreprocessingSettings
    features: tuple[str, ...]
    kept: NDArray[np.int64]
    target_sum: float
    offset: Floats
    loadings: Floats | None
    centre: Floats
    spread: Floats
    fitted_on: Mapping[str, Any]

    @classmethod
    def fit(cls, settings: PreprocessingSettings, populations: Measurements) -> Preprocessing:
        """Fit to all cells, treated and control, of the populations; give those of the training split.

        Raises
        ------
        InputError
            If counts are negative, more genes or components are asked for than there are, or nothing varies.
        """
        rows = populations.used_rows()
        target = _target_sum(settings, populations, rows)
        sample = np.sort(np.random.default_rng(0).permutation(rows)[:FIT_CELLS])
        spread_out = _spread(settings, populations.matrix(sample), target, populations.features)
        kept = _variable(settings, spread_out, populations.features)
        offset, loadings = _components(settings, spread_out[:, kept])
        del spread_out

        def projected() -> Iterator[Floats]:
            for chunk in populations.chunks(rows):
                values = _spread(settings, chunk, target, populations.features)[:, kept]
                yield values if loadings is None else (values - offset) @ loadings

        mean, deviation = _moments(projected, len(rows))
        centre, scale = _scale(settings, mean, deviation)
        return cls(
            settings=settings,
            features=populations.features,
            kept=kept,
            target_sum=target,
            offset=offset,
            loadings=loadings,
            centre=centre,
            spread=scale,
            fitted_on={"cells": len(rows), "donors": list(populations.donors)},
        )

    @classmethod
    def identity(cls, features: Sequence[str]) -> Preprocessing:
        """Return the preprocessing that changes nothing."""
        count = len(features)
        return cls(
            settings=PreprocessingSettings(kind="none", scale="none"),
            features=tuple(features),
            kept=np.arange(count),
            target_sum=1.0,
            offset=np.zeros(count),
            loadings=None,
            centre=np.zeros(count),
            spread=np.ones(count),
            fitted_on={},
        )

    @property
    def dimensions(self) -> int:
        """Number of coordinates that a model sees."""
        return len(self.centre)

    @property
    def kept_features(self) -> tuple[str, ...]:
        """What `inverse` gives back, in order: all features, or the variable ones."""
        return tuple(self.features[position] for position in self.kept)

    def transform(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Bring measurements into the space of the model.

        Parameters
        ----------
        values
            Shape [cells, features].

        Returns
        -------
        numpy.ndarray
            Shape [cells, dimensions].

        Raises
        ------
        InputError
            If the number of features is wrong, or a count is negative.
        """
        _check_width(values, len(self.features), "features", self.features)
        result = _spread(self.settings, values, self.target_sum, self.features)[:, self.kept]
        if self.loadings is not None:
            result = (result - self.offset) @ self.loadings
        return np.asarray((result - self.centre) / self.spread, dtype=np.float32)

    def inverse(self, values: NDArray[Any], *, totals: ArrayLike | None = None) -> NDArray[np.float32]:
        """Bring points of the model's space back to measurements.

        Parameters
        ----------
        values
            Shape [cells, dimensions].
        totals
            Of counts, the sum of every cell's counts over all features, shape [cells]; unless given, `target_sum`.

        Returns
        -------
        numpy.ndarray
            Shape [cells, kept features]. Exact without principal components; with them, what they hold. Counts are
            expected counts, not whole numbers, and never negative.

        Raises
        ------
        InputError
            If the number of dimensions is wrong.
        """
        _check_width(values, self.dimensions, "dimensions", ())
        result = np.asarray(values, dtype=np.float64) * self.spread + self.centre
        if self.loadings is not None:
            result = result @ self.loadings.T + self.offset
        if self.settings.kind == "arcsinh":
            spread_out = ~_linear(self.settings, self.features)
            result[:, spread_out] = np.sinh(result[:, spread_out]) * self.settings.cofactor
        if self.settings.kind == "counts":
            sizes = self.target_sum if totals is None else np.asarray(totals, dtype=np.float64)[:, None]
            result = np.expm1(np.maximum(result, 0.0)) * (sizes / self.target_sum)
        return result.astype(np.float32)

    def state(self) -> dict[str, Tensor]:
        """Return the fitted numbers, for a safetensors file; `describe` has the rest."""
        arrays = {"kept": self.kept, "offset": self.offset, "centre": self.centre, "spread": self.spread}
        arrays["target_sum"] = np.array([self.target_sum])
        if self.loadings is not None:
            arrays["loadings"] = self.loadings
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def describe(self) -> dict[str, Any]:
        """Return settings, features and origin as plain values, for a model card."""
        return {
            "settings": self.settings.to_mapping(),
            "features": list(self.features),
            "fitted_on": dict(self.fitted_on),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], description: Mapping[str, Any]) -> Preprocessing:
        """Restore what `state` and `describe` gave."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
        return cls(
            settings=PreprocessingSettings.from_mapping(description["settings"], source="preprocessing"),
            features=tuple(description["features"]),
            kept=arrays["kept"],
            target_sum=float(arrays["target_sum"][0]),
            offset=arrays["offset"],
            loadings=arrays.get("loadings"),
            centre=arrays["centre"],
            spread=arrays["spread"],
            fitted_on=description["fitted_on"],
        )


def _spread(settings: PreprocessingSettings, values: NDArray[Any], target: float, features: Sequence[str]) -> Floats:
    """Take the first step, from measurements to values whose differences mean the same everywhere."""
    result = np.asarray(values, dtype=np.float64)
    if settings.kind == "arcsinh":
        return np.where(_linear(settings, features), result, np.arcsinh(result / settings.cofactor))
    if settings.kind == "counts":
        _check_counts(result, features)
        totals = result.sum(axis=1, keepdims=True)
        return np.asarray(np.log1p(result * (target / np.where(totals > 0, totals, 1.0))))
    return result


def _linear(settings: PreprocessingSettings, features: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which features arcsinh leaves alone."""
    for name in settings.linear:
        if name not in features:
            raise unknown_option("linear feature", name, features)
    return np.isin(features, settings.linear)


def _target_sum(settings: PreprocessingSettings, populations: Measurements, rows: NDArray[np.int64]) -> float:
    if settings.kind != "counts":
        return 1.0
    if settings.target_sum is not None:
        return settings.target_sum
    totals = []
    for chunk in populations.chunks(rows):
        _check_counts(chunk, populations.features)
        totals.append(chunk.sum(axis=1, dtype=np.float64))
    counted = np.concatenate(totals)
    if not (counted > 0).any():
        message = "all counts are 0; is this the right layer?"
        raise InputError(message)
    return float(np.median(counted[counted > 0]))


def _variable(settings: PreprocessingSettings, values: Floats, features: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of the most variable genes, in order."""
    count = settings.highly_variable
    if count is None or count == len(features):
        return np.arange(len(features))
    if count > len(features):
        message = f"highly_variable is {count}, but there are only {len(features)} features"
        raise InputError(message)
    import scanpy

    from helicell.cells.tables import build_anndata

    adata = build_anndata(values, features=list(features))
    scanpy.pp.highly_variable_genes(adata, n_top_genes=count, flavor="seurat")
    return np.flatnonzero(adata.var["highly_variable"].to_numpy())


def _components(settings: PreprocessingSettings, values: Floats) -> tuple[Floats, Floats | None]:
    """Return mean and axes of the principal components; the largest entry of every axis is positive."""
    offset = np.asarray(values.mean(axis=0))
    if settings.components is None:
        return offset, None
    most = min(values.shape) - 1
    if settings.components > most:
        message = (
            f"components is {settings.components}, but {values.shape[0]} cells with {values.shape[1]} features have "
            f"at most {most}"
        )
        raise InputError(message)
    import scanpy

    result = scanpy.pp.pca(
        values, n_comps=settings.components, svd_solver="arpack", random_state=0, return_info=True, dtype="float64"
    )
    axes = np.asarray(result[1], dtype=np.float64).T
    largest = np.abs(axes).argmax(axis=0)
    return offset, axes * np.sign(axes[largest, np.arange(axes.shape[1])])


def _moments(chunks: Callable[[], Iterator[Floats]], count: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation in two passes, which lose no digits."""
    mean: Floats = sum(chunk.sum(axis=0) for chunk in chunks()) / count
    variance = sum(((chunk - mean) ** 2).sum(axis=0) for chunk in chunks()) / count
    return mean, np.asarray(np.sqrt(variance))


def _scale(settings: PreprocessingSettings, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    if settings.scale == "none":
        return np.zeros_like(mean), np.ones_like(mean)
    if deviation.max() < LEAST_SPREAD:
        message = "no feature varies among the training cells; is this the right layer?"
        raise InputError(message)
    if settings.scale == "single":
        return mean, np.full_like(mean, deviation.mean())
    return mean, np.where(deviation < LEAST_SPREAD, 1.0, deviation)


def _check_counts(values: NDArray[Any], features: Sequence[str]) -> None:
    if not (values < 0).any():
        return
    row, column = np.argwhere(values < 0)[0]
    message = (
        f"a count of {features[column]!r} is {values[row, column]:g}, expected 0 or more; "
        "counts come before any scaling: choose their layer, or another kind of preprocessing"
    )
    raise InputError(message)


def _check_width(values: NDArray[Any], width: int, what: str, names: Sequence[str]) -> None:
    if values.ndim == 2 and values.shape[1] == width:
        return
    listed = f": {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else ""
    message = f"the values have the shape {list(values.shape)}, expected [cells, {width} {what}]{listed}"
    raise InputError(message)
