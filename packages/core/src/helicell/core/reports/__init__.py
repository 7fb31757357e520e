"""Self-contained HTML reports: one file with its styles, figures, structures and viewer inside.

A report is a value: a :class:`~helicell.core.reports.page.Report` of sections, each a list of the building
blocks of :mod:`~helicell.core.reports.blocks`. The templates beside this file turn it into a page that
loads nothing from anywhere, so it can be mailed, archived and opened years later without a network.
"""

from helicell.core.reports.blocks import (
    Cell,
    Collapsible,
    Column,
    Download,
    Figure,
    Gallery,
    Grid,
    Note,
    Structure,
    Table,
    Text,
    Tile,
    Tiles,
    Viewer,
    ViewerStyle,
)
from helicell.core.reports.page import Provenance, Report, Section, render, write_report

__all__ = [
    "Cell",
    "Collapsible",
    "Column",
    "Download",
    "Figure",
    "Gallery",
    "Grid",
    "Note",
    "Provenance",
    "Report",
    "Section",
    "Structure",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "Viewer",
    "ViewerStyle",
    "render",
    "write_report",
]
