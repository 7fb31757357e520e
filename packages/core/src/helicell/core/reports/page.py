"""A whole report: its sections, its provenance, and the one HTML file it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from helicell.core.reports.blocks import Block, Collapsible, Grid, Viewer
from helicell.core.reports.library import inline_json, inline_script, viewer_library

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Provenance", "Report", "Section", "render", "write_report"]


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report with an entry in the navigation (``short`` or the title)."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""
    short: str = ""

    @property
    def anchor(self) -> str:
        """The id of the section in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the results come from: short facts, and longer texts (settings, manifest) to unfold."""

    facts: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """A self-contained report: title, one-line summary, sections, provenance."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    provenance: Provenance = field(default_factory=Provenance)


def render(report: Report) -> str:
    """Draw a report as one HTML page that loads nothing from outside.

    The molecule viewer is inlined only when a section holds a :class:`~helicell.core.reports.blocks.Viewer`.

    Examples
    --------
    >>> page = render(Report("Empty", "nothing to show", []))
    >>> page.startswith("<!doctype html>"), "3Dmol" in page
    (True, False)
    """
    library = viewer_library() if any(_has_viewer(section.blocks) for section in report.sections) else None
    template = _environment().get_template("report.html.j2")
    return template.render(report=report, library=library)


def write_report(report: Report, path: str | Path) -> Path:
    """Write a report to a file, whole or not at all.

    Parameters
    ----------
    report
        What to write.
    path
        The HTML file; its folder is made when needed.

    Returns
    -------
    Path
        The absolute path of the file.
    """
    from helicell.core.runs.files import atomic_write

    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    page = render(report)
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def _has_viewer(blocks: Sequence[Block]) -> bool:
    """Whether a viewer stands anywhere in the blocks."""
    return any(
        isinstance(block, Viewer) or (isinstance(block, Collapsible | Grid) and _has_viewer(block.blocks))
        for block in blocks
    )


def _environment() -> Environment:
    """The template environment: everything is escaped unless a filter of this package marks it as safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("helicell.core.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline_script"] = lambda script: Markup(inline_script(script))  # noqa: S704
    environment.filters["inline_json"] = lambda value: Markup(inline_json(value))  # noqa: S704
    environment.filters["inline_svg"] = Markup
    return environment
