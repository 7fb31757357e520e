"""Populations of cells: letters, real and simulated donors, time courses, and what training and prediction cost.

Every part runs on one thread in one of two worker processes. `--only PART` measures some parts anew and keeps the other
rows of the file. See the modules `cells_*.py` beside this one for what is measured.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness import RESULTS, Row, describe_commit, write_results

WORKERS = 2
PARTS = ("speed", "memory", "letters", "BCR-XL", "glioblastoma", "simulated", "time course")
# How the rows of each part begin.
PREFIXES = {
    "speed": ("training step", "predicted at"),
    "memory": ("predicted 1,000,000",),
    "letters": ("letters",),
    "BCR-XL": ("BCR-XL",),
    "glioblastoma": ("glioblastoma",),
    "simulated": ("simulated",),
    "time course": ("time course",),
}
WHOLE = "all of it"


def main() -> None:
    """Measure the parts and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure anew")
    parser.add_argument("--seconds", type=float, default=100.0, help="processor seconds of each letters model")
    options = parser.parse_args()
    began, commit = time.perf_counter(), describe_commit()
    rows = {part: [] for part in PARTS}
    kept, told = _earlier()
    rows |= {part: kept[part] for part in PARTS if part not in options.only}
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        if "speed" in options.only:  # alone, so that nothing of ours is beside it
            rows["speed"] = pool.submit(_speed).result()
        pending = _submit(pool, options.only, options.seconds)
        for part, (futures, gather) in pending.items():
            rows[part] = gather([future.result() for future in futures])
    told |= dict.fromkeys(options.only, commit)
    everything = [row for part in PARTS for row in rows[part]]
    if set(options.only) == set(PARTS):
        everything.append(Row.at_most(f"{WHOLE}: minutes", (time.perf_counter() - began) / 60, 15))
    else:
        everything += kept[WHOLE]
    settings = {"workers": WORKERS, "threads of each": 1, "seconds of letters": options.seconds, "commits": told}
    write_results("cells", everything, settings)


def _submit(
    pool: ProcessPoolExecutor, parts: list[str], seconds: float
) -> dict[str, tuple[list[Future[Any]], Callable[[list[Any]], list[Row]]]]:
    import cells_donors
    import cells_letters
    import cells_memory

    pending: dict[str, tuple[list[Future[Any]], Callable[[list[Any]], list[Row]]]] = {}
    # The longest first, so that no process waits for the other at the end.
    if "time course" in parts:
        pending["time course"] = [pool.submit(_time_course)], _joined
    if "letters" in parts:
        tasks = [pool.submit(cells_letters.rows, name, seconds) for name in cells_letters.MODELS]
        pending["letters"] = tasks, _joined
    for study, count in cells_donors.FOLDS.items():
        if study in parts:
            tasks = [pool.submit(cells_donors.fold, study, number) for number in range(count)]
            pending[study] = tasks, lambda tables, study=study: cells_donors.study_rows(study, tables)
    if "simulated" in parts:
        pending["simulated"] = [pool.submit(cells_donors.simulated_rows)], _joined
    if "memory" in parts:
        pending["memory"] = [pool.submit(cells_memory.rows)], _joined
    return pending


def _joined(parts: list[list[Row]]) -> list[Row]:
    return [row for part in parts for row in part]


def _speed() -> list[Row]:
    import cells_speed

    return cells_speed.rows()


def _time_course() -> list[Row]:
    import torch

    torch.set_num_threads(1)
    import cells_timecourse

    return cells_timecourse.rows()


def _earlier() -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """Return the rows of an earlier file by part, and the commits that they are from."""
    kept: dict[str, list[Row]] = {part: [] for part in (*PARTS, WHOLE)}
    path = RESULTS / "cells.json"
    if not path.is_file():
        return kept, {}
    record = json.loads(path.read_text(encoding="utf-8"))
    for row in record["rows"]:
        for part, prefixes in (PREFIXES | {WHOLE: (WHOLE,)}).items():
            if row["measure"].startswith(prefixes):
                kept[part].append(Row(**row))
    return kept, record["settings"].get("commits", {})


if __name__ == "__main__":
    main()
