"""A campaign on a real Slurm cluster: 2,000 backbones in 8 tasks of a job array, one killed midway.

The same campaign runs once more without the kill, and both are compared file by file. A cluster of one node with two
graphics cards that are only names is started for it, which needs Slurm and root; two tasks run at a time, with one
thread each. With the steps of the model this takes some 20 minutes of two quiet cores for each of the two runs;
`--steps 5` is a tenth of that and tries the same machinery.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, Row, write_results
from helicell.core.runs.shards import run_folders
from helicell.core.runs.verifying import verify

sys.path.insert(0, str(ROOT / "tests"))
from slurm_cluster import cluster, reason_for_none

HELICELL = str(Path(sys.executable).with_name("helicell"))
COUNT = 2000
SHARDS = 8
LENGTHS = "60-128"
SEED = 7
KILLED = 3
QUICKLY = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=5",
    "--seconds-between-status-checks=5",
    "--latency-wait=20",
    "--set-threads=generate=1",
)
# What holds times, and so differs from run to run.
TIMES = ("log.jsonl", "status.json")


def run(folder: Path, *, count: int, steps: int | None, kill: int | None) -> float:
    """Run the campaign in a folder, kill one shard midway if asked to, and return the seconds it took."""
    sample = (
        f"sample={{lengths: [{LENGTHS}], count: {count}, shards: {SHARDS}, seed: {SEED}, device: cpu, "
        f"steps: {steps or 'null'}}}"
    )
    targets = [f"results/samples/shard_{shard}_of_{SHARDS}/manifest.json" for shard in range(1, SHARDS + 1)]
    command = [HELICELL, "run", "protein", *targets, "--profile", "slurm", *QUICKLY, "--directory", str(folder)]
    start = time.perf_counter()
    with (folder / "printed.txt").open("w") as printed:
        workflow = subprocess.Popen([*command, "--config", sample], stdout=printed, stderr=subprocess.STDOUT)
        if kill is not None:
            kill_midway(folder / "results" / "samples" / f"shard_{kill}_of_{SHARDS}", workflow)
        code = workflow.wait()
    if code != 0:
        sys.exit(f"the workflow failed:\n{(folder / 'printed.txt').read_text()[-3000:]}")
    return time.perf_counter() - start


def kill_midway(folder: Path, workflow: subprocess.Popen) -> None:
    """Cancel the task that works in a run folder once it is half done."""
    status = folder / "status.json"
    while workflow.poll() is None:
        made = json.loads(status.read_text()) if status.exists() else {"done": 0, "total": 1}
        if made["total"] / 2 <= made["done"] < made["total"]:
            subprocess.run(["scancel", made["job"]], check=True)
            return
        time.sleep(0.5)
    sys.exit("the task ended before it could be killed")


def contents(samples: Path) -> dict[str, str]:
    """Return the checksum of every file of every shard but those that hold times."""
    files = [file for file in sorted(samples.rglob("*")) if file.is_file() and file.name not in TIMES]
    return {str(file.relative_to(samples)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def resumed(samples: Path) -> int:
    """Count how many shards were resumed, by their logs."""
    logs = [file.read_text().splitlines() for file in samples.glob("*/log.jsonl")]
    return sum(any(json.loads(line)["event"] == "resumed" for line in lines) for lines in logs)


def main() -> None:
    """Run both campaigns and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="backbones")
    parser.add_argument("--steps", type=int, help="steps a backbone; those of the model by default")
    arguments = parser.parse_args()
    if reason := reason_for_none():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in ("slurm", "killed", "plain")}
        for folder in folders.values():
            folder.mkdir()
        with cluster(folders["slurm"]):
            options = {"count": arguments.count, "steps": arguments.steps}
            seconds = {"killed": run(folders["killed"], **options, kill=KILLED)}
            seconds["plain"] = run(folders["plain"], **options, kill=None)
        samples = {name: folders[name] / "results" / "samples" for name in seconds}
        found = {name: contents(samples[name]) for name in seconds}
        differing = sum(found["plain"].get(name) != digest for name, digest in found["killed"].items())
        differing += len(set(found["plain"]) - set(found["killed"]))
        checked = verify(run_folders(samples["killed"]))
        merged = [HELICELL, "runs", "merge", str(samples["killed"]), "--out", str(Path(place) / "all"), "--json"]
        files = json.loads(subprocess.run(merged, check=True, capture_output=True, text=True).stdout)["files"]
        rows = [
            Row(
                "shards that were killed and went on",
                resumed(samples["killed"]),
                "",
                "= 1",
                resumed(samples["killed"]) == 1,
            ),
            Row.at_least(
                "backbones that are there", sum(name.endswith(".cif") for name in found["killed"]), arguments.count
            ),
            Row.at_most("files that differ from the run without the kill", differing, 0),
            Row.at_most("findings of `helicell runs verify`", len(checked.findings), 0),
            Row.at_least("files of the merged folder", files, arguments.count + 1),
            Row("waited for the run with the kill", seconds["killed"], "s"),
            Row("waited for the run without", seconds["plain"], "s"),
        ]
    settings = {
        **options,
        "lengths": LENGTHS,
        "shards": SHARDS,
        "seed": SEED,
        "tasks at a time": 2,
        "threads a task": 1,
    }
    write_results("campaign", rows, settings)


if __name__ == "__main__":
    main()
