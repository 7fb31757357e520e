"""What a large job costs: processor time and operations a backbone by length, bytes by format, the plan of a million.

Each length is sampled in a process of its own with one thread; processor time is counted, so that other work on the
machine matters little. `docs/scaling.md` says what follows from it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from torch.utils.flop_counter import FlopCounterMode

from harness import ROOT, Row, peak_memory, write_results
from helicell.protein import SamplingOptions, generate, load_model
from helicell.protein.generation import Request, sample_batch
from helicell.protein.sample_files import write_sample

LENGTHS = (64, 80, 100, 128, 256)
RESIDUES = 512
STEPS = 50
FORMATS = ("cif", "pdb", "bcif", "npz")
STORED_LENGTH = 100
# The plan that has to be made, and what it may take.
PLANNED, SHARDS = 1_000_000, 2000
PLAN_SECONDS, PLAN_MEBIBYTES = 60, 2048


def cost_rows() -> list[Row]:
    """Measure each length in a fresh process with one thread."""
    rows = []
    for length in LENGTHS:
        command = [sys.executable, __file__, "--cost-of", str(length)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        figures = json.loads(printed)
        rows.append(Row(f"processor time at length {length}, {STEPS} steps", figures["seconds"], "s/backbone"))
        rows.append(Row(f"matrix products at length {length}, {STEPS} steps", figures["gigaflop"], "GFLOP/backbone"))
        rows.append(Row(f"peak memory at length {length}, one thread", figures["mebibytes"], "MiB"))
    return rows


def cost(length: int) -> dict[str, float]:
    """Sample some 500 residues; processor seconds a backbone, its operations, and the memory that this took."""
    model = load_model(device="cpu")
    count = max(1, RESIDUES // length)
    generate(model, length, count=1, options=SamplingOptions(steps=2))
    start = time.process_time()
    generate(model, length, count=count, options=SamplingOptions(steps=STEPS))
    seconds, mebibytes = (time.process_time() - start) / count, peak_memory()
    with FlopCounterMode(display=False) as counter:
        sample_batch(model, [Request(0, length)], seed=0, options=SamplingOptions(steps=2))
    return {"seconds": seconds, "mebibytes": mebibytes, "gigaflop": counter.get_total_flops() / 2 * STEPS / 1e9}


def start_row() -> Row:
    """Measure what a job costs before its first backbone: a shard should be long beside it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(Path(sys.executable).with_name("helicell")), "protein", "sample", "--length", "10", "--count", "1"),
            *("--steps", "1", "--device", "cpu", "--quiet", "--out", f"{folder}/out"),
        ]
        seconds, _ = _run(command, folder)
    return Row("processor time of a job before its first backbone", seconds, "s")


def storage_rows() -> list[Row]:
    """Measure the file of a backbone in each format, and its share of table and manifest."""
    (backbone,) = generate(load_model(device="cpu"), STORED_LENGTH, options=SamplingOptions(steps=STEPS))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            row = write_sample(Path(folder), backbone, format=name, steps=STEPS, model="compact")
            size = (Path(folder) / row.file).stat().st_size
            rows.append(Row(f"size of a backbone of {STORED_LENGTH} residues as {name}", size, "bytes"))
        command = [
            *(str(Path(sys.executable).with_name("helicell")), "protein", "sample", "--length", "10", "--count", "20"),
            *("--steps", "1", "--device", "cpu", "--quiet", "--out", f"{folder}/out"),
        ]
        _run(command, folder)
        about = sum((Path(folder) / "out" / name).stat().st_size for name in ("samples.csv", "manifest.json"))
    return [*rows, Row("share of a backbone in table and manifest", about / 20, "bytes")]


def plan_rows() -> list[Row]:
    """Measure the dry run of a million backbones in 2,000 shards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--snakefile"),
            str(ROOT / "workflows" / "protein" / "workflow" / "Snakefile"),
            *("--config", f"sample={{lengths: [60-128], count: {PLANNED}, shards: {SHARDS}}}"),
        ]
        start = time.perf_counter()
        seconds, mebibytes = _run(command, folder, expect=rf"generate +{SHARDS}\n")
        waited = time.perf_counter() - start
    plan = f"plan of {PLANNED:,} backbones in {SHARDS:,} shards"
    return [
        Row.at_most(f"{plan}: waited for", waited, PLAN_SECONDS, unit="s"),
        Row(f"{plan}: processor time", seconds, "s"),
        Row.at_most(f"{plan}: peak memory", mebibytes, PLAN_MEBIBYTES, unit="MiB"),
    ]


def _run(command: list[str], folder: str, *, expect: str = "") -> tuple[float, float]:
    """Run a command in a folder; its processor seconds and its peak memory in MiB."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or not re.search(expect, printed):
        sys.exit(f"{' '.join(command)} failed:\n{printed[-2000:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost-of", type=int, help="only print the cost at one length, as JSON")
    arguments = parser.parse_args()
    if arguments.cost_of:
        print(json.dumps(cost(arguments.cost_of)))
        return
    model = load_model(device="cpu")
    settings = {"model": model.name, "sha256": model.checksum, "steps": STEPS, "precision": "float32", "threads": 1}
    write_results("scaling", [*cost_rows(), start_row(), *storage_rows(), *plan_rows()], settings)


if __name__ == "__main__":
    main()
