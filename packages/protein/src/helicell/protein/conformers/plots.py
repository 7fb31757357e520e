"""Ramachandran maps of a sampler and of its reference, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from helicell.core.reports.figures import PAPER, styled
from helicell.protein.conformers.maps import free_energy

# The maps end at this free energy, in kT.
HIGHEST = 7.0
WIDTH = 2.3


@styled
def ramachandran_figure(maps: Mapping[str, Sequence[Float[Tensor, "cells cells"]]], residues: Sequence[str]) -> Figure:
    """Draw free energies over phi and psi: a row of maps for each source, a column for each residue.

    Parameters
    ----------
    maps
        By the name of the source, the shares of the cells for each residue.
    residues
        Names of the residues.
    """
    rows, columns = len(maps), len(residues)
    if columns == 1:
        rows, columns = columns, rows
    figure = Figure(figsize=(WIDTH * columns + 1.3, WIDTH * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    colours = mpl.colormaps["viridis_r"].with_extremes(bad=PAPER, over=PAPER)
    image = None
    for row, (source, sources) in enumerate(maps.items()):
        for column, shares in enumerate(sources):
            axes = panels[row, column] if len(residues) > 1 else panels[0, row]
            energy = free_energy(shares)
            shown = torch.where(energy > HIGHEST, torch.nan, energy).T.numpy()
            image = axes.imshow(
                shown, origin="lower", extent=(-180, 180, -180, 180), vmin=0, vmax=HIGHEST, cmap=colours, aspect="equal"
            )
            axes.set(xticks=(-180, 0, 180), yticks=(-180, 0, 180))
            axes.grid(visible=False)
            axes.set_title(f"{residues[column]}: {source}", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("phi (degrees)")
    for axes in panels[:, 0]:
        axes.set_ylabel("psi (degrees)")
    if image is not None:
        figure.colorbar(image, ax=panels, label="free energy (kT)", shrink=0.9)
    return figure
