"""The workflow on a Slurm cluster."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

# Ask often, as jobs are short here.
QUICKLY = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--latency-wait=20",
)


@pytest.mark.slurm
def test_shards_run_as_slurm_jobs(slurm: None, root: Path, tmp_path: Path) -> None:
    """`helicell run protein --profile slurm` makes each shard a job with a GPU of its own, and both a whole run."""
    shards = [f"results/samples/shard_{shard}_of_2" for shard in (1, 2)]
    command = [Path(sys.executable).parent / "helicell", "run", "protein", *shards, "--profile", "slurm", *QUICKLY]
    options = [
        "--directory",
        tmp_path,
        "--configfile",
        root / "workflows" / "protein" / ".test" / "config" / "config.yaml",
    ]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tables = [(tmp_path / shard / "samples.csv").read_text().splitlines() for shard in shards]
    rows = [row for table in tables for row in csv.DictReader(table)]
    assert sorted(int(row["index"]) for row in rows) == [0, 1, 2, 3]
    jobs = subprocess.run(["scontrol", "show", "job"], check=True, capture_output=True, text=True).stdout.split("\n\n")
    done = [job for job in jobs if "JobState=COMPLETED" in job]
    assert len(done) == 2
    assert all("gpu" in job and "Comment=rule_generate" in job for job in done)
