"""The table has what was measured, depends on nothing but populations and seeds, and comes back from its files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from helicell.cells import PopulationFlow
from helicell.cells.baselines import GlobalShift, Identity, OwnShift
from helicell.cells.evaluation import Evaluation, evaluate_responses
from helicell.cells.evaluation.measures import MEASURES
from helicell.cells.responses import PopulationKey, Response
from helicell.core.citations import citation_keys
from helicell.core.errors import InputError

QUICK = ["w2", "mmd", "mean_error", "pearson_delta"]


@dataclass(frozen=True)
class Moved:
    """A predictor that moves all cells, or does something else that a test wants."""

    by: float
    name: str = "model"

    def predict(self, response: Response) -> torch.Tensor:
        return response.control + self.by


def populations(donors: str, *, cells: int = 80, cell_type: str | None = None) -> list[Response]:
    """Gaussian populations whose treated cells are moved by 1 in each of three features, and a little more by donor."""
    result = []
    for donor in donors:
        generator = torch.Generator().manual_seed(ord(donor))
        control, treated = torch.randn(2, cells, 3, generator=generator)
        shift = torch.tensor([1.0, 1.1, 0.9]) + 0.01 * ord(donor)
        key = PopulationKey(donor=donor, condition="x", cell_type=cell_type)
        result.append(Response(key=key, control=control, treated=treated + shift))
    return result


def baselines(train: Sequence[Response]) -> list:
    """Some of the baselines."""
    return [Identity(), GlobalShift.fit(train), OwnShift()]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two trainings of a model, and baselines, on three donors."""
    predictors = [Moved(1.5), Moved(1.4), *baselines(populations("ABCD"))]
    return evaluate_responses(predictors, populations("XYZ"), measures=QUICK, facts={"data": "Gaussian"})


def test_every_population_predictor_and_seed_has_a_row():
    """With the numbers of cells; the floor comes by itself; all measures are taken unless some are chosen."""
    found = evaluate_responses([Identity()], populations("XY", cells=30), seeds=(0, 1))
    assert found.table[["donor", "predictor", "seed"]].to_numpy().tolist() == [
        [donor, predictor, seed] for donor in "XY" for seed in (0, 1) for predictor in ("identity", "floor")
    ]
    assert set(found.table["controls"]) == set(found.table["treated"]) == {30}
    assert found.measures == tuple(MEASURES)
    assert found.populations == 2


def test_means_are_over_populations_and_repetitions(evaluation):
    """Sums are plain means of the rows; predictors of one name are repetitions of one."""
    table = evaluation.table
    assert table.loc[table["predictor"] == "model", "repetition"].tolist() == [0, 1] * 3
    assert evaluation.predictors == ("model", "identity", "global_shift", "own_shift", "floor")
    for name in evaluation.predictors:
        mean = table.loc[table["predictor"] == name, "w2"].mean()
        assert evaluation.summary()["w2"][name] == pytest.approx(mean)
        interval = evaluation.interval("w2", name)
        assert interval.mean == pytest.approx(mean)
        assert interval.low <= interval.mean <= interval.high
    assert evaluation.values("w2", "model").shape == (3, 2)


def test_knowing_more_is_better(evaluation):
    """The own shift is nearly at the floor, the global shift behind it, nothing behind that."""
    found = evaluation.summary()["w2"]
    assert found["own_shift"] < found["global_shift"] < found["identity"]
    assert found["own_shift"] == pytest.approx(found["floor"], rel=0.15)
    assert evaluation.difference("w2", "own_shift", "identity").high < 0
    assert evaluation.summary()["mean_error"]["own_shift"] < evaluation.summary()["mean_error"]["global_shift"]


def test_own_shift_has_no_error_of_the_mean_when_all_cells_are_compared():
    """With fewer cells than the limit, nothing is drawn, and the means agree exactly."""
    found = evaluate_responses([OwnShift()], populations("X"), measures=["mean_error"])
    assert found.summary()["mean_error"]["own_shift"] == pytest.approx(0, abs=1e-6)


def test_a_population_is_measured_alone():
    """What else is evaluated, and in which order, changes nothing; another seed draws other cells."""
    predictors = [Moved(1.0)]
    alone = evaluate_responses(predictors, populations("Y"), cells=40, measures=["w2"])
    among = evaluate_responses(predictors, populations("ZYX"), cells=40, measures=["w2"])
    rows = among.table[among.table["donor"] == "Y"]
    assert rows["w2"].tolist() == alone.table["w2"].tolist()
    other = evaluate_responses(predictors, populations("Y"), cells=40, measures=["w2"], seeds=[1])
    assert other.table["w2"].tolist() != alone.table["w2"].tolist()


def test_predictors_are_compared_on_the_same_cells():
    """The difference of two shifts has no noise of the draw: only their predictions differ."""
    responses = populations("X", cells=200)
    found = evaluate_responses([Moved(1.0, "a"), Moved(1.0, "b")], responses, cells=50, measures=["w2"], seeds=range(3))
    assert found.difference("w2", "a", "b").high == 0


def test_any_number_of_predicted_cells_will_do():
    """A model with growth may predict more or fewer cells than there are controls."""

    class Half:
        name = "half"

        def predict(self, response: Response) -> torch.Tensor:
            return response.treated[::2]

    found = evaluate_responses([Half()], populations("X"), measures=["mean_error"])
    assert math.isfinite(found.summary()["mean_error"]["half"])


