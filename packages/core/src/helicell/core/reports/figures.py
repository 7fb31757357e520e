"""Matplotlib figures as SVG that fits into a page: small, reproducible, and readable in light and dark.

Text stays text, in the page's own font. The neutral colours of the figure (:data:`INK`, :data:`FAINT_INK`,
:data:`RULE`) become CSS variables, so the same figure follows the theme of the page; opened on its own, it falls
back to the colours given here. The colours of the data are chosen to stand out on white and on near black.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["FAINT_INK", "INK", "PAPER", "RULE", "STYLE", "dot", "figure_svg", "legend_below", "styled"]

#: Colour of titles and labels.
INK = "#1f2937"
#: Colour of tick labels and remarks.
FAINT_INK = "#64748a"
#: Colour of grid lines and axes.
RULE = "#dbe1e8"
#: Colour of the page behind the figure.
PAPER = "#fefefe"

#: Matplotlib settings of every figure, to be used with ``matplotlib.rc_context(STYLE)``.
STYLE: dict[str, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "helicell",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 1.0,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": FAINT_INK,
    "ytick.labelcolor": FAINT_INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.labelcolor": INK,
    "text.color": INK,
    "font.size": 10.0,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "lines.linewidth": 1.8,
}

Parameters = ParamSpec("Parameters")

_VARIABLES = {INK: "ink", FAINT_INK: "faint-ink", RULE: "rule", PAPER: "paper"}
_FONTS = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Decorate a function that draws a figure, so that it draws under :data:`STYLE`."""

    @wraps(draw)
    def drawn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        import matplotlib as mpl

        with mpl.rc_context(STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return drawn


def dot(label: str, *, colour: str) -> Line2D:
    """Return the legend's entry of points."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=label)


def legend_below(figure: Figure, entries: Sequence[Artist], *, columns: int) -> None:
    """Put the legend under the panels, where it covers nothing."""
    figure.legend(
        handles=entries, loc="outside lower left", ncols=columns, handlelength=1.4, columnspacing=1.6, borderaxespad=0.2
    )


def figure_svg(figure: Figure, *, name: str, title: str) -> str:
    """Write a figure as an SVG element for a page.

    Parameters
    ----------
    figure
        The figure, drawn under :data:`STYLE`.
    name
        A word unique in the page; it keeps the ids of several figures apart.
    title
        What the figure shows, for readers who cannot see it.

    Returns
    -------
    str
        One ``<svg>`` element without XML header, date or external reference; the same figure gives the same text.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _own_ids(svg, name)
    svg = _theme_colours(svg)
    return _accessible(svg, title)


def _own_ids(svg: str, name: str) -> str:
    """Put the figure's name before every id and reference, so that figures in one page do not mix."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)


def _theme_colours(svg: str) -> str:
    """Turn the neutral colours into CSS variables and the fonts into the page's."""
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var(--{variable}, {colour})")
    return re.sub(r"font: ([0-9.]+)px 'DejaVu Sans'[^;\"]*", rf"font-size: \1px; font-family: {_FONTS}", svg)


def _accessible(svg: str, title: str) -> str:
    """Let the figure scale with its column and carry its title."""
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">{body}'
