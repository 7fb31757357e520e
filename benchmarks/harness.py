"""What every benchmark shares: rows with a goal, a table on the terminal, and a JSON file under `benchmarks/results`.

A benchmark `bench_NAME.py` measures, and ends with `write_results(NAME, rows, settings)`; `make bench-NAME` runs it.
"""

import json
import os
import platform
import re
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from helicell.core.runs.files import write_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("helicell", "torch", "numpy")


def peak_memory() -> float:
    """Return the most memory that this process ever held, MiB.

    What getrusage tells begins, on Linux, with the memory of the process that started this one: it is not asked there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value.

    Parameters
    ----------
    measure
        What was measured.
    value
        The value.
    unit
        Its unit, empty for a fraction or a count.
    goal
        The goal in words, such as ">= 0.985", or None where the row only informs.
    holds
        Whether the goal is reached, or None where there is none.
    """

    measure: str
    value: float
    unit: str = ""
    goal: str | None = None
    holds: bool | None = None

    @classmethod
    def at_least(cls, measure: str, value: float, goal: float, *, unit: str = "") -> "Row":
        """Return a row whose value should be the goal or more."""
        return cls(measure, float(value), unit, f">= {goal:g}", bool(value >= goal))

    @classmethod
    def at_most(cls, measure: str, value: float, goal: float, *, unit: str = "") -> "Row":
        """Return a row whose value should be the goal or less."""
        return cls(measure, float(value), unit, f"<= {goal:g}", bool(value <= goal))


def write_results(
    name: str, rows: Sequence[Row], settings: Mapping[str, Any], *, results: Path = RESULTS
) -> dict[str, Any]:
    """Print the rows as a table and write them with machine, commit and settings.

    Parameters
    ----------
    name
        The name of the benchmark, and of the file `NAME.json`.
    rows
        What was measured.
    settings
        What it was measured with.
    results
        The folder to write to.

    Returns
    -------
    dict
        What was written.
    """
    record = {
        "name": name,
        "machine": describe_machine(),
        "commit": describe_commit(),
        "settings": dict(settings),
        "rows": [asdict(row) for row in rows],
    }
    console = Console()
    console.print(_table(name, rows))
    path = results / f"{name}.json"
    write_json(path, record)
    console.print(f"written to {path}", soft_wrap=True)
    return record


def read_results(name: str, *, results: Path = RESULTS) -> dict[str, Any]:
    """Return what `write_results` wrote for this benchmark."""
    return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))


def describe_machine() -> dict[str, Any]:
    """Return the processor, the cores and threads in use, the memory, the GPU, and the versions that decide speed."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def describe_commit() -> str | None:
    """Return the commit of the checkout, followed by "+" when files differ from it; None outside of git."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _table(name: str, rows: Sequence[Row]) -> Table:
    table = Table(title=f"benchmark: {name}", title_justify="left")
    for column, justify in (("measure", "left"), ("value", "right"), ("unit", "left"), ("goal", "left"), ("", "left")):
        table.add_column(column, justify=justify)
    for row in rows:
        mark = {True: "[green]holds", False: "[red]MISSED", None: ""}[row.holds]
        table.add_row(row.measure, f"{row.value:.4g}", row.unit, row.goal or "", mark)
    return table
