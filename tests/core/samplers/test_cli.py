"""The commands of samplers, as a user types them: train, sample, evaluate, baselines, tables, and what they refuse."""

import csv
import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest

SMALL = (
    "policy: {hidden: 8}\nprocess: {steps: 5}\ntraining: {batch: 16, warm_up: 1}\nevaluation: {samples: 60}\n"
    "search: {every: 2, steps: 6, burn_in: 3, chains: 8}\n"
)


@pytest.fixture
def run_folder(tmp_path, run_cli):
    """The folder of a short training."""
    (tmp_path / "small.yaml").write_text(SMALL)
    out = tmp_path / "run"
    ended = run_cli(
        *("samplers", "train", tmp_path / "small.yaml", "--energy", "many-well", "--dim", 4, "--objective", "fl-subtb"),
        *("--langevin", "--local-search", "--exploration", 0.3, "--iterations", 6, "--seed", 2, "--out", out, "--json"),
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["folder"] == str(out)
    return out


def test_a_training_leaves_everything(run_folder):
    """Weights, metrics with errors against the truth, costs, a log, figures that are SVG, and the settings as given."""
    metrics = json.loads((run_folder / "metrics.json").read_text())
    wanted = {"log_z", "log_z_rw", "log_z_error", "log_z_rw_error", "ess", "energy_calls", "cpu_seconds", "sliced_w2"}
    assert wanted <= set(metrics)
    assert metrics["log_z"] + metrics["log_z_error"] == pytest.approx(20.586959, abs=1e-5)
    assert metrics["energy_calls"] > 6 * 16 * 5
    for name in ("samples.svg", "training.svg"):
        assert ET.parse(run_folder / name).getroot().tag.endswith("svg")
    settings = (run_folder / "settings.yaml").read_text()
    assert "langevin: true" in settings
    assert "objective: fl-subtb" in settings
    assert (run_folder / "manifest.json").exists()


@pytest.mark.parametrize("name", ["samples.npz", "samples.csv"])
def test_samples_in_a_file(run_folder, run_cli, tmp_path, name):
    """Points with weights, the first of which do not depend on how many there are."""
    files = [tmp_path / f"{count}-{name}" for count in (5, 9)]
    for file, count in zip(files, (5, 9), strict=True):
        ended = run_cli("samplers", "sample", run_folder, "--count", count, "--seed", 4, "--out", file)
        assert ended.code == 0, ended.err
        assert f"{count} samples" in ended.out
    if name.endswith("npz"):
        few, many = (np.load(file) for file in files)
        assert few["points"].shape == (5, 4)
        np.testing.assert_allclose(few["points"], many["points"][:5], rtol=1e-4, atol=1e-5)
        assert np.isfinite(many["log_weight"]).all()
    else:
        rows = list(csv.DictReader(files[0].read_text().splitlines()))
        assert list(rows[0]) == ["x0", "x1", "x2", "x3", "log_weight", "log_reward"]
        assert len(rows) == 5


def test_evaluation_of_a_model(run_folder, run_cli, tmp_path):
    """The metrics of a file, also with other steps, as JSON on the screen and in a file."""
    out = tmp_path / "metrics.json"
    ended = run_cli(
        *("samplers", "evaluate", run_folder / "model.safetensors", "--samples", 40, "--steps", 3),
        *("--out", out, "--json"),
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == json.loads(out.read_text())
    assert json.loads(ended.out)["samples"] == 40


@pytest.mark.parametrize("method", ["smc", "ais", "mala", "tempering"])
def test_baselines_and_the_table(run_folder, run_cli, tmp_path, method):
    """Peers write the same metrics; estimates that they do not have are null; all runs stand in one table."""
    out = tmp_path / method
    ended = run_cli(
        *("samplers", "baseline", method, "--energy", "many-well", "--dim", 4, "--count", 50, "--steps", 10),
        *("--out", out, "--quiet"),
    )
    assert ended.code == 0, ended.err
    assert ended.out == ""
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["log_z_rw"] is None) == (method in ("mala", "tempering"))
    assert np.load(out / "samples.npz")["points"].shape == (50, 4)
    table, figure = tmp_path / "table.csv", tmp_path / "trainings.svg"
    ended = run_cli("samplers", "table", run_folder, out, "--out", table, "--plot", figure)
    assert ended.code == 0, ended.err
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["objective"] for row in rows] == ["fl-subtb", method]
    assert ET.parse(figure).getroot().tag.endswith("svg")


def test_a_user_energy_from_the_command_line(run_cli, tmp_path, monkeypatch):
    """An energy in the working directory trains; one that is always NaN fails with one line and exit code 1."""
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "own_energies.py").write_text(
        "class Bowl:\n    dim = 3\n    def log_reward(self, x):\n        return -x.square().sum(dim=1)\n"
        "class Nothing(Bowl):\n    def log_reward(self, x):\n        return x[:, 0] * float('nan')\n"
    )
    monkeypatch.chdir(tmp_path)
    train = ("samplers", "train", "small.yaml", "--quiet", "--iterations", 60, "--energy")
    assert run_cli(*train, "own_energies:Bowl", "--out", "bowl").code == 0
    assert json.loads((tmp_path / "bowl" / "metrics.json").read_text())["log_z_error"] is None
    failed = run_cli(*train, "own_energies:Nothing", "--out", "nothing")
    assert failed.code == 1
    assert failed.err.count("\n") == 1
    assert "look at the energy" in failed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "--energy", "gmm26", "--out", "x"), "did you mean 'gmm25'"),
        (("train", "--objective", "tbb", "--out", "x"), "objective"),
        (("train", "--iterations", 0, "--out", "x"), "iterations"),
        (("sample", "missing", "--out", "x.npz"), "cannot be read"),
        (("sample", "missing", "--out", "x.txt"), "format of samples"),
        (("baseline", "gibbs", "--out", "x"), "method"),
        (("baseline", "smc", "--energy", "digits", "--out", "x"), "conditions"),
        (("table", "missing"), "finished run"),
    ],
)
def test_bad_input_is_one_line(run_cli, tmp_path, monkeypatch, arguments, told):
    """Unknown names, impossible values and missing files end with code 2 and say what to do."""
    monkeypatch.chdir(tmp_path)
    ended = run_cli("samplers", *arguments)
    assert ended.code == 2
    assert told in ended.err
    assert ended.err.count("\n") == 1
