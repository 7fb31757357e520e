"""The cells workflow on a Slurm cluster: each stage is a job, those that use the network on a GPU."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helicell.cells.tables import read_anndata

HELICELL = Path(sys.executable).parent / "helicell"
# Ask often, as jobs are short here.
QUICKLY = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--latency-wait=20",
    "--set-threads",
    "train=1",
    "predict=1",
)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.timeout(600)
def test_stages_are_jobs_with_the_resources_of_the_profile(slurm: None, root: Path, tmp_path: Path) -> None:
    """Preparation, training and a prediction run as jobs, the last two with a GPU, and leave predicted cells."""
    configuration = root / "workflows" / "cells" / ".test" / "config" / "config.yaml"
    shutil.copy(configuration.with_name("training.yaml"), tmp_path)
    target = tmp_path / "results" / "predicted" / "1.h5ad"
    command = [HELICELL, "run", "cells", target.relative_to(tmp_path), "--profile", "slurm", *QUICKLY]
    ended = subprocess.run(
        [*command, "--directory", tmp_path, "--configfile", configuration],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert read_anndata(target).n_obs > 0
    jobs = subprocess.run(["scontrol", "show", "job"], check=True, capture_output=True, text=True).stdout.split("\n\n")
    gpus = {rule: [f"rule_{rule}" in job and "gpu" in job for job in jobs] for rule in ("prepare", "train", "predict")}
    assert any(gpus["train"])
    assert any(gpus["predict"])
    assert not any(gpus["prepare"])
    assert any("rule_prepare" in job for job in jobs)
