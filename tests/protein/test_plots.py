"""Figures show the numbers they are given."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from helicell.core.reports.figures import figure_svg
from helicell.protein import plots
from helicell.protein.distributions import CA_CA_EDGES, Distributions, Histogram


@pytest.fixture(scope="module")
def natural() -> Distributions:
    """The natural chains of the package."""
    return Distributions.natural()


def texts(figure: Figure) -> str:
    """All text of a figure, as it is written to SVG."""
    svg = figure_svg(figure, name="figure", title="a figure")
    return " ".join(element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text"))


def points(figure: Figure, panel: int = 0) -> list[np.ndarray]:
    """The positions of the scattered points of a panel, one array a group."""
    return [np.asarray(group.get_offsets()) for group in figure.axes[panel].collections if len(group.get_offsets()) > 1]


def test_ramachandran_is_in_degrees(natural: Distributions) -> None:
    """Each residue is a point at its phi and psi in degrees, and the three contours are named."""
    phi, psi = np.deg2rad([-60.0, -120.0, 60.0]), np.deg2rad([-45.0, 130.0, 45.0])
    figure = plots.ramachandran(phi, psi, natural=natural.ramachandran)
    (shown,) = [group for group in points(figure) if len(group) == 3]
    np.testing.assert_allclose(shown, [[-60, -45], [-120, 130], [60, 45]], atol=1e-9)
    assert all(f"{share} % of natural residues" in texts(figure) for share in ("50", "98", "99.8"))


def test_many_points_become_an_image(natural: Distributions) -> None:
    """The size of the figure does not grow with the number of residues."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 40_000))
    svg = figure_svg(plots.ramachandran(*angles, natural=natural.ramachandran), name="many", title="many")
    assert "data:image/png;base64" in svg
    assert len(svg) < 400_000


def test_compactness_shows_samples_over_natural_chains(natural: Distributions) -> None:
    """Both groups are at their lengths and radii, and the shaded band is the natural mean with 20 % on either side."""
    figure = plots.compactness(
        np.array([60, 80]),
        np.array([10.0, 12.0]),
        natural_lengths=natural.lengths,
        natural_rg=natural.rg,
        natural_mean=lambda length: 2.2 * length**0.38,
    )
    groups = points(figure)
    assert any(np.array_equal(group, [[60, 10.0], [80, 12.0]]) for group in groups)
    assert any(np.allclose(group, np.column_stack([natural.lengths, natural.rg])) for group in groups)
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    at_start = band[np.isclose(band[:, 0], natural.lengths.min())][:, 1]
    mean = 2.2 * natural.lengths.min() ** 0.38
    assert at_start.min() == pytest.approx(0.8 * mean)
    assert at_start.max() == pytest.approx(1.2 * mean)


def test_bars_of_secondary_structure_add_up() -> None:
    """Helix, strand and coil of each bar are the means and add up to one."""
    figure = plots.secondary_structure(
        np.array([0.5, 0.3]),
        np.array([0.1, 0.3]),
        natural_helix=np.array([0.4, 0.4]),
        natural_strand=np.array([0.3, 0.2]),
    )
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(heights, [0.4, 0.2, 0.4, 0.4, 0.25, 0.35])
    assert "40%" in texts(figure)


def test_similarity_counts_every_sample() -> None:
    """The bars of each panel add up to its samples; the natural mean is drawn where it is known."""
    scores = np.array([0.2, 0.31, 0.32, 0.9])
    panels = [plots.TMPanel(scores, 0.43, 0.4, "first"), plots.TMPanel(scores[:2], 0.25, None, "second")]
    figure = plots.similarity(panels, same_fold=0.5)
    bars = [[patch for patch in axes.patches if patch.get_width() < 0.1] for axes in figure.axes]
    assert [sum(bar.get_height() for bar in panel) for panel in bars] == [4, 2]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]
    assert re.search("first.*second", texts(figure), re.DOTALL)


def test_bonds_draw_shares_in_percent(natural: Distributions) -> None:
    """Each panel shows the histogram of the samples over that of natural chains, in percent, and the valid range."""
    sampled = Histogram.of(np.array([3.8, 3.8, 3.9, 5.0]), CA_CA_EDGES)
    figure = plots.bonds([sampled], [natural.ca_ca], titles=["Cα–Cα (Å)"], limits=[(3.6, 4.0)])
    real, shown = (patch for patch in figure.axes[0].patches if hasattr(patch, "get_data"))
    np.testing.assert_allclose(shown.get_data().values, 100 * sampled.shares)
    np.testing.assert_allclose(real.get_data().values, 100 * natural.ca_ca.shares)
    assert shown.get_data().values.max() == pytest.approx(50.0)