def test_files_hold_everything(evaluation, tmp_path):
    """Sums for programs, nested by measure and predictor; the table; and both are read again."""
    file = tmp_path / "new" / "metrics.json"
    evaluation.write(file)
    record = json.loads(file.read_text())
    assert set(record["w2"]) == set(record["mmd"]) == set(evaluation.predictors)
    assert record["w2"]["model"] == pytest.approx(evaluation.summary()["w2"]["model"])
    low, high = record["intervals"]["w2"]["model"]
    assert low <= record["w2"]["model"] <= high
    assert record["differences"]["w2"]["identity"][2] < 0
    assert record["pearson_delta"]["identity"] is None, "a change that is none correlates with nothing"
    assert (record["populations"], record["cells"], record["facts"]) == (3, 500, {"data": "Gaussian"})
    again = Evaluation.read(file)
    assert again.metrics()["populations"] == 3
    assert again.table["w2"].tolist() == pytest.approx(evaluation.table["w2"].tolist(), rel=1e-6)
    assert again.facts == evaluation.facts
    again.write(tmp_path / "again.json")
    assert (tmp_path / "again.csv").read_bytes() == file.with_suffix(".csv").read_bytes()


def test_names_that_look_like_numbers_stay_names(tmp_path):
    """Donors 101 and 7 are read as text, as they were written."""
    responses = [
        Response(PopulationKey(donor=donor, condition="1", dose=0.5), response.control, response.treated)
        for donor, response in zip(("101", "007"), populations("XY"), strict=True)
    ]
    evaluation = evaluate_responses([Identity()], responses, measures=["w2"])
    evaluation.write(tmp_path / "metrics.json")
    again = Evaluation.read(tmp_path / "metrics.json")
    assert again.table["donor"].tolist() == ["101", "101", "007", "007"]
    np.testing.assert_allclose(again.values("w2", "identity"), evaluation.values("w2", "identity"), rtol=1e-6)


def test_folds_come_together(evaluation):
    """Evaluations of different populations are one; of the same, or at another size, they are not."""
    folds = [evaluate_responses([Identity()], populations(donor), measures=["w2"]) for donor in "XY"]
    together = Evaluation.together(folds)
    whole = evaluate_responses([Identity()], populations("XY"), measures=["w2"])
    assert together.metrics() == whole.metrics()
    with pytest.raises(InputError, match="X / x was evaluated twice"):
        Evaluation.together([folds[0], folds[0]])
    small = evaluate_responses([Identity()], populations("Y"), cells=10, measures=["w2"])
    with pytest.raises(InputError, match="compared 500, 10 cells"):
        Evaluation.together([folds[0], small])
    with pytest.raises(InputError, match="no evaluations"):
        Evaluation.together([])


def test_measures_of_two_spaces_stand_side_by_side():
    """Rows have to be the same; then the columns of both are there."""
    responses = populations("XY")
    one = evaluate_responses([Identity()], responses, measures=["w2"])
    other = evaluate_responses([Identity()], responses, measures=["mean_error"])
    both = one.beside(other)
    assert both.measures == ("w2", "mean_error")
    assert both.summary()["mean_error"] == other.summary()["mean_error"]
    with pytest.raises(InputError, match="different populations"):
        one.beside(evaluate_responses([Identity()], responses[:1], measures=["mmd"]))


def test_bad_input_is_named(evaluation, tmp_path):
    """Nothing to evaluate, wrong shapes and names, numbers that are none, files of something else."""
    responses = populations("X")
    for arguments, message in (
        (([], responses), "nothing to evaluate"),
        (([Identity()], []), "nothing to evaluate"),
        (([Moved(0, "floor")], responses), "name of the floor"),
        (([Identity()], responses * 2), "X / x is given twice"),
        (([Moved(math.nan)], responses), "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate_responses(*arguments, measures=["w2"])
    with pytest.raises(InputError, match="1 cells were asked"):
        evaluate_responses([Identity()], responses, cells=1)
    with pytest.raises(InputError, match="unknown measure"):
        evaluate_responses([Identity()], responses, measures=["w22"])

    class Wrong:
        name = "wrong"

        def predict(self, response: Response) -> torch.Tensor:
            return response.control[:, :2]

    with pytest.raises(InputError, match=r"wrong predicted the shape \[80, 2\] for X / x, expected cells of 3"):
        evaluate_responses([Wrong()], responses)
    with pytest.raises(InputError, match="unknown predictor 'modle'"):
        evaluation.values("w2", "modle")
    with pytest.raises(InputError, match=r"does not end in \.json"):
        evaluation.write(tmp_path / "metrics.txt")
    with pytest.raises(InputError, match="is a folder"):
        evaluation.write(tmp_path)
    for name, text in (("absent", None), ("empty", ""), ("other", "{}"), ("list", "[]")):
        file = tmp_path / f"{name}.json"
        if text is not None:
            file.write_text(text)
            file.with_suffix(".csv").write_text("donor,predictor\nA,model\n")
        with pytest.raises(InputError, match="helicell cells evaluate"):
            Evaluation.read(file)


def test_papers_are_named():
    """The model names meta flow matching, the evaluation what its measures and intervals are from."""
    assert "atanackovic2024meta" in set(citation_keys(PopulationFlow))
    assert {"bunne2023learning", "flamary2021pot", "owen2007pigeonhole"} <= set(citation_keys(evaluate_responses))
