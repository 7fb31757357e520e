"""Training by several processes: two that share each batch learn what one learns from all of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helicell.core.errors import HelicellError
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.processes import is_first_process
from helicell.core.training.settings import OptimiserSettings

PROGRAM = Path(__file__).with_name("two_ranks.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Two processes by torchrun and gloo end with equal weights: those of one process on batches twice as large.

    The log has one line an event, and there is one checkpoint.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, command, devices in (("two", torchrun, 2), ("one", [sys.executable], 1)):
        ended = subprocess.run(
            [*command, str(PROGRAM), str(tmp_path / name), str(devices)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (torch.load(tmp_path / "two" / f"rank{rank}.pt") for rank in (0, 1))
    alone = torch.load(tmp_path / "one" / "rank0.pt")
    assert set(first) == set(second) == set(alone)
    for name, value in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
    assert [file.name for file in (tmp_path / "two").glob("*.ckpt")] == ["last.ckpt"]
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("two", "one")]
    losses = [[json.loads(line) for line in log if json.loads(line)["event"] == "validation"] for log in logs]
    assert [entry["step"] for entry in losses[0]] == [10, 20]
    for shared, own in zip(*losses, strict=True):
        assert shared["loss"] == pytest.approx(own["loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, True),
        ({"SLURM_PROCID": "3"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False),
        ({"NODE_RANK": "1"}, False),
    ],
)
def test_the_first_process_is_known_before_they_are_connected(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    first: bool,
) -> None:
    """Whatever started the processes, one of them is the first."""
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first


def test_other_processes_wait_for_the_folder(tmp_path: Path) -> None:
    """A folder is joined when it was made with the same settings; else the line says where to look."""
    settings = OptimiserSettings(steps=3)
    RunFolder.create(tmp_path / "run", settings)
    assert RunFolder.join(tmp_path / "run", settings).path == tmp_path / "run"
    for folder, own in (("run", OptimiserSettings(steps=4)), ("other", settings)):
        with pytest.raises(HelicellError, match="the first process has not made"):
            RunFolder.join(tmp_path / folder, own, patience=0.2)
