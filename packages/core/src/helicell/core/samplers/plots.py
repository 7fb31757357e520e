"""Figures of samplers as SVG: samples beside exact ones, and the course of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import Tensor

from helicell.core.reports.figures import STYLE, figure_svg
from helicell.core.runs.files import write_text
from helicell.core.samplers.energies import Energy
from helicell.core.samplers.sampler import Sampler
from helicell.core.samplers.training import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLED, EXACT, TRUTH = "#2f6fde", "#8e9bad", "#d6456f"
SAMPLES_PLOT, TRAINING_PLOT = "samples.svg", "training.svg"
WIDTH = 5.4
POINTS = 2000
CELLS = 160
# Contours reach down to this log density below the highest point.
DEEPEST = 8.0


def write_plots(sampler: Sampler, folder: str | Path, *, count: int = POINTS, seed: int = 0) -> list[Path]:
    """Draw samples and training of a run into its folder, and return the files."""
    folder = Path(folder)
    condition = sampler.energy.draw_conditions(count, torch.Generator().manual_seed(seed))
    drawn = sampler.sample(count, seed=seed, condition=condition)
    figures = {SAMPLES_PLOT: (samples_figure(sampler.energy, drawn.points), "Samples beside exact ones")}
    if (folder / "log.jsonl").exists():
        figures[TRAINING_PLOT] = (training_figure([folder]), "Lower bound of log Z in the course of training")
    for name, (figure, title) in figures.items():
        write_text(folder / name, _document(figure_svg(figure, name=Path(name).stem, title=title)))
    return [folder / name for name in figures]


def write_comparison(folders: Sequence[str | Path], out: str | Path) -> None:
    """Draw the training of several runs in one figure."""
    figure = training_figure([Path(folder) for folder in folders if (Path(folder) / "log.jsonl").exists()])
    write_text(out, _document(figure_svg(figure, name="trainings", title="Lower bounds of log Z of several trainings")))


def samples_figure(energy: Energy, points: Tensor, *, axes_shown: tuple[int, int] = (0, 1)) -> Figure:
    """Draw two coordinates of samples, over contours in the plane, and a histogram of the first beside exact samples.

    Parameters
    ----------
    energy
        What was sampled.
    points
        The samples [count, dim].
    axes_shown
        Which coordinates; a point of one dimension has the histogram only.
    """
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(2 * WIDTH, 4.6), layout="constrained")
        plane, profile = figure.subplots(1, 2)
        exact = energy.sample(len(points), torch.Generator().manual_seed(1)) if energy.has_samples else None
        first, second = axes_shown[0], min(axes_shown[1], points.shape[1] - 1)
        if energy.dim == 2:
            _contours(plane, energy, points)
        elif exact is not None:
            plane.scatter(*exact[:, [first, second]].T.numpy(), s=4, c=EXACT, alpha=0.4, linewidths=0, rasterized=True)
        plane.scatter(*points[:, [first, second]].T.numpy(), s=4, c=SAMPLED, alpha=0.5, linewidths=0, rasterized=True)
        plane.set(xlabel=f"x{first}", ylabel=f"x{second}")
        shown = points if exact is None else torch.cat((points, exact))
        low, high = (float(np.quantile(shown[:, first].numpy(), level)) for level in (0.002, 0.998))
        edges = np.linspace(low, high, 61)
        if exact is not None:
            profile.hist(exact[:, first].numpy(), bins=edges, density=True, color=EXACT, alpha=0.6, label="exact")
        profile.hist(
            points[:, first].numpy(), bins=edges, density=True, color=SAMPLED, histtype="step", lw=1.6, label="samples"
        )
        profile.set(xlabel=f"x{first}", ylabel="density")
        profile.legend()
    return figure


def training_figure(folders: Sequence[Path]) -> Figure:
    """Draw the lower bound of log Z and the loss against the processor seconds of trainings."""
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(2 * WIDTH, 4.0), layout="constrained")
        bound, loss = figure.subplots(1, 2)
        for folder in folders:
            entries = read_log(folder)
            for axes, key in ((bound, "log_z"), (loss, "loss")):
                kept = [(entry["cpu_seconds"], entry[key]) for entry in entries if entry[key] is not None]
                if kept:
                    axes.plot(*zip(*kept, strict=True), label=folder.name, color=SAMPLED if len(folders) == 1 else None)
        bound.set(xlabel="processor seconds", ylabel="mean log weight (bound of log Z)")
        bound.set_yscale("symlog", linthresh=10)
        loss.set(xlabel="processor seconds", ylabel="loss")
        loss.set_yscale("symlog", linthresh=0.1)
        if len(folders) > 1:
            bound.legend()
    return figure


def _contours(axes: Axes, energy: Energy, points: Tensor) -> None:
    """Draw levels of the density behind the samples."""
    low, high = points.amin(dim=0), points.amax(dim=0)
    margin = 0.1 * (high - low)
    spans = [torch.linspace(float(a), float(b), CELLS) for a, b in zip(low - margin, high + margin, strict=True)]
    if energy.condition_dim:
        return
    with torch.no_grad():
        values = energy.log_reward(torch.cartesian_prod(*spans)).view(CELLS, CELLS)
    values = (values - values.max()).clamp_min(-2 * DEEPEST)
    levels = np.linspace(-DEEPEST, 0, 4)
    axes.contour(
        spans[0].numpy(),
        spans[1].numpy(),
        values.T.numpy(),
        levels=levels,
        colors=EXACT,
        linewidths=0.8,
        linestyles="solid",
    )


def _document(svg: str) -> str:
    """Return an SVG element as a file of its own."""
    namespace = 'xmlns="http://www.w3.org/2000/svg"'
    return svg if namespace in svg else svg.replace("<svg", f"<svg {namespace}", 1)
