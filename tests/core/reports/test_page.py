"""Pages: everything in one file, everything escaped, nothing loaded from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from helicell.core.reports import (
    Cell,
    Collapsible,
    Column,
    Download,
    Figure,
    Gallery,
    Grid,
    Note,
    Provenance,
    Report,
    Section,
    Structure,
    Table,
    Text,
    Tile,
    Tiles,
    Viewer,
    ViewerStyle,
    render,
    write_report,
)

HOSTILE = "</script><script>alert(1)</script><!-- <b title='x' onclick=\"y\">"
LOADING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


def full_report() -> Report:
    """A report with every kind of block, and hostile text in every place that takes text."""
    viewer = Viewer(
        galleries=[Gallery(HOSTILE, [Structure(HOSTILE, HOSTILE, "pdb", HOSTILE, {HOSTILE: HOSTILE})], HOSTILE)],
        styles=[ViewerStyle(HOSTILE, {"cartoon": {"color": HOSTILE}})],
    )
    blocks = [
        Text(f"{HOSTILE}\n\nsecond paragraph"),
        Note(HOSTILE, "warning"),
        Tiles([Tile(HOSTILE, HOSTILE, HOSTILE, 0.5, 0.7)]),
        Table(
            [Column(HOSTILE, "", HOSTILE), Column("x", ".2f")], [[HOSTILE, 1.234], [Cell(HOSTILE, 1.0), None]], HOSTILE
        ),
        Grid([Figure("<svg></svg>", HOSTILE, HOSTILE, "plot")]),
        Collapsible(HOSTILE, [viewer]),
        Download(HOSTILE, "all.zip", b"\x00\x01", "application/zip"),
    ]
    facts = Provenance({HOSTILE: HOSTILE}, {HOSTILE: HOSTILE})
    return Report(HOSTILE, HOSTILE, [Section(HOSTILE, blocks, HOSTILE)], facts)


def test_page_loads_nothing_from_outside() -> None:
    """Every address in the page is a fragment, a data URI or absent, in attributes and in styles."""
    page = Page(render(full_report()))
    addresses = [value for _, attributes in page.elements for name, value in attributes.items() if name in LOADING]
    assert addresses, "the page has at least its navigation"
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []
    assert not [tag for tag, _ in page.elements if tag in {"link", "iframe", "object", "embed", "base"}]
    styles = "".join(page.texts["style"]) + "".join(attributes.get("style", "") for _, attributes in page.elements)
    assert "@import" not in styles
    assert re.findall(r"url\((?!#)", styles) == []


def test_text_cannot_become_markup() -> None:
    """Text with tags, quotes, comments and script ends stays text wherever a block takes it."""
    html = render(full_report())
    page = Page(html)
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert len(scripts) == 3, "the viewer library, its data and the page's own script, and no script of the text"
    assert not [
        tag for tag, attributes in page.elements if "onclick" in attributes or (tag == "b" and "title" in attributes)
    ]
    assert "<script>alert" not in html


def test_structures_reach_the_page_unchanged() -> None:
    """The text of a structure comes out of the page's JSON exactly as it went in, whatever it holds."""
    import json

    html = render(full_report())
    (data,) = re.findall(r'<script type="application/json" class="viewer-data">(.*?)</script>', html, re.DOTALL)
    (structure,) = json.loads(data)["structures"]
    assert structure == {"name": HOSTILE, "text": HOSTILE, "format": "pdb", "facts": [[HOSTILE, HOSTILE]]}


def test_viewer_library_only_where_needed() -> None:
    """A report without structures does not carry the half megabyte of the viewer."""
    small = render(Report("title", "subtitle", [Section("Section", [Text("text")])]))
    assert len(small) < 60_000
    assert "3Dmol" not in small


def test_table_cells() -> None:
    """Numbers follow the format of their column, missing values are a dash, and text is kept."""
    table = Table(
        [Column("a"), Column("b", ".2f"), Column("c", "d")], [["x", 1.234, 5], [Cell("y", 2.0), float("nan"), None]]
    )
    assert [[cell.text for cell in row] for row in table.cells()] == [["x", "1.23", "5"], ["y", "–", "–"]]
    assert table.numeric() == [True, True, True]


def test_write_is_whole_and_reproducible(tmp_path: Path) -> None:
    """The same report gives the same bytes, and a report that cannot be drawn leaves the old file alone."""
    target = tmp_path / "new" / "report.html"
    assert write_report(full_report(), target) == target
    first = target.read_bytes()
    write_report(full_report(), target)
    assert target.read_bytes() == first
    broken = Report("title", "", [Section("s", [Table([Column("a")], [["one", "two"]])])])
    with pytest.raises(ValueError, match="zip"):
        write_report(broken, target)
    assert target.read_bytes() == first
    assert [file.name for file in target.parent.iterdir()] == ["report.html"]
