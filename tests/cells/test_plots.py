"""Figures draw what they are given, in colours that mean the same everywhere, and stay small with many cells."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.colors import to_hex

from helicell.cells import plots
from helicell.cells.embedding import Plane, umap_of
from helicell.cells.evaluation.intervals import Interval
from helicell.core.errors import InputError
from helicell.core.reports.figures import figure_svg

RNG = np.random.default_rng(0)


def cloud(title: str, cells: int = 30, *, at: float = 0.0) -> plots.Cloud:
    """A population of the plane."""
    return plots.Cloud(title, *(at + RNG.normal(size=(3, cells, 2))))


def test_each_population_has_its_panel_and_each_kind_its_colour():
    """Seven populations take three rows of three panels, of which seven are seen; all cells are drawn."""
    shown = [cloud(f"donor {number}", 20 + number) for number in range(7)]
    figure = plots.clouds(shown)
    seen = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in seen] == [one.title for one in shown]
    for axes, one in zip(seen, shown, strict=True):
        counts = {to_hex(part.get_facecolor()[0]): len(part.get_offsets()) for part in axes.collections}
        assert counts == dict.fromkeys((plots.CONTROL, plots.TREATED, plots.PREDICTED), len(one.control))


def test_overview_keeps_real_cells_in_view_whatever_is_predicted():
    """The limits are those of real cells; a prediction beyond them cannot shrink them to a dot."""
    wild = plots.Cloud("wild", *RNG.normal(size=(2, 50, 2)), 1000 + RNG.normal(size=(50, 2)))
    figure = plots.overview([wild, cloud("tame")])
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Control (80 cells)",
        "Treated (80 cells)",
        "Predicted (80 cells)",
    ]
    for axes in figure.axes:
        assert max(map(abs, (*axes.get_xlim(), *axes.get_ylim()))) < 10


def test_bars_and_marks_stand_at_their_values():
    """The bar of a population is the model's distance, the marks the baselines', the line the floor."""
    values = {
        "model": np.array([1.0, 2.0]),
        "identity": np.array([3.0, 4.0]),
        "own_shift": np.array([0.9, 1.5]),
        "floor": np.array([0.5, 0.6]),
    }
    figure = plots.populations(["A", "B"], values, label="W2")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0]
    offsets = [part.get_offsets() for part in axes.collections if len(part.get_offsets()) == 2]
    assert [sorted(points[:, 0]) for points in offsets] == [[3.0, 4.0], [0.9, 1.5]]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["model", "identity", "own shift (looks at the answer)", "floor"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A", "B"]


def test_means_leave_out_what_is_not_defined():
    """A predictor without a number has no bar; intervals are drawn as lines."""
    intervals = {"model": Interval(0.5, 0.4, 0.7), "identity": Interval(np.nan, np.nan, np.nan)}
    figure = plots.means([plots.Spread("Pearson", False, intervals)])
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.5]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0.4, 0.7]]
    assert axes.get_xlabel() == "more is better"


def test_ways_are_one_line_with_gaps():
    """The points of each cell follow each other, and no line leads from one cell to the next."""
    paths = {"A": RNG.normal(size=(5, 3, 2))}
    figure = plots.trajectories(paths, {"A": cloud("A")}, variances=(0.5, 0.25))
    (line,) = figure.axes[0].lines
    drawn = np.asarray(line.get_xydata()).reshape(3, 6, 2)
    np.testing.assert_array_equal(drawn[:, :5], paths["A"].transpose(1, 0, 2))
    assert np.isnan(drawn[:, 5]).all()
    assert figure.axes[0].get_xlabel() == "PC 1 (50%)"


def test_changes_on_the_diagonal_are_exact():
    """True changes lie along x, predicted ones along y, on axes that are alike."""
    true, predicted = RNG.normal(size=(2, 4, 6))
    axes = plots.changes(true, predicted, label="a mean").axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack((true.ravel(), predicted.ravel()), axis=1))
    assert axes.get_xlim() == axes.get_ylim()


def test_many_cells_stay_small():
    """Clouds are pictures in the SVG, not a shape for each cell: its text does not grow with their number."""
    few, many = (figure_svg(plots.clouds([cloud("A", cells)]), name="a", title="A") for cells in (20, 5000))
    texts = [re.sub(r"data:image/png;base64,[^\"]*", "", svg) for svg in (few, many)]
    assert texts[0].count("<image") == texts[1].count("<image") >= 1
    assert abs(len(texts[1]) - len(texts[0])) < 100
    assert len(many) < 500_000


def test_umap_separates_and_places():
    """Two kinds of cells lie apart; others are placed with their kind."""
    real = np.concatenate((RNG.normal(size=(60, 5)), 10 + RNG.normal(size=(60, 5)))).astype(np.float32)
    others = [RNG.normal(size=(10, 5)).astype(np.float32), 10 + RNG.normal(size=(20, 5)).astype(np.float32)]
    placed, (near, far) = umap_of(real, others)
    assert (placed.shape, near.shape, far.shape) == ((120, 2), (10, 2), (20, 2))
    centres = placed[:60].mean(axis=0), placed[60:].mean(axis=0)
    for cells, own, other in ((near, *centres), (far, *centres[::-1])):
        assert (np.linalg.norm(cells - own, axis=1) < np.linalg.norm(cells - other, axis=1)).all()
    with pytest.raises(InputError, match="needs more than 15"):
        umap_of(real[:10], [])


def test_plane_is_that_of_the_largest_variance():
    """The axes are orthonormal, the shares are those of the covariance, and signs are fixed."""
    cells = RNG.normal(size=(500, 4)) * np.array([1.0, 5.0, 0.1, 3.0]) + 7
    plane = Plane.fit(cells)
    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(2), atol=1e-12)
    values = np.sort(np.linalg.eigvalsh(np.cov(cells.T)))[::-1]
    assert plane.shares == pytest.approx(tuple(values[:2] / values.sum()))
    assert plane.axes[np.abs(plane.axes).argmax(axis=0), [0, 1]].min() > 0
    assert plane.project(cells).mean(axis=0) == pytest.approx([0, 0])
    assert Plane.fit(cells[:, :1]).project(cells[:, :1]).shape == (500, 2)
