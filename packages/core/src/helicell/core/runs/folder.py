"""The output folder of a job: it belongs to one set of settings, is never mixed with other results, and can resume.

settings.yaml   the settings that the job was started with
log.jsonl       one line an event, with its time
metrics.json    what was measured
manifest.json   versions, seed, checksums; written last, so a folder that has one is finished
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from helicell.core.errors import InputError
from helicell.core.runs.files import is_partial, remove_partial, write_json
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest
from helicell.core.runs.settings import Settings

SETTINGS_NAME = "settings.yaml"
METRICS_NAME = "metrics.json"
LOG_NAME = "log.jsonl"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The output folder of one job.

    Parameters
    ----------
    path
        The folder; it exists.

    See Also
    --------
    RunFolder.create : claims a folder for a job.
    """

    path: Path

    @classmethod
    def create(cls, path: str | Path, settings: Settings, *, resume: bool = False) -> Self:
        """Claim a folder for a job with these settings.

        Parameters
        ----------
        path
            The folder; made when absent.
        settings
            What the job was asked to do; written as `settings.yaml`.
        resume
            Whether to continue a job that was interrupted in this folder. Without it, only an absent or empty folder
            is taken.

        Raises
        ------
        InputError
            If the path is no folder, holds other results, or belongs to a job with other settings.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            message = f"the output folder {path} is a file; choose another name"
            raise InputError(message)
        if path.is_dir() and any(not is_partial(file) for file in path.iterdir()):
            cls._check_occupied(path, settings, resume=resume)
            remove_partial(path)
            return cls(path)
        path.mkdir(parents=True, exist_ok=True)
        settings.to_yaml(path / SETTINGS_NAME)
        return cls(path)

    @staticmethod
    def _check_occupied(path: Path, settings: Settings, *, resume: bool) -> None:
        if not resume:
            message = f"the output folder {path} holds other results; choose another, or pass --resume to continue it"
            raise InputError(message)
        if not (path / SETTINGS_NAME).is_file():
            message = f"the folder {path} cannot be resumed, it holds no {SETTINGS_NAME}; choose another output folder"
            raise InputError(message)
        earlier = type(settings).from_yaml(path / SETTINGS_NAME).to_mapping()
        differing = sorted(key for key, value in settings.to_mapping().items() if earlier[key] != value)
        if differing:
            key = differing[0]
            message = (
                f"the folder {path} was made with other settings ({key}: {earlier[key]} there, "
                f"{settings.to_mapping()[key]} now); resume with the same ones, or choose another output folder"
            )
            raise InputError(message)

    @property
    def finished(self) -> bool:
        """Whether the job has ended well."""
        return (self.path / MANIFEST_NAME).is_file()

    def log(self, event: str, **values: Any) -> None:
        """Append an event with the time to `log.jsonl`."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **values})
        with (self.path / LOG_NAME).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`, whole or not at all."""
        write_json(self.path / METRICS_NAME, metrics)

    def finish(self, manifest: Manifest) -> None:
        """Write `manifest.json`, which marks the job as finished."""
        manifest.write(self.path)
