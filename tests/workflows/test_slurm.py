"""On a Slurm cluster: shards as a job array with a GPU each, one of them killed; training by several processes."""

import csv
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helicell.core.runs.manifest import Manifest
from helicell.protein.chains.store import write_store
from helicell.protein.structures import Chain

HELICELL = Path(sys.executable).parent / "helicell"
# Ask often, as jobs are short here.
QUICKLY = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--latency-wait=20",
    # One batch after the other, so that there is a middle.
    "--set-threads=generate=1",
)
SHARDS = 3
SAMPLE = "{lengths: [40-44], count: 24, steps: 25, batch_size: 2, device: cpu, shards: 3}"
OPTIONS = ("--length", "40-44", "--count", "24", "--steps", "25", "--batch-size", "2", "--device", "cpu")


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files but the log and the status, which hold times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("log.jsonl", "status.json")
    }


def events(folder: Path) -> list[dict[str, object]]:
    """Return what happened in a run folder, in order."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def kill_midway(folder: Path) -> str:
    """Cancel the job that works in a run folder once it has made some backbones but not all, and return its number."""
    for _ in range(1200):
        status = folder / "status.json"
        made = json.loads(status.read_text()) if status.exists() else {"done": 0, "total": 1}
        if 2 <= made["done"] < made["total"]:
            subprocess.run(["scancel", made["job"]], check=True, capture_output=True)
            return made["job"]
        assert made["done"] < made["total"], "the job was too quick to be killed"
        time.sleep(0.1)
    pytest.fail(f"nothing was made in {folder}")


@pytest.mark.slurm
@pytest.mark.timeout(600)
def test_a_killed_shard_of_an_array_ends_with_the_same_bytes(slurm: None, tmp_path: Path) -> None:
    """Three shards are one job array, two at a time on two GPUs; the one killed midway goes on; all is as without."""
    shards = [tmp_path / "results" / "samples" / f"shard_{shard}_of_{SHARDS}" for shard in range(1, SHARDS + 1)]
    targets = [str((shard / "manifest.json").relative_to(tmp_path)) for shard in shards]
    command = [HELICELL, "run", "protein", *targets, "--profile", "slurm", *QUICKLY, "--directory", tmp_path]
    with subprocess.Popen(
        [*command, "--config", f"sample={SAMPLE}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as workflow:
        killed = kill_midway(shards[1])
        printed, _ = workflow.communicate(timeout=500)
    assert workflow.returncode == 0, printed
    happened = events(shards[1])
    assert [entry["event"] for entry in happened] == ["started", "resumed", "finished"]
    assert 2 <= happened[1]["done"] < 8
    jobs = subprocess.run(["scontrol", "show", "job"], check=True, capture_output=True, text=True).stdout.split("\n\n")
    jobs = [job for job in jobs if "rule_generate" in job]
    assert len(jobs) == SHARDS + 1
    assert all("gpu" in job for job in jobs)
    array, task = killed.split("_")
    assert sum(f"ArrayJobId={array} " in job for job in jobs) == SHARDS
    assert [f"ArrayJobId={array} ArrayTaskId={task} " in job for job in jobs if "JobState=CANCELLED" in job] == [True]
    rows = [row for shard in shards for row in csv.DictReader((shard / "samples.csv").read_text().splitlines())]
    assert sorted(int(row["index"]) for row in rows) == list(range(24))
    for number, shard in enumerate(shards, start=1):
        plain = tmp_path / "plain" / str(number)
        part = ("--shard", f"{number}/{SHARDS}", "--out", plain, "--quiet")
        subprocess.run([HELICELL, "protein", "sample", *OPTIONS, *part], check=True)
        assert contents(shard) == contents(plain)
    verified = subprocess.run([HELICELL, "runs", "verify", tmp_path / "results"], check=False, capture_output=True)
    assert verified.returncode == 0, verified.stderr


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_srun_trains_one_model_by_two_processes(slurm: None, tmp_path: Path) -> None:
    """Lightning finds the processes that srun started; they make one folder, one log and one model that samples."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(20, 40, 4, 3)).astype(np.float32)
    chains = [Chain(f"c{i}", np.cumsum(chain, axis=0), "A" * 40, "C" * 40) for i, chain in enumerate(steps)]
    columns = {"globular": [True] * 20, "predicted": [False] * 20, "cluster30": list(range(20))}
    write_store(tmp_path / "store", chains, columns=columns)
    (tmp_path / "settings.yaml").write_text(
        "chains: {lengths: [40, 60], validation_share: 0.2}\n"
        "network: {width: 16, pair_width: 8, time_width: 8, blocks: 1, heads: 2, head_width: 4, query_points: 2, "
        "value_points: 2}\noptimiser: {steps: 6, warm_up: 2}\nresidues_per_batch: 80\nprecision: 32-true\n"
    )
    program = [HELICELL, "protein", "train", tmp_path / "settings.yaml", "--store", tmp_path / "store"]
    options = ["--out", tmp_path / "run", "--device", "cpu", "--devices", "2", "--json", "--quiet"]
    srun = ["srun", "--nodes", "1", "--ntasks-per-node", "2", "--kill-on-bad-exit=1", *program, *options]
    ended = subprocess.run(srun, capture_output=True, text=True, check=False, timeout=500)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "MEMBER: 2/2" in ended.stderr + ended.stdout
    assert json.loads(ended.stdout[ended.stdout.index("{") :])["model"] == str(tmp_path / "run" / "model.safetensors")
    assert Manifest.read(tmp_path / "run").changed_outputs(tmp_path / "run") == []
    assert [entry["step"] for entry in events(tmp_path / "run") if entry["event"] == "validation"] == [6]
    sampled = [HELICELL, "protein", "sample", "--model", tmp_path / "run" / "model.safetensors", "--length", "9"]
    subprocess.run([*sampled, "--count", "1", "--steps", "2", "--quiet", "--out", tmp_path / "out"], check=True)
