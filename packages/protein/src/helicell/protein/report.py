"""The report of a set of generated backbones: one HTML file, samples beside natural chains throughout.

`build_report` puts together what the evaluation measured, the structures themselves, and the distributions of natural
chains. Nothing is measured anew but what the figures draw bond by bond and residue by residue.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helicell.core.reports.blocks import (
    Block,
    Cell,
    Collapsible,
    Column,
    Download,
    Figure,
    Grid,
    Note,
    Table,
    Tile,
    Tiles,
)
from helicell.core.reports.figures import figure_svg
from helicell.core.reports.page import Provenance, Report, Section, write_report
from helicell.protein import plots
from helicell.protein.distributions import Distributions, backbone_angles, longest_like, shortest_like
from helicell.protein.evaluation import geometry
from helicell.protein.evaluation.measures import MEASURES
from helicell.protein.evaluation.reference import RadiusLaw
from helicell.protein.evaluation.similarity import SAME_FOLD
from helicell.protein.gallery import structure_viewer

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from helicell.protein.chains.store import ChainStore
    from helicell.protein.evaluation.summary import Summary
    from helicell.protein.results import Results

__all__ = ["build_report", "write_protein_report"]

TITLE = "Generated protein backbones"
#: Structures in each gallery of the viewer.
STRUCTURES = 8
# Larger archives of structures are left out of the page; they would make it slow to open.
MOST_ARCHIVE_BYTES = 8_000_000

# The figures that decide whether these are protein backbones at all: measure, name, and whether it is a share (drawn
# as a bar) or a score.
TILES = (
    ("ca_ca_valid", "Cα–Cα distances in 3.6–4.0 Å", True),
    ("c_n_valid", "C–N bonds in 1.2–1.5 Å", True),
    ("clash_free", "Samples without Cα clashes", True),
    ("phi_psi_favoured", "φ/ψ in the natural 98 %", True),
    ("helix_and_strand", "Helix and strand", True),
    ("rg_within_20", "Rg within 20 % of natural", True),
    ("pairwise_tm", "TM-score between samples", False),
    ("novelty_tm", "TM-score to nearest natural", False),
    ("omega_planar", "Planar peptide groups", True),
)
# The first eight that were measured are shown: two full rows.
MOST_TILES = 8
# What stands in place of a natural figure where there is none.
NO_NATURAL = {"novelty_tm": f"below {SAME_FOLD} mostly a new fold"}
# What the table by length shows, with short titles.
BY_LENGTH = (
    ("ca_ca_valid", "Cα–Cα"),
    ("c_n_valid", "C–N"),
    ("n_ca_c_valid", "N–Cα–C"),
    ("clash_free", "Clash-free"),
    ("phi_psi_outliers", "φ/ψ outliers"),
    ("rg", "Rg (Å)"),
    ("helix", "Helix"),
    ("strand", "Strand"),
    ("pairwise_tm", "TM between"),
    ("novelty_tm", "TM nearest"),
)
# What the table of all samples shows: column, title, format.
PER_SAMPLE = (
    ("length", "Residues", "d"),
    ("ca_ca_valid", "Cα–Cα", ".3f"),
    ("c_n_valid", "C–N", ".3f"),
    ("ca_clashes", "Cα clashes", "d"),
    ("backbone_clashes", "Backbone clashes", "d"),
    ("phi_psi_outliers", "φ/ψ outliers", ".3f"),
    ("rg_ratio_to_natural", "Rg / natural", ".2f"),
    ("helix", "Helix", ".2f"),
    ("strand", "Strand", ".2f"),
    ("pairwise_tm", "TM between", ".2f"),
    ("novelty_tm", "TM nearest", ".2f"),
)


def write_protein_report(
    results: Results,
    path: str | Path,
    *,
    reference: ChainStore | None = None,
    title: str = TITLE,
    structures: int = STRUCTURES,
) -> Path:
    """Write the report of a set of backbones.

    Parameters
    ----------
    results
        Structures and measures, from `helicell.protein.results.read_results`.
    path
        The HTML file to write.
    reference
        Store of natural chains for the figures; those of the package by default.
    title
        Title of the page.
    structures
        Structures in each gallery of the viewer.

    Returns
    -------
    Path
        The absolute path of the HTML file.

    Raises
    ------
    InputError
        If the store holds no natural chain about as long as the samples.
    """
    natural = None
    if reference is not None:
        lengths = results.evaluation.table["length"].to_numpy()
        natural = Distributions.of_store(reference, shortest=shortest_like(lengths), longest=longest_like(lengths))
    return write_report(build_report(results, natural=natural, title=title, structures=structures), path)


def build_report(
    results: Results, *, natural: Distributions | None = None, title: str = TITLE, structures: int = STRUCTURES
) -> Report:
    """Put together the report of a set of backbones.

    Parameters
    ----------
    results
        Structures and measures, from `helicell.protein.results.read_results`.
    natural
        Distributions of natural chains for the figures; those of the package by default.
    title
        Title of the page.
    structures
        Structures in each gallery of the viewer.

    Returns
    -------
    Report
        To be drawn by `helicell.core.reports.render`.
    """
    natural = natural or Distributions.natural()
    law = RadiusLaw.fit(natural.lengths, natural.rg)
    natural = natural.near(results.evaluation.table["length"].to_numpy())
    sections = [
        Section(
            "At a glance",
            [_tiles(results.evaluation.overall), *_warnings(results)],
            lead="A bar is the samples, all that were given; the mark on it is natural chains of the same lengths.",
            short="Overview",
        ),
        Section(
            "Structures",
            [structure_viewer(results, count=structures), *_archive(results)],
            lead="Judge the model by the unpicked samples.",
        ),
        Section("Figures", _figures(results, natural, law), lead=f"Natural chains: {natural.description}."),
        Section(
            "Measures",
            [_measures(results.evaluation.overall), *_by_length(results.evaluation.by_length), _all_samples(results)],
            lead=f"Natural figures: {results.evaluation.reference}.",
        ),
    ]
    return Report(title, _subtitle(results), sections, _provenance(results))


def _subtitle(results: Results) -> str:
    lengths = np.unique(results.evaluation.table["length"])
    listed = ", ".join(map(str, lengths)) if len(lengths) <= 8 else f"{lengths[0]} to {lengths[-1]}"
    return f"{len(results.evaluation.table)} backbones of {listed} residues, evaluated beside natural chains"


def _with_structured(values: Mapping[str, float]) -> dict[str, float]:
    """Add the share of residues in helices or strands."""
    known = "helix" in values and "strand" in values
    return {**values, **({"helix_and_strand": values["helix"] + values["strand"]} if known else {})}


def _tiles(summary: Summary) -> Tiles:
    means, natural = _with_structured(summary.means), _with_structured(summary.natural)
    tiles = []
    for name, label, is_share in TILES:
        if name not in means:
            continue
        shown = _percent if is_share else "{:.2f}".format
        detail = f"natural {shown(natural[name])}" if name in natural else NO_NATURAL.get(name, "")
        tiles.append(Tile(label, shown(means[name]), detail, means[name], natural.get(name)))
    return Tiles(tiles[:MOST_TILES])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _warnings(results: Results) -> list[Block]:
    """A note for files that could not be used."""
    unreadable = results.evaluation.unreadable
    if not unreadable:
        return []
    some = [f"{file} ({reason})" for file, reason in list(unreadable.items())[:5]]
    listed = "; ".join(some) + (" ..." if len(unreadable) > len(some) else "")
    return [Note(f"Not counted, as they could not be read: {len(unreadable)} files: {listed}", "warning")]


def _archive(results: Results) -> list[Block]:
    """All structure files as one zip inside the page, unless that makes the page too heavy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in results.paths:
            # A fixed date, so that the same results give the same page.
            archive.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED)
    if len(buffer.getvalue()) > MOST_ARCHIVE_BYTES:
        return [
            Note(f"The {len(results.paths)} structures are too large for this page; they are in the samples' folders.")
        ]
    return [Download("All structures", "backbones.zip", buffer.getvalue(), "application/zip")]


