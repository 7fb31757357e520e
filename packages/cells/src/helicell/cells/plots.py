"""Figures of predicted populations, each with the real cells or the baselines beside them.

Every function takes arrays and returns a matplotlib figure; `helicell.core.reports.figures.figure_svg` turns it into
SVG, in which clouds of cells are one picture each, so that a page of many cells stays small. Control cells are grey,
treated ones blue, predicted ones orange, in every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from helicell.core.reports.figures import FAINT_INK, PAPER, RULE, dot, legend_below, styled

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from helicell.cells.evaluation.intervals import Interval

__all__ = ["Cloud", "Spread", "changes", "clouds", "means", "overview", "populations", "trajectories"]

CONTROL = "#98a4b5"
TREATED = "#2f6fde"
PREDICTED = "#e8752a"
# Baselines by what they know: nothing, the training populations, the answer.
MARKS = {
    "identity": ("o", "#98a4b5", "identity"),
    "global_shift": ("D", "#8a63d2", "global shift"),
    "cell_type_shift": ("^", "#c04d9c", "cell-type shift"),
    "nearest_shift": ("s", "#17957f", "nearest shift"),
    "own_shift": ("X", "#2f6fde", "own shift (looks at the answer)"),
}
FLOOR = "#64748a"

# Width of a figure over the whole page and of one column, in inches.
PAGE, COLUMN = 11.0, 5.4
# Figures up to these heights, in inches, fit a screen.
MOST_PAGE_HEIGHT, MOST_COLUMN_HEIGHT = 5.0, 5.2
# Dots of an inch of the clouds' pictures; the rest of a figure is drawn as lines and text.
DOTS = 150
COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Cloud:
    """Cells of one population as points of the plane: a title, and arrays of shape (cells, 2)."""

    title: str
    control: NDArray[np.floating]
    treated: NDArray[np.floating]
    predicted: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Spread:
    """One measure for several predictors: its label, whether less is better, and the means with their intervals."""

    label: str
    less_is_better: bool
    intervals: Mapping[str, Interval]


@styled
def overview(shown: Sequence[Cloud], *, axis: str = "UMAP") -> Figure:
    """Draw all populations together: control, treated and predicted cells in a panel each, over the other real cells.

    Parameters
    ----------
    shown
        The populations.
    axis
        What the two coordinates are, before their numbers.
    """
    figure = Figure(figsize=(PAGE, 4.0), layout="constrained", dpi=DOTS)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    real = np.concatenate([cells for cloud in shown for cells in (cloud.control, cloud.treated)])
    for axes, title, colour, name in zip(
        panels,
        ("Control", "Treated", "Predicted"),
        (FAINT_INK, TREATED, PREDICTED),
        ("control", "treated", "predicted"),
        strict=True,
    ):
        cells = np.concatenate([getattr(cloud, name) for cloud in shown])
        _points(axes, real, CONTROL, alpha=0.18, size=4)
        _points(axes, cells, colour, alpha=0.5, size=4)
        axes.set_title(f"{title} ({len(cells):,} cells)")
    _without_ticks(panels, axis)
    _limits(panels, real)
    return figure


@styled
def clouds(shown: Sequence[Cloud], *, axis: str = "UMAP") -> Figure:
    """Draw a panel a population, with its control, treated and predicted cells.

    Parameters
    ----------
    shown
        The populations.
    axis
        What the two coordinates are, before their numbers.
    """
    figure, panels = _grid(len(shown), height=3.5)
    for axes, cloud in zip(panels, shown, strict=True):
        _points(axes, cloud.control, CONTROL, alpha=0.55, size=7)
        _points(axes, cloud.treated, TREATED, alpha=0.6, size=7)
        _points(axes, cloud.predicted, PREDICTED, alpha=0.6, size=7)
        axes.set_title(cloud.title)
    _without_ticks(panels, axis)
    _limits(panels, np.concatenate([cells for cloud in shown for cells in (cloud.control, cloud.treated)]))
    entries: list[Artist] = [
        dot("control", colour=CONTROL),
        dot("treated", colour=TREATED),
        dot("predicted", colour=PREDICTED),
    ]
    legend_below(figure, entries, columns=3)
    return figure


@styled
def trajectories(
    paths: Mapping[str, NDArray[np.floating]],
    shown: Mapping[str, Cloud],
    *,
    variances: tuple[float, float],
) -> Figure:
    """Draw the ways of some cells from control to prediction, over the real cells.

    Parameters
    ----------
    paths
        For each population the points of its cells along the way, shape (times, cells, 2).
    shown
        The populations of those names.
    variances
        Shares of the real cells' variance that lie along the two axes.
    """
    figure, panels = _grid(len(paths), height=3.6)
    for axes, (name, points) in zip(panels, paths.items(), strict=True):
        cloud = shown[name]
        _points(axes, cloud.control, CONTROL, alpha=0.3, size=6)
        _points(axes, cloud.treated, TREATED, alpha=0.3, size=6)
        # One line of all ways, broken by gaps, is a tenth of the size of a line for each.
        gaps = np.full((1, points.shape[1], 2), np.nan)
        lines = np.concatenate((points, gaps)).transpose(1, 0, 2).reshape(-1, 2)
        axes.plot(lines[:, 0], lines[:, 1], color=PREDICTED, linewidth=0.8, alpha=0.75, rasterized=True)
        _points(axes, points[-1], PREDICTED, alpha=0.95, size=9)
        axes.set_title(cloud.title)
        axes.set(xlabel=f"PC 1 ({variances[0]:.0%})", ylabel=f"PC 2 ({variances[1]:.0%})")
    entries: list[Artist] = [
        dot("control", colour=CONTROL),
        dot("treated", colour=TREATED),
        Line2D([], [], color=PREDICTED, linewidth=1.4, marker="o", markersize=4, label="way of a cell, and its end"),
    ]
    legend_below(figure, entries, columns=3)
    return figure


@styled
def populations(names: Sequence[str], values: Mapping[str, NDArray[np.floating]], *, label: str) -> Figure:
    """Draw a distance for every population: the model as a bar, the baselines as marks, the floor as a line.

    Parameters
    ----------
    names
        The populations, from top to bottom.
    values
        The distance of each population for the predictors, `floor` among them.
    label
        Of the distance.
    """
    figure = Figure(figsize=(COLUMN, max(2.6, 1.2 + 0.27 * len(names))), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(names))
    if "model" in values:
        axes.barh(rows, values["model"], height=0.62, color=PREDICTED, alpha=0.8)
    for name, (marker, colour, _) in MARKS.items():
        if name in values:
            axes.scatter(
                values[name], rows, s=30, marker=marker, color=colour, edgecolors=PAPER, linewidths=0.6, zorder=3
            )
    if "floor" in values:
        axes.vlines(values["floor"], rows - 0.42, rows + 0.42, color=FLOOR, linewidth=1.8, zorder=2)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    legend_below(figure, _entries(values), columns=2)
    return figure


@styled
def means(shown: Sequence[Spread]) -> Figure:
    """Draw the means of several measures over all populations, each predictor with its interval.

    Parameters
    ----------
    shown
        One a panel.
    """
    figure = Figure(figsize=(PAGE, 3.1), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, spread in zip(panels, shown, strict=True):
        known = {name: one for name, one in spread.intervals.items() if np.isfinite(one.mean)}
        for row, (name, interval) in enumerate(known.items()):
            colour = {"model": PREDICTED, "floor": FLOOR}.get(name) or MARKS.get(name, ("", TREATED, ""))[1]
            axes.barh(row, interval.mean, height=0.62, color=colour, alpha=0.8)
            axes.plot([interval.low, interval.high], [row, row], color=FAINT_INK, linewidth=1.6, solid_capstyle="butt")
        axes.set_yticks(range(len(known)), [name.replace("_", " ") for name in known])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("less is better" if spread.less_is_better else "more is better", color=FAINT_INK, fontsize=9)
        axes.set_title(spread.label)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(nbins=4))
    return figure


@styled
def changes(true: NDArray[np.floating], predicted: NDArray[np.floating], *, label: str) -> Figure:
    """Draw the predicted against the true mean change of every feature of every population.

    Parameters
    ----------
    true, predicted
        Shape (populations, features).
    label
        What a feature is, for the axes.
    """
    figure = Figure(figsize=(COLUMN, 4.4), layout="constrained", dpi=DOTS)
    axes = figure.subplots()
    both = np.concatenate((true.ravel(), predicted.ravel()))
    low, high = float(both.min()), float(both.max())
    margin = 0.05 * (high - low or 1.0)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=RULE, linewidth=1.2)
    axes.axhline(0, color=RULE, linewidth=0.9)
    axes.axvline(0, color=RULE, linewidth=0.9)
    axes.scatter(
        true.ravel(), predicted.ravel(), s=12, color=PREDICTED, alpha=0.55, linewidths=0, rasterized=true.size > 1500
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set(xlabel=f"True change of {label}", ylabel="Predicted change")
    return figure


def _grid(count: int, *, height: float) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure of as many panels, three in a row; the height of a row in inches."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    # A single panel does not fill the page, or its points would be too far apart.
    width = PAGE * max(columns, 2) / COLUMNS
    figure = Figure(figsize=(width, height * rows + 0.4), layout="constrained", dpi=DOTS)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _points(axes: Axes, cells: NDArray[np.floating], colour: str, *, alpha: float, size: float) -> None:
    axes.scatter(cells[:, 0], cells[:, 1], s=size, c=colour, alpha=alpha, linewidths=0, rasterized=True)


def _without_ticks(panels: Sequence[Axes] | NDArray[np.object_], axis: str) -> None:
    """The coordinates of an embedding have no unit."""
    for axes in panels:
        axes.set(xticks=[], yticks=[], xlabel=f"{axis} 1", ylabel=f"{axis} 2")
        axes.grid(visible=False)


def _limits(panels: Sequence[Axes] | NDArray[np.object_], real: NDArray[np.floating]) -> None:
    """Show all real cells; a prediction far away from all of them lies at the edge."""
    low, high = real.min(axis=0), real.max(axis=0)
    margin = 0.08 * (high - low)
    for axes in panels:
        axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def _entries(values: Mapping[str, object]) -> list[Artist]:
    entries: list[Artist] = [Patch(color=PREDICTED, alpha=0.8, label="model")] if "model" in values else []
    for name, (marker, colour, label) in MARKS.items():
        if name in values:
            entries.append(Line2D([], [], linestyle="", marker=marker, markersize=5.5, color=colour, label=label))
    if "floor" in values:
        entries.append(Line2D([], [], color=FLOOR, linewidth=1.8, label="floor"))
    return entries
