"""The viewer draws molecules in a real browser, and says so when it cannot."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import HelicellError
from helicell.core.reports import (
    Column,
    Gallery,
    Report,
    Section,
    Structure,
    Table,
    Viewer,
    ViewerStyle,
    write_report,
)
from helicell.core.reports.browser import Browser

pytestmark = pytest.mark.browser

# The channels of a coloured pixel differ by at least this; those of white, grey and black ones do not.
LEAST_SATURATION = 60


@pytest.fixture
def browser() -> Browser:
    """Return the browser of this machine; continuous integration installs one, so there it has to be found."""
    try:
        return Browser.find()
    except HelicellError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report with two molecules and a table of three rows."""
    structures = [
        Structure(name, helix(residues), "pdb", facts={"Length": str(residues)}) for name, residues in MOLECULES
    ]
    styles = [ViewerStyle("Cartoon", {"cartoon": {"color": "spectrum"}}), ViewerStyle("Sticks", {"stick": {}})]
    table = Table([Column("name"), Column("value", ".0f")], [["b", 10.0], ["c", 9.0], ["a", None]], sortable=True)
    sections = [Section("Structures", [Viewer([Gallery("Helices", structures)], styles)]), Section("Numbers", [table])]
    return write_report(Report("Helices", "two of them", sections), tmp_path / "report.html")


MOLECULES = [("long", 30), ("short", 12)]


def helix(residues: int) -> str:
    """An ideal alpha helix as PDB: atoms on cylinders of the textbook radii, 100 degrees and 1.5 A a residue."""
    cylinders = {"N": (1.55, -27.0, -0.9), "CA": (2.28, 0.0, 0.0), "C": (1.66, 26.0, 1.1), "O": (2.0, 22.0, 2.3)}
    lines = []
    for residue in range(residues):
        for name, (radius, angle, height) in cylinders.items():
            phase = np.radians(100.0 * residue + angle)
            x, y, z = radius * np.cos(phase), radius * np.sin(phase), 1.5 * residue + height
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  {name:<3s} GLY A{residue + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
                f"           {name[0]}"
            )
    return "\n".join([*lines, "END", ""])


def status(document: str) -> dict[str, str]:
    """The state that the viewer writes into its status line."""
    (attributes,) = re.findall(r'<output class="status"([^>]*)>', document)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', attributes))


def coloured_pixels(browser: Browser, page: Path) -> int:
    """Count the pixels of a page's picture that are neither white nor grey nor black."""
    from matplotlib.image import imread

    file = page.with_suffix(".png")
    browser.picture(page, file, width=840, height=760)
    picture = np.round(imread(file)[:, :, :3] * 255).astype(int)
    return int(np.count_nonzero(picture.max(axis=-1) - picture.min(axis=-1) >= LEAST_SATURATION))


def test_molecules_are_drawn(browser: Browser, page: Path) -> None:
    """The first molecule's atoms are on the canvas, both have thumbnails, and the window shows their colours."""
    document = browser.document(page)
    assert status(document) == {"state": "complete", "atoms": str(4 * 30), "pictures": "2"}
    assert len(re.findall(r'<span class="picture"><img src="data:image/png;base64,', document)) == 2
    assert coloured_pixels(browser, page) > 10_000


def test_without_webgl_the_page_says_so(browser: Browser, page: Path) -> None:
    """Where the browser cannot draw in 3D the status says so, the facts still show, and no molecule's colours do."""
    blind = replace(browser, options=["--disable-3d-apis"])
    document = blind.document(page)
    assert status(document)["state"] == "failed"
    assert "<dt>Length</dt><dd>30</dd>" in document
    assert coloured_pixels(blind, page) < 2_000


CLICKS = """
<script>
addEventListener("load", () => {
  const seen = [];
  const rows = () => [...document.querySelectorAll("table.sortable tbody tr")];
  const order = () => rows().map((row) => row.cells[0].textContent).join("");
  const headers = document.querySelectorAll("table.sortable thead th");
  for (const header of [headers[1], headers[1], headers[0]]) { header.click(); seen.push(order()); }
  document.querySelectorAll("[data-structure]")[1].click();
  seen.push(document.querySelector(".shown strong").textContent, document.querySelector(".status").dataset.atoms);
  document.querySelectorAll(".styles button")[1].click();
  seen.push(document.querySelector('.styles [aria-pressed="true"]').textContent);
  document.getElementById("theme").click();
  seen.push(document.documentElement.dataset.theme);
  HTMLAnchorElement.prototype.click = function () { seen.push(this.download); };
  document.querySelector(".tools .save").click();
  document.title = seen.join(" ");
});
</script>
"""


def test_controls_do_what_they_say(browser: Browser, page: Path) -> None:
    """Sorting is by number, missing values last; a thumbnail shows its molecule; style, theme and download work."""
    page.write_text(page.read_text().replace("</body>", CLICKS + "</body>"))
    (title,) = re.findall("<title>(.*?)</title>", browser.document(page))
    assert title.split() == ["cba", "bca", "abc", "short", str(4 * 12), "Sticks", "dark", "short.pdb"]