def _figures(results: Results, natural: Distributions, law: RadiusLaw) -> list[Block]:
    table, means, real = results.evaluation.table, results.evaluation.overall.means, results.evaluation.overall.natural
    measured = Distributions.of(results.chains, description="samples")
    phi, psi = backbone_angles([np.asarray(chain.coordinates, dtype=np.float64) for chain in results.chains])
    panels = [
        plots.TMPanel(table[name].dropna().to_numpy(), means[name], real.get(name), label)
        for name, label in (
            ("novelty_tm", "TM-score to the nearest natural chain"),
            ("pairwise_tm", "Mean TM-score to the other samples of the length"),
        )
        if name in table and table[name].notna().any()
    ]
    single: list[Block] = [
        _figure(
            plots.ramachandran(phi, psi, natural=natural.ramachandran),
            "ramachandran",
            "Ramachandran plot",
            f"Backbone dihedrals of all {len(phi):,} residues over the contours of natural ones.",
        ),
        _figure(
            plots.secondary_structure(
                measured.helix, measured.strand, natural_helix=natural.helix, natural_strand=natural.strand
            ),
            "secondary-structure",
            "Secondary structure",
            "A point a chain, and the mean of all; helix and strand by DSSP.",
        ),
        _figure(
            plots.compactness(
                measured.lengths,
                measured.rg,
                natural_lengths=natural.lengths,
                natural_rg=natural.rg,
                natural_mean=law.mean,
            ),
            "compactness",
            "Length and radius of gyration",
            "The line is the mean of compact natural chains.",
        ),
    ]
    if panels:
        caption = "Novelty and diversity: lower is newer, and more varied. Above 0.5 two chains mostly share a fold."
        single.append(_figure(plots.similarity(panels, same_fold=SAME_FOLD), "similarity", "TM-scores", caption))
    bonds = plots.bonds(
        [measured.ca_ca, measured.c_n, measured.n_ca_c],
        [natural.ca_ca, natural.c_n, natural.n_ca_c],
        titles=["Cα–Cα distance (Å)", "C–N bond (Å)", "N–Cα–C angle (degrees)"],
        limits=[geometry.CA_CA_RANGE, geometry.C_N_RANGE, tuple(np.rad2deg(geometry.N_CA_C_RANGE))],
    )
    caption = "Values beyond the axes are counted in the outermost bins."
    return [Grid(single), _figure(bonds, "bonds", "Bond geometry", caption)]


