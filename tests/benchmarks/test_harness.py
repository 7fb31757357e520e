"""The benchmark harness: what it writes can be relied on by other programs."""

import ast
import json
import re
import subprocess

import pytest


@pytest.fixture
def harness(root, monkeypatch):
    """Return the harness as a benchmark sees it."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import harness

    return harness


def test_results_hold_machine_commit_settings_and_rows(harness, tmp_path, capsys):
    """The file has the keys that were promised, and reading gives what was written."""
    rows = [
        harness.Row.at_least("backbones a second", 2.5, 2, unit="1/s"),
        harness.Row.at_most("pairwise TM", 0.7, 0.6),
        harness.Row("seeds", 3),
    ]
    record = harness.write_results("trial", rows, {"steps": 50}, results=tmp_path)
    written = json.loads((tmp_path / "trial.json").read_text())
    assert written == record == harness.read_results("trial", results=tmp_path)
    assert set(written) == {"name", "machine", "commit", "settings", "rows"}
    assert written["settings"] == {"steps": 50}
    assert written["rows"][0] == {
        "measure": "backbones a second",
        "value": 2.5,
        "unit": "1/s",
        "goal": ">= 2",
        "holds": True,
    }
    assert [row["holds"] for row in written["rows"]] == [True, False, None]
    assert {"processor", "cores", "threads", "memory_gib", "torch"} <= set(written["machine"])
    printed = capsys.readouterr().out
    assert "MISSED" in printed
    assert "backbones a second" in printed


def test_the_commit_is_the_one_checked_out(harness, root):
    """The recorded commit is that of the checkout, marked when files differ from it."""
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    assert harness.describe_commit().rstrip("+") == done.stdout.strip()


def test_a_value_that_is_no_number_writes_nothing(harness, tmp_path):
    """A benchmark that went wrong does not leave a file that looks right."""
    with pytest.raises(ValueError, match="JSON compliant"):
        harness.write_results("trial", [harness.Row("x", float("nan"))], {}, results=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_benchmark_ends_with_its_results(root):
    """Each `bench_NAME.py` parses, takes the harness, and writes the results under the name that make gave it."""
    scripts = sorted((root / "benchmarks").glob("bench_*.py"))
    assert scripts
    for script in scripts:
        text = script.read_text()
        imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
        assert "harness" in imported, script
        assert re.search(rf'write_results\(\s*"{script.stem.removeprefix("bench_")}"', text), script
