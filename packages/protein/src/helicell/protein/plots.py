"""Figures of generated backbones, each with natural chains beside them.

Every function takes arrays and returns a matplotlib figure; `helicell.core.reports.figures.figure_svg` turns it into
SVG. Samples are blue, natural chains grey, in every figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from helicell.core.reports.figures import FAINT_INK, INK, PAPER, RULE, dot, legend_below, styled
from helicell.protein.evaluation.measures import RG_TOLERANCE
from helicell.protein.evaluation.ramachandran import FAVOURED, OUTLIER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from helicell.protein.distributions import Histogram
    from helicell.protein.evaluation.ramachandran import RamachandranMap

__all__ = ["TMPanel", "bonds", "compactness", "ramachandran", "secondary_structure", "similarity"]

SAMPLES = "#2f6fde"
NATURAL = "#8e9bad"
HELIX = "#d6456f"
STRAND = "#e79b2d"
COIL = "#93a1b5"

# Contours of the Ramachandran map that are drawn: half of all residues, then the two of the evaluation.
CONTOURS = (0.0, 0.5, FAVOURED, OUTLIER)
# Points beyond this many are drawn as an image, or the page would grow by a hundred bytes for each.
MOST_VECTOR_POINTS = 1500

# Width of a figure of one column, in inches; all of them share it, so that their letters are of one size.
WIDTH = 5.4
DASHES = (0, (4, 2))


@dataclass(frozen=True, slots=True)
class TMPanel:
    """One histogram of TM-scores: a score a sample, their mean, that of natural chains, and what is compared."""

    scores: NDArray[np.floating]
    mean: float
    natural: float | None
    label: str


@styled
def ramachandran(phi: NDArray[np.floating], psi: NDArray[np.floating], *, natural: RamachandranMap) -> Figure:
    """Draw phi against psi of every residue, over the contours of natural chains.

    Parameters
    ----------
    phi, psi : ndarray, shape (residues,)
        Radians.
    natural : RamachandranMap
        Its 50, 98 and 99.8 % contours are shaded.
    """
    figure, axes = _figure(4.7)
    bins = len(natural.mass)
    # A border of one cell on every side, as the angles wrap round, so that contours close at the edges of the figure.
    mass = np.pad(natural.mass, 1, mode="wrap").T
    centres = (np.arange(-1, bins + 1) + 0.5) / bins * 360 - 180
    shades = [to_rgba(NATURAL, alpha) for alpha in (0.8, 0.45, 0.2)]
    axes.contourf(centres, centres, mass, levels=CONTOURS, colors=shades)
    many = len(phi) > MOST_VECTOR_POINTS
    axes.scatter(np.rad2deg(phi), np.rad2deg(psi), s=5, c=SAMPLES, alpha=0.45, linewidths=0, rasterized=many)
    ticks = range(-180, 181, 60)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=ticks, yticks=ticks, aspect="equal")
    axes.set(xlabel="φ (degrees)", ylabel="ψ (degrees)")
    shares = ("50 %", "98 %", "99.8 %")
    entries: list[Artist] = [
        Patch(color=shade, label=f"{share} of natural residues") for shade, share in zip(shades, shares, strict=True)
    ]
    entries.append(dot("samples", colour=SAMPLES))
    legend_below(figure, entries, columns=2)
    return figure


@styled
def compactness(
    lengths: NDArray[np.integer],
    rg: NDArray[np.floating],
    *,
    natural_lengths: NDArray[np.integer],
    natural_rg: NDArray[np.floating],
    natural_mean: Callable[[int], float],
) -> Figure:
    """Draw the radius of gyration against the length.

    Parameters
    ----------
    lengths, rg : ndarray, shape (samples,)
        Residues, and Angstrom.
    natural_lengths, natural_rg : ndarray, shape (chains,)
        The same of natural chains.
    natural_mean : callable
        Mean radius of natural chains at a length; the 20 % around it are shaded.
    """
    figure, axes = _figure(4.3)
    everything = np.concatenate([lengths, natural_lengths])
    grid = np.arange(everything.min(), everything.max() + 1)
    mean = np.array([natural_mean(length) for length in grid.tolist()])
    low, high = mean * (1 - RG_TOLERANCE), mean * (1 + RG_TOLERANCE)
    axes.fill_between(grid, low, high, color=NATURAL, alpha=0.16, linewidth=0)
    axes.plot(grid, mean, color=NATURAL, linewidth=1.6)
    axes.scatter(natural_lengths, natural_rg, s=7, c=NATURAL, alpha=0.45, linewidths=0, rasterized=True)
    axes.scatter(lengths, rg, s=20, c=SAMPLES, alpha=0.7, edgecolors=PAPER, linewidths=0.5)
    axes.set(xlabel="Length (residues)", ylabel="Radius of gyration (Å)")
    axes.set_ylim(max(0.0, 0.92 * min(low.min(), rg.min())), 1.06 * max(high.max(), rg.max()))
    band = Patch(color=NATURAL, alpha=0.3, label="within 20 % of the natural mean")
    legend_below(figure, [dot("samples", colour=SAMPLES), dot("natural chains", colour=NATURAL), band], columns=3)
    return figure


@styled
def secondary_structure(
    helix: NDArray[np.floating],
    strand: NDArray[np.floating],
    *,
    natural_helix: NDArray[np.floating],
    natural_strand: NDArray[np.floating],
) -> Figure:
    """Draw the share of helix against that of strand for every chain, and the mean shares as bars.

    Parameters
    ----------
    helix, strand : ndarray, shape (samples,)
        Shares of the residues, 0 to 1.
    natural_helix, natural_strand : ndarray, shape (chains,)
        The same of natural chains.
    """
    figure = Figure(figsize=(WIDTH, 4.7), layout="constrained")
    axes, bars = figure.subplots(1, 2, width_ratios=[1.0, 0.42])
    axes.plot([0, 1], [1, 0], color=RULE, linewidth=1.2)
    axes.scatter(natural_helix, natural_strand, s=8, c=NATURAL, alpha=0.45, linewidths=0, rasterized=True)
    axes.scatter(helix, strand, s=22, c=SAMPLES, alpha=0.7, edgecolors=PAPER, linewidths=0.5)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="Helix", ylabel="Strand")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    _stacked_bars(bars, {"samples": (helix, strand), "natural": (natural_helix, natural_strand)})
    legend_below(figure, [dot("samples", colour=SAMPLES), dot("natural chains", colour=NATURAL)], columns=2)
    return figure


@styled
def similarity(panels: Sequence[TMPanel], *, same_fold: float) -> Figure:
    """Draw histograms of TM-scores, one above the other.

    Parameters
    ----------
    panels
        What each histogram shows.
    same_fold : float
        The score above which two chains mostly share a fold; shaded.
    """
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
    bins = np.linspace(0, 1, 41)
    for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        axes.axvspan(same_fold, 1.0, color=NATURAL, alpha=0.1, linewidth=0)
        axes.hist(panel.scores, bins=bins, color=SAMPLES, alpha=0.85, edgecolor=PAPER, linewidth=0.6)
        axes.axvline(panel.mean, color=SAMPLES, linewidth=1.4)
        if panel.natural is not None:
            axes.axvline(panel.natural, color=FAINT_INK, linewidth=1.6, linestyle=DASHES)
        axes.set(xlim=(0, 1), xlabel=panel.label, ylabel="Samples")
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=4))
        axes.grid(visible=False, axis="x")
    entries = [
        Patch(color=SAMPLES, alpha=0.85, label="samples"),
        Line2D([], [], color=SAMPLES, linewidth=1.4, label="their mean"),
        Line2D([], [], color=FAINT_INK, linewidth=1.6, linestyle=DASHES, label="natural mean"),
        Patch(color=NATURAL, alpha=0.25, label="mostly the same fold"),
    ]
    legend_below(figure, entries, columns=4)
    return figure


@styled
def bonds(
    samples: Sequence[Histogram],
    natural: Sequence[Histogram],
    *,
    titles: Sequence[str],
    limits: Sequence[tuple[float, float]],
) -> Figure:
    """Draw histograms of bond lengths and angles, one beside the other.

    Parameters
    ----------
    samples, natural : sequence of Histogram
        One a panel; both of a panel have the same edges.
    titles : sequence of str
        What each panel shows, with its unit.
    limits : sequence of (float, float)
        The range that counts as valid in each panel; shaded.
    """
    figure = Figure(figsize=(11.0, 3.0), layout="constrained")
    panels = figure.subplots(1, len(titles), squeeze=False)[0]
    for axes, sampled, real, title, (low, high) in zip(panels, samples, natural, titles, limits, strict=True):
        axes.axvspan(low, high, color=NATURAL, alpha=0.1, linewidth=0)
        axes.stairs(100 * real.shares, real.edges, color=NATURAL, fill=True, alpha=0.7)
        axes.stairs(100 * sampled.shares, sampled.edges, color=SAMPLES, linewidth=1.6)
        axes.set(xlim=(sampled.edges[0], sampled.edges[-1]), xlabel=title)
        axes.grid(visible=False, axis="x")
    panels[0].set_ylabel("Share of values (%)")
    entries = [
        Line2D([], [], color=SAMPLES, linewidth=1.6, label="samples"),
        Patch(color=NATURAL, alpha=0.7, label="natural chains"),
        Patch(color=NATURAL, alpha=0.25, label="counted as valid"),
    ]
    legend_below(figure, entries, columns=3)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    """A figure of one column and one panel; the height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _stacked_bars(axes: Axes, groups: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]) -> None:
    """Mean helix, strand and coil of each group as one bar, with the figures written into it."""
    for position, (helix, strand) in enumerate(groups.values()):
        bottom = 0.0
        for label, colour, share in (
            ("helix", HELIX, float(np.mean(helix))),
            ("strand", STRAND, float(np.mean(strand))),
            ("coil", COIL, float(1 - np.mean(helix) - np.mean(strand))),
        ):
            axes.bar(position, share, bottom=bottom, width=0.72, color=colour)
            if share > 0.06:
                text = f"{label}\n{share:.0%}"
                axes.text(position, bottom + share / 2, text, ha="center", va="center", color="#ffffff", fontsize=8.5)
            bottom += share
    axes.set_xticks(range(len(groups)), groups, color=INK)
    axes.set(ylim=(0, 1), yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