def _figure(figure: Drawing, name: str, title: str, caption: str) -> Figure:
    return Figure(figure_svg(figure, name=name, title=title), title, caption, name)


def _measures(summary: Summary) -> Table:
    """All measures, samples beside natural chains."""
    rows: list[Sequence[Cell | str | float | None]] = []
    for measure in MEASURES:
        if measure.name not in summary.means:
            continue
        interval = summary.intervals.get(measure.name)
        shown = Cell(f"{interval[0]:.3f} – {interval[1]:.3f}", interval[0]) if interval else None
        label = f"{measure.label} ({measure.unit})" if measure.unit else measure.label
        rows.append([label, summary.means[measure.name], shown, summary.natural.get(measure.name)])
    columns = [
        Column("Measure"),
        Column("Samples", ".3f"),
        Column("95 % interval", help="Of the mean, by bootstrap over the samples"),
        Column("Natural", ".3f", "Mean over natural chains of the same lengths"),
    ]
    return Table(
        columns, rows, f"Means over {summary.samples} samples. Lengths in Å; the rest are shares, counts and scores."
    )


def _by_length(summaries: Mapping[str, Summary]) -> list[Block]:
    """The same length by length: a row of samples, a row of natural chains."""
    if len(summaries) < 2:
        return []
    shown = [(name, title) for name, title in BY_LENGTH if any(name in summary.means for summary in summaries.values())]
    rows: list[Sequence[Cell | str | float | None]] = []
    for label, summary in summaries.items():
        rows.append([f"{label} residues, {summary.samples} samples", *(summary.means.get(name) for name, _ in shown)])
        natural = [summary.natural.get(name) for name, _ in shown]
        figures = [Cell("–" if value is None else f"{value:.3f}", value, "faint") for value in natural]
        rows.append([Cell("natural", "natural", "faint"), *figures])
    labels = {measure.name: measure.label for measure in MEASURES}
    columns = [Column("Length"), *(Column(title, ".3f", labels[name]) for name, title in shown)]
    return [Collapsible("Length by length", [Table(columns, rows)], opened=len(summaries) <= 6)]


def _all_samples(results: Results) -> Collapsible:
    table = results.evaluation.table
    shown = [(name, title, style) for name, title, style in PER_SAMPLE if name in table]
    labels = {measure.name: measure.label for measure in MEASURES}
    columns = [Column("File"), *(Column(title, style, labels.get(name, "")) for name, title, style in shown)]
    rows = [
        [str(row["file"]), *(_number(row[name], style) for name, _, style in shown)] for row in table.to_dict("records")
    ]
    return Collapsible(f"All {len(table)} samples", [Table(columns, rows, sortable=True)])


def _number(value: float, style: str) -> float | int | None:
    """A number as its format wants it; nothing for a missing one."""
    if not np.isfinite(value):
        return None
    return int(value) if style == "d" else float(value)


def _provenance(results: Results) -> Provenance:
    return Provenance(dict(results.facts), dict(results.texts))
