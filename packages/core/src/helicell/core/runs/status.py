"""How far a job is, as `status.json`: written whole while it runs, read by `helicell runs status`.

The file holds times, so it is no result: no manifest names it, and losing it costs nothing.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from helicell.core.runs.files import write_json

__all__ = ["STATUS_NAME", "RunStatus", "StatusFile"]

STATUS_NAME = "status.json"
# Writing more often would tell nobody more, and costs a flush to the disk each time.
LEAST_SECONDS = 2.0

log = logging.getLogger(__name__)

State = Literal["running", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a job is.

    Parameters
    ----------
    kind
        What the job does, as in its manifest.
    state
        "running", "finished" or "failed". A job that was killed still says "running": `updated` tells.
    done, total
        Results that are there, and that are wanted.
    tried
        What was made to get them, where not everything that is made counts.
    started, updated
        When this process began, and when it last told; ISO 8601 in UTC.
    rate
        Results an hour, of this process; None before the first.
    expected_end
        When all will be done at that rate.
    host, job
        Where it runs, and its Slurm job as `scancel` takes it: 17, or 17_3 for a task of a job array.
    message
        Why it failed.
    """

    kind: str
    state: State
    done: int
    total: int
    started: str
    updated: str
    tried: int | None = None
    rate: float | None = None
    expected_end: str | None = None
    host: str = ""
    job: str | None = None
    message: str | None = None

    @classmethod
    def read(cls, folder: str | Path) -> Self | None:
        """Read the status of a run folder; None where there is none that can be read."""
        try:
            return cls(**json.loads((Path(folder) / STATUS_NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


class StatusFile:
    """Keeps the `status.json` of a running job; a context that ends as finished, or as failed with the reason.

    A status that cannot be written is left: telling how far the work is must not stop it.

    Parameters
    ----------
    folder
        The run folder.
    kind
        What the job does.
    total
        Results wanted.
    done
        Results that an earlier process made.
    tried
        What it made to get them, where that is another number.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with StatusFile(folder, "trial", total=3) as status:
    ...     status.advance()
    >>> RunStatus.read(folder).state, RunStatus.read(folder).done
    ('finished', 1)
    """

    def __init__(self, folder: str | Path, kind: str, *, total: int, done: int = 0, tried: int | None = None) -> None:
        self.path = Path(folder) / STATUS_NAME
        self.kind, self.total, self.done, self.tried = kind, total, done, tried
        self._began, self._found, self._written = time.monotonic(), done, -LEAST_SECONDS
        self._started = datetime.now(UTC)

    def __enter__(self) -> Self:
        self._write("running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write("finished")
        else:
            self._write("failed", message=" ".join(str(error).split()) or type(error).__name__)

    def advance(self, done: int = 1, *, tried: int = 0) -> None:
        """Count results that have just been made."""
        self.done += done
        if self.tried is not None:
            self.tried += tried
        if time.monotonic() - self._written >= LEAST_SECONDS:
            self._write("running")

    def _write(self, state: State, *, message: str | None = None) -> None:
        now = datetime.now(UTC)
        rate = self._rate()
        left = timedelta(hours=(self.total - self.done) / rate) if rate and self.total >= self.done else None
        status = RunStatus(
            self.kind,
            state,
            self.done,
            self.total,
            started=_text(self._started),
            updated=_text(now),
            tried=self.tried,
            rate=rate,
            expected_end=_text(now + left) if left is not None and state == "running" else None,
            host=socket.gethostname(),
            job=_slurm_job(),
            message=message,
        )
        try:
            write_json(self.path, asdict(status))
        except OSError as error:
            log.debug("cannot write %s: %s", self.path, error)
        self._written = time.monotonic()

    def _rate(self) -> float | None:
        hours = (time.monotonic() - self._began) / 3600
        return round((self.done - self._found) / hours, 3) if self.done > self._found and hours > 0 else None


def _slurm_job() -> str | None:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
