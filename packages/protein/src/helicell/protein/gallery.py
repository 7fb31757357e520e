"""Which samples a report shows in 3D, and how: the best by a stated rule, and the first ones unpicked."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helicell.core.reports.blocks import Gallery, Structure, Viewer, ViewerStyle
from helicell.protein.structures import read_backbone, write_backbone

if TYPE_CHECKING:
    import pandas as pd

    from helicell.protein.results import Results

__all__ = ["best_first", "spread_over_lengths", "structure_viewer"]

#: What makes a sample better than another, in this order; smaller is better.
BEST_RULE = (
    "of each length, the samples with the fewest backbone clashes; among equals, those with the fewest invalid Cα–Cα "
    "distances and C–N bonds, then with the fewest φ/ψ outliers"
)
UNPICKED_RULE = "of each length, the first samples in the order in which they were generated; nothing was left out"

STYLES = (
    ViewerStyle("Rainbow", {"cartoon": {"color": "spectrum", "arrows": True}}),
    ViewerStyle(
        "Helix and strand",
        {
            "cartoon": {
                "colorscheme": {"prop": "ss", "map": {"h": "#d6456f", "s": "#e79b2d", "c": "#93a1b5"}},
                "arrows": True,
            }
        },
    ),
    ViewerStyle("Atoms", {"stick": {"radius": 0.18}}),
)

# Formats that the viewer reads as they are; anything else is written again as mmCIF.
TEXT_FORMATS = {".cif": "cif", ".pdb": "pdb"}
# Facts beside a structure: column of the table, name, and format.
FACTS = (
    ("length", "Residues", ".0f"),
    ("rg", "Rg (Å)", ".1f"),
    ("helix", "Helix", ".0%"),
    ("strand", "Strand", ".0%"),
    ("backbone_clashes", "Backbone clashes", ".0f"),
    ("c_n_valid", "Valid C–N bonds", ".1%"),
    ("phi_psi_outliers", "φ/ψ outliers", ".1%"),
    ("novelty_tm", "Nearest natural TM", ".2f"),
)


def structure_viewer(results: Results, *, count: int) -> Viewer:
    """Build the viewer of a report.

    Parameters
    ----------
    results
        Structures and measures.
    count
        Structures in each gallery.
    """
    table = results.evaluation.table.assign(path=[str(path) for path in results.paths])
    best = spread_over_lengths(best_first(table), count)
    unpicked = spread_over_lengths(table, count)
    galleries = [
        Gallery("Best", _structures(best), f"Picked: {BEST_RULE}."),
        Gallery("Unpicked", _structures(unpicked), f"Not picked: {UNPICKED_RULE}."),
    ]
    return Viewer(galleries, STYLES)


def best_first(table: pd.DataFrame) -> pd.DataFrame:
    """Sort samples by the rule of the report; equals stay in the order in which they were generated."""
    bonds = 2.0 - table["ca_ca_valid"] - table["c_n_valid"]
    keys = [table["phi_psi_outliers"].to_numpy(), bonds.to_numpy(), table["backbone_clashes"].to_numpy()]
    return table.iloc[np.lexsort(keys)]


def spread_over_lengths(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Take the first rows of every length in turn until there are enough; ordered by length.

    Where there are more lengths than wanted rows, lengths evenly spread over all of them are taken.

    Examples
    --------
    >>> import pandas as pd
    >>> samples = pd.DataFrame({"length": [60, 60, 60, 80, 80, 90], "name": list("abcdef")})
    >>> "".join(spread_over_lengths(samples, 4)["name"])
    'abdf'
    >>> "".join(spread_over_lengths(samples, 2)["name"])
    'af'
    """
    lengths = np.unique(table["length"])
    if len(lengths) > count:
        lengths = lengths[np.linspace(0, len(lengths) - 1, count).round().astype(int)]
        table = table[table["length"].isin(lengths)]
    turn = table.groupby("length").cumcount()
    # A stable sort by turn keeps, within a turn, the lengths ascending.
    order = np.lexsort([table["length"].to_numpy(), turn.to_numpy()])[:count]
    taken = table.iloc[np.sort(order)]
    return taken.iloc[np.argsort(taken["length"].to_numpy(), kind="stable")]


def _structures(rows: pd.DataFrame) -> list[Structure]:
    return [_structure(row) for row in rows.to_dict("records")]


def _structure(row: Mapping[Hashable, Any]) -> Structure:
    path = Path(str(row["path"]))
    text, kind = _text(path)
    facts = {
        name: format(value, style)
        for column, name, style in FACTS
        if isinstance(value := row.get(column), int | float) and np.isfinite(value)
    }
    return Structure(path.stem, text, kind, f"{row['length']} residues", facts)


def _text(path: Path) -> tuple[str, str]:
    """The structure as text and its format."""
    if path.suffix in TEXT_FORMATS:
        return path.read_text(encoding="utf-8"), TEXT_FORMATS[path.suffix]
    chain = read_backbone(path)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "structure.cif"
        write_backbone(written, chain.coordinates, sequence=chain.sequence, format="cif")
        return written.read_text(encoding="utf-8"), "cif"
