"""The report shows what was measured, says how populations were chosen and where a shift is as good, in one file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from helicell.cells import Evaluation, PopulationFlow
from helicell.cells.report import build_report, write_cells_report
from helicell.cells.results import Results, evaluate_results, read_results
from helicell.core.errors import InputError
from helicell.core.reports import Collapsible, Figure, Grid, Note, Report, Table, Tiles, render
from studies import Study, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Cytometry of five donors, of which two are predicted."""
    return make_study(tmp_path_factory.mktemp("study"), preprocessing={"kind": "arcsinh"})


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    """Predictions beside the data."""
    return read_results(study.predicted, study.data)


@pytest.fixture(scope="module")
def evaluation(results: Results) -> Evaluation:
    """What is measured on them."""
    return evaluate_results(results, cells=40)


@pytest.fixture(scope="module")
def report(study: Study, results: Results, evaluation: Evaluation) -> Report:
    """The report, with the ways of the cells."""
    return build_report(results, evaluation, model=PopulationFlow.load(study.model), title="Trial", populations=3)


def section(report: Report, title: str) -> list:
    """The blocks of a section."""
    return next(list(one.blocks) for one in report.sections if one.title == title)


def test_tiles_show_how_much_of_the_gap_is_closed(report: Report, evaluation: Evaluation):
    """The bar is the share of the way from no change to the floor, the mark that of the nearest shift."""
    tiles = {
        tile.label: tile for block in section(report, "At a glance") if isinstance(block, Tiles) for tile in block.tiles
    }
    values = evaluation.summary()["mmd"]
    tile = tiles["MMD (six kernels)"]
    gap = values["identity"] - values["floor"]
    assert tile.value == f"{values['model']:.3g}"
    assert tile.share == pytest.approx(np.clip((values["identity"] - values["model"]) / gap, 0, 1))
    assert tile.reference_share == pytest.approx(np.clip((values["identity"] - values["nearest_shift"]) / gap, 0, 1))
    assert tile.detail == f"no change {values['identity']:.3g}, floor {values['floor']:.3g}"


def test_the_verdict_follows_the_intervals(report: Report, evaluation: Evaluation):
    """Better, worse or level is said of each baseline as the interval of the difference has it; few populations too."""
    text = " ".join(block.body for block in section(report, "At a glance") if isinstance(block, Note))
    for name, label in (("identity", "identity"), ("global_shift", "global shift"), ("nearest_shift", "nearest shift")):
        one = evaluation.difference("w2", "model", name)
        said = "better than" if one.high < 0 else "worse than" if one.low > 0 else "cannot be told from"
        assert re.search(rf"By W₂ the model (is )?{said}[^.:]*{label}", text), (name, text)
    assert "4 populations are too few" in text


def test_populations_are_spread_from_best_to_worst(report: Report, evaluation: Evaluation):
    """Three of four are drawn, the best and the worst by W2 over its floor among them, and the page says so."""
    cells = next(one for one in report.sections if one.title == "Cells")
    assert "3 of 4 populations, not picked" in cells.lead
    ratio = evaluation.values("w2", "model")[:, 0] / evaluation.values("w2", "floor")[:, 0]
    table = evaluation.table.drop_duplicates(["donor", "condition"])
    names = [f"{donor} / {condition}" for donor, condition in zip(table["donor"], table["condition"], strict=True)]
    order = [names[place] for place in np.argsort(ratio)]
    figure = next(block for block in cells.blocks if block.title == "Population by population")
    drawn = re.findall(r">(donor\d / drug\d)<", figure.svg)
    assert (drawn[0], drawn[-1]) == (order[0], order[-1])
    assert len(drawn) == 3


def test_tables_hold_every_measure_and_population(report: Report, evaluation: Evaluation):
    """Means of all predictors, paired differences, and a row for each population with its numbers of cells."""
    blocks = section(report, "Measures")
    table = next(block for block in blocks if isinstance(block, Table))
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.cells()}
    assert len(rows) == len(evaluation.measures)
    interval = evaluation.interval("w2", "model")
    assert rows["W₂"][0] == f"{interval.mean:.3g} ({interval.low:.3g} to {interval.high:.3g})"
    assert rows["W₂"][1] == f"{evaluation.summary()['w2']['identity']:.3g}"
    assert rows["Correlation structure"][1] == f"{evaluation.summary()['correlation']['identity']:.3g}"
    everything = next(block for block in blocks if isinstance(block, Collapsible) and "All 4" in block.title)
    cells = everything.blocks[0].cells()
    assert [row[0].text for row in cells] == [f"donor{donor} / drug{drug}" for donor in (2, 4) for drug in (1, 2)]
    assert {(row[1].text, row[2].text) for row in cells} == {("60", "60")}


def test_ways_need_the_model(report: Report, results: Results, evaluation: Evaluation):
    """With it each drawn population has its panel; without it the page says what is missing."""
    (figure,) = section(report, "Ways of the cells")
    assert isinstance(figure, Figure)
    assert len(re.findall(r">donor\d / drug\d<", figure.svg)) == 3
    (note,) = section(build_report(results, evaluation, populations=1), "Ways of the cells")
    assert "--model" in note.body


def test_page_stands_alone_and_stays_small(report: Report):
    """Nothing is loaded from outside, the molecule viewer is left out, and the same results give the same page."""
    page = render(report)
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []
    assert "3Dmol" not in page
    assert len(page) < 2_000_000
    figures = [block for one in report.sections for block in one.blocks]
    figures += [inner for block in figures if isinstance(block, Grid) for inner in block.blocks]
    assert sum(isinstance(block, Figure) for block in figures) == 7


def test_provenance_names_model_data_and_training(report: Report):
    """Checksums in short, columns, preprocessing and the populations of the training are on the page."""
    facts = report.provenance.facts
    assert facts["Columns"] == "donor donor, condition condition, control control"
    assert re.fullmatch(r"[0-9a-f]{16}\.\.\.", facts["SHA-256 of data.h5ad"])
    assert facts["Seed"] == "0"
    assert "donor1 / drug1" in report.provenance.texts["Populations that the model was trained on"]
    assert '"arcsinh"' in report.provenance.texts["Preprocessing"]


def test_metrics_of_other_predictions_are_refused(
    study: Study, results: Results, evaluation: Evaluation, tmp_path: Path
):
    """Metrics have to be of these populations, and of a model; nothing is written otherwise."""
    fewer = read_results(study.predicted[:1], study.data)
    with pytest.raises(InputError, match="donor2 / drug2, of which there are no predicted cells"):
        write_cells_report(fewer, evaluation, tmp_path / "a.html")
    without = Evaluation(evaluation.table[evaluation.table["predictor"] != "model"], evaluation.cells)
    with pytest.raises(InputError, match="no model"):
        write_cells_report(results, without, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
