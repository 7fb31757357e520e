"""Jobs in parts: shard 2/8 is the second of eight, and makes every eighth result from the second on.

A sharded job's settings have a key `shard`, by which the folders of its parts are told apart. What belongs together is
found below one folder, such as the `samples` of a workflow.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from helicell.core.errors import InputError
from helicell.core.runs.folder import SETTINGS_NAME
from helicell.core.runs.manifest import MANIFEST_NAME
from helicell.core.runs.status import STATUS_NAME

__all__ = ["WHOLE", "missing_shards", "parse_shard", "read_settings", "run_folders", "shard_of"]

WHOLE = (1, 1)
KEY = "shard"


def parse_shard(text: str) -> tuple[int, int]:
    """Read "2/8" as (2, 8).

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        message = f"cannot read the shard {text!r}; write for example 2/8 for the second of eight"
        raise InputError(message)
    return int(part), int(parts)


def run_folders(*paths: str | Path) -> list[Path]:
    """Return the run folders at or below the given ones, the parts of a job in the order of their numbers.

    Raises
    ------
    InputError
        If a path is no folder, or no run folder is at or below it.
    """
    found: dict[Path, tuple[str, int, str]] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            message = f"{path} is no folder; give a run folder, or one that holds run folders"
            raise InputError(message)
        below = [folder for folder in _walk(path) if _is_run_folder(folder)]
        if not below:
            message = f"no run folder is at or below {path} (one that holds {SETTINGS_NAME} or {MANIFEST_NAME})"
            raise InputError(message)
        found |= {folder: (str(folder.parent), shard_of(folder)[0], folder.name) for folder in below}
    return sorted(found, key=lambda folder: found[folder])


def read_settings(folder: Path) -> dict[str, object]:
    """Read the settings of a run folder; empty where there are none, or they are damaged."""
    try:
        settings = yaml.load((folder / SETTINGS_NAME).read_text(encoding="utf-8"), Loader=_LOADER)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return settings if isinstance(settings, dict) else {}


def shard_of(folder: Path) -> tuple[int, int]:
    """Return which part of how many the job in a folder is; (1, 1) where it is the whole."""
    shard = read_settings(folder).get(KEY)
    return parse_shard(shard) if isinstance(shard, str) else WHOLE


def missing_shards(folders: list[Path]) -> tuple[list[int], int]:
    """Return the numbers of the parts that none of the folders holds, and how many parts the job has.

    Raises
    ------
    InputError
        If the folders are parts of jobs that were cut differently, or two are the same part.
    """
    shards = {folder: shard_of(folder) for folder in folders}
    cuts = sorted({parts for _, parts in shards.values()})
    if len(cuts) > 1:
        message = f"the folders are parts of jobs cut into {' and '.join(map(str, cuts))} shards; give those of one job"
        raise InputError(message)
    owners: dict[int, Path] = {}
    for folder, (part, _) in shards.items():
        if part in owners:
            message = f"{owners[part]} and {folder} are the same part of a job; give each part once"
            raise InputError(message)
        owners[part] = folder
    return [part for part in range(1, cuts[0] + 1) if part not in owners], cuts[0]


# The C library reads the settings of two thousand shards in a second.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _walk(path: Path) -> list[Path]:
    """Return a folder and those below it, but none inside a run folder and no hidden one."""
    found = []
    for place, folders, _ in os.walk(path):
        found.append(Path(place))
        below = [] if _is_run_folder(Path(place)) else sorted(name for name in folders if not name.startswith("."))
        folders[:] = below
    return found


def _is_run_folder(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (SETTINGS_NAME, MANIFEST_NAME, STATUS_NAME))
