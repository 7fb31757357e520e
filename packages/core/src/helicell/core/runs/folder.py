"""The output folder of a job: it belongs to one set of settings, is never mixed with other results, and can resume.

settings.yaml   the settings that the job was started with
inputs.json     checksums of what it reads, where that matters for resuming
status.json     how far it is; see `helicell.core.runs.status`
log.jsonl       one line an event, with its time
metrics.json    what was measured
manifest.json   versions, seed, checksums; written last, so a folder that has one is finished
"""

import json
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs.files import is_partial, remove_partial, write_json
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest
from helicell.core.runs.settings import Settings

SETTINGS_NAME = "settings.yaml"
METRICS_NAME = "metrics.json"
LOG_NAME = "log.jsonl"
INPUTS_NAME = "inputs.json"


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
    def create(
        cls,
        path: str | Path,
        settings: Settings,
        *,
        resume: bool = False,
        replace: bool = False,
        inputs: Mapping[str, str] | None = None,
        may_differ: Collection[str] = (),
    ) -> Self:
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
        replace
            Whether a job of the same kind that cannot be continued, as its settings or inputs were others, gives way:
            the folder is emptied.
        inputs
            Checksum of everything that the job reads, by name; a job is resumed with the same ones only.
        may_differ
            Settings in which a resumed job may differ, such as how far it goes; the new ones are kept.

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
            difference = cls._difference(path, settings, inputs or {}, may_differ, resume=resume or replace)
            if difference is None and resume:
                remove_partial(path)
                if settings != type(settings).from_yaml(path / SETTINGS_NAME):
                    # What was finished is not any more.
                    (path / MANIFEST_NAME).unlink(missing_ok=True)
                    settings.to_yaml(path / SETTINGS_NAME)
                return cls(path)
            if not replace:
                message = (
                    f"the folder {path} was made with other {difference}; "
                    "resume with the same ones, or choose another output folder"
                )
                raise InputError(message)
            _remove_contents(path)
        path.mkdir(parents=True, exist_ok=True)
        if inputs:
            write_json(path / INPUTS_NAME, dict(inputs))
        settings.to_yaml(path / SETTINGS_NAME)
        return cls(path)

    @classmethod
    def join(cls, path: str | Path, settings: Settings, *, patience: float = 120) -> Self:
        """Take part in a job whose folder another process makes: wait until it has.

        Parameters
        ----------
        path
            The folder.
        settings
            What this process was asked to do.
        patience
            Seconds to wait.

        Raises
        ------
        HelicellError
            If it has not been made by then.
        """
        path = Path(path)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if (path / SETTINGS_NAME).is_file() and type(settings).from_yaml(path / SETTINGS_NAME) == settings:
                return cls(path)
            time.sleep(0.1)
        message = f"the first process has not made {path} within {patience:.0f} s; its own message says why"
        raise HelicellError(message)

    @staticmethod
    def _difference(
        path: Path, settings: Settings, inputs: Mapping[str, str], may_differ: Collection[str], *, resume: bool
    ) -> str | None:
        """Say in which setting or input the job in an occupied folder differs, if it does."""
        if not resume:
            message = f"the output folder {path} holds other results; choose another, or pass --resume to continue it"
            raise InputError(message)
        if not (path / SETTINGS_NAME).is_file():
            message = f"the folder {path} cannot be resumed, it holds no {SETTINGS_NAME}; choose another output folder"
            raise InputError(message)
        earlier = type(settings).from_yaml(path / SETTINGS_NAME).to_mapping()
        for key, value in sorted(settings.to_mapping().items()):
            if earlier[key] != value and key not in may_differ:
                return f"settings ({key}: {earlier[key]} there, {value} now)"
        known = json.loads((path / INPUTS_NAME).read_text(encoding="utf-8")) if (path / INPUTS_NAME).is_file() else {}
        for name in sorted(known):
            if inputs.get(name) != known[name]:
                return f"inputs ({name} has changed since)"
        return None

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


def _remove_contents(folder: Path) -> None:
    """Empty a folder; its settings go last, so that it can be told what an interrupted removal left behind."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name == SETTINGS_NAME):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink()
