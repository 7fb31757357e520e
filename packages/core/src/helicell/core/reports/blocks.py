"""The building blocks of a report.

Every block is a frozen value that knows nothing of HTML: the template of the same ``kind`` in
``templates/blocks.html.j2`` draws it. A block holds text; all of it is escaped when drawn, except the SVG of a
:class:`Figure`, which must come from :mod:`helicell.core.reports.figures`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

__all__ = [
    "Block",
    "Cell",
    "Collapsible",
    "Column",
    "Download",
    "Figure",
    "Gallery",
    "Grid",
    "Note",
    "Structure",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "Viewer",
    "ViewerStyle",
]


@dataclass(frozen=True, slots=True)
class Block:
    """Base of all blocks; ``kind`` names the template macro that draws it."""

    kind: ClassVar[str] = "block"


@dataclass(frozen=True, slots=True)
class Text(Block):
    """Running text; an empty line starts a new paragraph."""

    kind: ClassVar[str] = "text"
    body: str

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs of the text, without surrounding white space."""
        return [part.strip() for part in self.body.split("\n\n") if part.strip()]


@dataclass(frozen=True, slots=True)
class Note(Block):
    """A remark set apart from the text; ``tone`` is ``"plain"`` or ``"warning"``."""

    kind: ClassVar[str] = "note"
    body: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure: what was measured, its value, and what to hold it against.

    ``share`` and ``reference_share`` (0 to 1) draw a bar below the value with a mark for the reference.
    """

    label: str
    value: str
    detail: str = ""
    share: float | None = None
    reference_share: float | None = None


@dataclass(frozen=True, slots=True)
class Tiles(Block):
    """A row of headline figures."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its title, the format of its numbers (a format specification) and a longer explanation."""

    title: str
    format: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell whose text differs from the value it is sorted by; ``tone`` is ``""`` or ``"faint"``."""

    text: str
    value: float | str | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table(Block):
    """A table; the first column is the row's name. Numbers are set to the right, in the format of their column."""

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str | float | int | None]]
    caption: str = ""
    sortable: bool = False

    def cells(self) -> list[list[Cell]]:
        """All cells as text, with the values to sort by."""
        return [[_cell(value, column) for value, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def numeric(self) -> list[bool]:
        """For each column, whether it holds numbers (and is set to the right)."""
        columns = zip(*self.cells(), strict=True) if self.rows else ([] for _ in self.columns)
        return [any(isinstance(cell.value, int | float) for cell in column) for column in columns]


@dataclass(frozen=True, slots=True)
class Figure(Block):
    """A figure as inline SVG; ``name`` is its file name (without suffix) when a reader saves it.

    A figure is drawn no higher than fits a screen, unless it is ``tall``: of several rows, each as high as a figure.
    """

    kind: ClassVar[str] = "figure"
    svg: str
    title: str
    caption: str = ""
    name: str = "figure"
    tall: bool = False


@dataclass(frozen=True, slots=True)
class Grid(Block):
    """Blocks side by side, as many in a row as fit, at most ``columns``."""

    kind: ClassVar[str] = "grid"
    blocks: Sequence[Block]
    columns: int = 2


@dataclass(frozen=True, slots=True)
class Collapsible(Block):
    """Blocks under a title that opens and closes; always open on paper."""

    kind: ClassVar[str] = "collapsible"
    title: str
    blocks: Sequence[Block]
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """A molecular structure as text, in a format that 3Dmol.js reads (``"cif"``, ``"pdb"``).

    ``facts`` are shown beside it, in order; ``label`` is its short name below the thumbnail.
    """

    name: str
    text: str
    format: str = "cif"
    label: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gallery:
    """Structures that belong together, with a note that says how they were chosen."""

    title: str
    structures: Sequence[Structure]
    note: str = ""


@dataclass(frozen=True, slots=True)
class ViewerStyle:
    """A way of drawing a structure: a style specification of 3Dmol.js under the name a reader sees."""

    label: str
    style: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Viewer(Block):
    """An interactive viewer of structures, with a thumbnail of each; the first structure is shown first."""

    kind: ClassVar[str] = "viewer"
    galleries: Sequence[Gallery]
    styles: Sequence[ViewerStyle]

    def data(self) -> dict[str, object]:
        """What the page's script needs: the structures in reading order, and the styles."""
        structures = [structure for gallery in self.galleries for structure in gallery.structures]
        return {
            "structures": [
                {
                    "name": structure.name,
                    "text": structure.text,
                    "format": structure.format,
                    "facts": list(structure.facts.items()),
                }
                for structure in structures
            ],
            "styles": [{"label": style.label, "style": dict(style.style)} for style in self.styles],
        }


@dataclass(frozen=True, slots=True)
class Download(Block):
    """A file inside the report, behind a link that saves it."""

    kind: ClassVar[str] = "download"
    label: str
    name: str
    content: bytes
    media_type: str = "application/octet-stream"

    @property
    def uri(self) -> str:
        """The content as a data URI."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode('ascii')}"

    @property
    def size(self) -> str:
        """The size in words a reader understands."""
        kilobytes = len(self.content) / 1000
        return f"{kilobytes:.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1000:.1f} MB"


def _cell(value: Cell | str | float | int | None, column: Column) -> Cell:
    """The cell of a plain value: missing values are a dash, and numbers follow their column's format."""
    if isinstance(value, Cell):
        return value
    if value is None or value != value:  # only a NaN differs from itself
        return Cell("–")
    if isinstance(value, str):
        return Cell(value, value)
    return Cell(format(value, column.format), float(value))
