"""Figures: reproducible SVG that follows the page's theme and mixes with no other figure."""

import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from helicell.core.reports.figures import INK, RULE, STYLE, figure_svg


@pytest.fixture
def figure() -> Figure:
    """A figure with text, marks, a clip path and an image."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([1, 2, 3], [1, 4, 9], "o-", label="squares < cubes")
        axes.scatter([1, 2], [2, 3], rasterized=True)
        axes.set(title="Title", xlabel="x (Å)")
        axes.legend()
    return figure


def test_svg_is_reproducible_and_well_formed(figure: Figure) -> None:
    """The same figure gives the same text, which is one XML element without size, date or outside reference."""
    svg = figure_svg(figure, name="one", title='A "title" & more')
    assert svg == figure_svg(figure, name="one", title='A "title" & more')
    element = ET.fromstring(svg)
    assert element.tag == "{http://www.w3.org/2000/svg}svg"
    assert element.get("aria-label") == 'A "title" & more'
    assert element.get("width") is None
    assert element.get("viewBox") == "0 0 288 216"
    references = re.findall(r'href="([^"]{1,12})', svg)
    assert references
    assert all(reference.startswith(("#one-", "data:image/p")) for reference in references)


def test_ids_of_two_figures_do_not_meet(figure: Figure) -> None:
    """Every id carries the figure's name, and every reference inside the figure finds its id."""
    one, two = (figure_svg(figure, name=name, title="t") for name in ("one", "two"))
    ids_one, ids_two = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two))
    assert ids_one
    assert not ids_one & ids_two
    used = set(re.findall(r'href="#([^"]+)"', one)) | set(re.findall(r"url\(#([^)]+)\)", one))
    assert used <= ids_one


def test_neutral_colours_follow_the_theme(figure: Figure) -> None:
    """Text and rules take the page's colours, with their own colour as fallback; text stays text."""
    svg = figure_svg(figure, name="one", title="t")
    assert f"var(--ink, {INK})" in svg
    assert f"var(--rule, {RULE})" in svg
    assert not re.search(rf": {INK}", svg)
    assert "squares &lt; cubes" in svg
    assert "DejaVu Sans'," in svg
