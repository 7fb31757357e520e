"""How far jobs are: status files of one job, and the sum over many."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from helicell.core.runs import status as module
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.overview import overview
from helicell.core.runs.shards import run_folders
from helicell.core.runs.status import RunStatus, StatusFile

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only entry is the time that the module sees."""
    seconds = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    return seconds


def test_rate_and_end_are_of_what_this_process_made(tmp_path, clock):
    """Twenty in half an hour after ten of an earlier process: forty an hour, the other 70 in an hour and 45 minutes."""
    with StatusFile(tmp_path, "trial", total=100, done=10, tried=50) as status:
        first = RunStatus.read(tmp_path)
        assert (first.state, first.done, first.tried, first.rate, first.expected_end) == ("running", 10, 50, None, None)
        clock[0] += 1800
        status.advance(20, tried=70)
        now = RunStatus.read(tmp_path)
        assert (now.done, now.total, now.tried, now.rate) == (30, 100, 120, 40.0)
        left = datetime.fromisoformat(now.expected_end) - datetime.fromisoformat(now.updated)
        assert left == timedelta(hours=1, minutes=45)
    assert RunStatus.read(tmp_path).state == "finished"
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_failures_say_why(tmp_path):
    """An error and an interruption leave a status with the reason, and go on to the caller."""
    with pytest.raises(ValueError, match="bad"), StatusFile(tmp_path, "trial", total=1):
        message = "bad\n  weather"
        raise ValueError(message)
    assert RunStatus.read(tmp_path).message == "bad weather"
    with pytest.raises(KeyboardInterrupt), StatusFile(tmp_path, "trial", total=1):
        raise KeyboardInterrupt
    assert (RunStatus.read(tmp_path).state, RunStatus.read(tmp_path).message) == ("failed", "KeyboardInterrupt")


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "17"}, "17"),
        ({"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}, "17_3"),
    ],
)
def test_the_job_is_named_as_slurm_takes_it(tmp_path, monkeypatch, variables, job):
    """A task of an array by its own name: the number of its job can be that of the whole array."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with StatusFile(tmp_path, "trial", total=1):
        assert RunStatus.read(tmp_path).job == job


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path):
    """Telling how far the work is must not end it."""
    (tmp_path / "status.json").mkdir()
    with StatusFile(tmp_path, "trial", total=1) as status:
        status.advance()
    assert status.done == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": 3}'])
def test_a_damaged_status_is_none(tmp_path, text):
    """It holds nothing that is not elsewhere."""
    (tmp_path / "status.json").write_text(text)
    assert RunStatus.read(tmp_path) is None


def shard(folder, part, parts, **values):
    """Write the folder of a shard."""
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(f"shard: {part}/{parts}\n")
    base = RunStatus("trial", "running", 0, 100, started=NOW.isoformat(), updated=NOW.isoformat())
    (folder / "status.json").write_text(json.dumps(asdict(replace(base, **values))))


@pytest.fixture
def job(tmp_path):
    """A job in five parts: one finished, one running, one failed, one killed without a word, one not started."""
    shard(tmp_path / "shard_10_of_5", 1, 5, state="finished", done=100, rate=70.0)
    Manifest("trial").write(tmp_path / "shard_10_of_5")
    shard(tmp_path / "shard_2_of_5", 2, 5, done=40, rate=50.0)
    shard(tmp_path / "shard_3_of_5", 3, 5, state="failed", done=10, rate=30.0, message="the disk is full")
    (tmp_path / "shard_4_of_5").mkdir()
    (tmp_path / "shard_4_of_5" / "settings.yaml").write_text("shard: 4/5\n")
    return tmp_path


def test_jobs_are_summed_up(job):
    """Only what runs has a rate; a part that has not started is taken to be as large as the others."""
    found = overview(run_folders(job), now=NOW)
    assert [entry.shard for entry in found.folders] == [(1, 5), (2, 5), (3, 5), (4, 5)]
    assert dict(found.states) == {"finished": 1, "running": 1, "failed": 1, "unknown": 1, "not started": 1}
    assert (found.done, found.total, found.rate) == (150, 400, 50.0)
    assert found.expected_end == NOW + timedelta(hours=5)


def test_the_command_shows_it(job, run_cli):
    """A table for people with the reason of each failure below, and the same as JSON."""
    shown = run_cli("runs", "status", job)
    assert shown.code == 0
    assert "1 failed, 1 finished, 1 not started, 1 running, 1 unknown; 150 of 400 done, 50 an hour" in shown.out
    assert f"{job / 'shard_3_of_5'}: the disk is full" in shown.out
    record = json.loads(run_cli("runs", "status", job, "--json").out)
    assert (record["done"], record["total"]) == (150, 400)
    assert [folder["state"] for folder in record["folders"]] == ["finished", "running", "failed", "unknown"]


@pytest.mark.parametrize(("path", "told"), [("nowhere", "is no folder"), (".", "no run folder is at or below")])
def test_other_folders_are_refused(tmp_path, run_cli, path, told):
    """The line says what is looked for."""
    result = run_cli("runs", "status", tmp_path / path)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert told in result.err
