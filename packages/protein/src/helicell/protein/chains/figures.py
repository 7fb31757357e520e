"""Figures of a store: lengths, secondary structure, size against length, and the Ramachandran map."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.core.reports.figures import STYLE, figure_svg
from helicell.core.runs.files import write_text
from helicell.protein.chains.filters import GLOBULAR_GYRATION, usual_radius
from helicell.protein.chains.statistics import StoreStatistics
from helicell.protein.plots import HELIX, NATURAL

__all__ = ["draw_figures", "write_figures"]

COLOURS = "Blues"
TITLES = {
    "lengths": "Lengths of the chains",
    "secondary_structure": "Helix and strand of each chain",
    "gyration": "Radius of gyration against length",
    "ramachandran": "Ramachandran map",
}


def write_figures(statistics: StoreStatistics, folder: str | Path) -> list[Path]:
    """Write one SVG a figure into a folder, and return their paths.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    paths = []
    for name, figure in draw_figures(statistics).items():
        path = Path(folder) / f"{name}.svg"
        try:
            write_text(path, figure_svg(figure, name=name, title=TITLES[name]))
        except OSError as error:
            message = f"cannot write figures into {folder}: {error.strerror}; name another folder"
            raise InputError(message) from error
        paths.append(path)
    return paths


def draw_figures(statistics: StoreStatistics) -> dict[str, Figure]:
    """Draw the figures of a store, by name."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        return {
            "lengths": _lengths(statistics),
            "secondary_structure": _secondary_structure(statistics),
            "gyration": _gyration(statistics),
            "ramachandran": _ramachandran(statistics),
        }


def _lengths(statistics: StoreStatistics) -> Figure:
    figure, axes = _panel(5.4, 3.2)
    longest = int(statistics.lengths.max())
    axes.hist(statistics.lengths, bins=np.linspace(0, longest + 1, 61).tolist(), color=NATURAL)
    axes.set(xlabel="Length (residues)", ylabel="Chains")
    axes.grid(visible=False, axis="x")
    return figure


def _secondary_structure(statistics: StoreStatistics) -> Figure:
    figure, axes = _panel(4.6, 4.2)
    _density(figure, axes, statistics.helix, statistics.strand, limits=((0, 1), (0, 1)))
    axes.set(xlabel="Helix (share of residues)", ylabel="Strand (share of residues)", aspect="equal")
    return figure


def _gyration(statistics: StoreStatistics) -> Figure:
    figure, axes = _panel(5.4, 4.2)
    lengths = statistics.lengths.astype(float)
    limits = ((0.0, lengths.max() * 1.02), (0.0, statistics.rg.max() * 1.05))
    _density(figure, axes, lengths, statistics.rg, limits=limits)
    grid = np.linspace(lengths.min(), lengths.max(), 100)
    axes.plot(grid, usual_radius(grid), color=HELIX, label="2.2 Å · length$^{0.38}$")
    axes.plot(
        grid, GLOBULAR_GYRATION * usual_radius(grid), color=HELIX, linestyle=(0, (4, 2)), label="limit of globular"
    )
    axes.set(xlabel="Length (residues)", ylabel="Radius of gyration (Å)")
    axes.legend(loc="upper left")
    return figure


def _ramachandran(statistics: StoreStatistics) -> Figure:
    figure, axes = _panel(4.6, 4.2)
    phi, psi = np.rad2deg(statistics.phi), np.rad2deg(statistics.psi)
    _density(figure, axes, phi, psi, limits=((-180, 180), (-180, 180)))
    ticks = range(-180, 181, 60)
    axes.set(xlabel="φ (degrees)", ylabel="ψ (degrees)", xticks=ticks, yticks=ticks, aspect="equal")
    return figure


def _panel(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _density(
    figure: Figure,
    axes: Axes,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """Count values in cells, coloured by the logarithm: an image, whose size does not grow with the store."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=90, range=limits)
    shown = np.ma.masked_equal(counts.T, 0)
    mesh = axes.pcolormesh(
        x_edges, y_edges, shown, cmap=COLOURS, norm=LogNorm(0.5, max(counts.max(), 1.0)), rasterized=True
    )
    axes.set(xlim=limits[0], ylim=limits[1])
    figure.colorbar(mesh, ax=axes, label="number", shrink=0.8)
