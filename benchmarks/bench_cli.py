"""How long the command line takes to answer `--help`, as a user waits for it: a fresh process each time."""

import subprocess
import sys
import time
from pathlib import Path

from harness import Row, write_results

COMMANDS = (("--version",), ("--help",), ("protein", "--help"), ("protein", "sample", "--help"))
REPEATS = 10
GOAL_SECONDS = 1.0


def seconds(arguments: tuple[str, ...]) -> float:
    """Return the shortest time of one command: what it takes where nothing else runs."""
    command = [str(Path(sys.executable).with_name("helicell")), *arguments]
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    rows = [
        Row.at_most(f"helicell {' '.join(arguments)}", seconds(arguments), GOAL_SECONDS, unit="s")
        for arguments in COMMANDS
    ]
    write_results("cli", rows, {"repeats": REPEATS, "statistic": "minimum"})
