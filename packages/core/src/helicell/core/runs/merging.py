"""Joining the shards of a job into one folder with one table and one manifest, as if it had been done in one go.

Files are linked where the file system allows, which takes neither time nor space, and copied elsewhere. All is put
together in a hidden folder beside the new one and renamed at the end; an interrupted merge goes on in it.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs.files import PARTIAL, atomic_write, sha256, write_json, write_text
from helicell.core.runs.folder import INPUTS_NAME, SETTINGS_NAME
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest, checksums
from helicell.core.runs.shards import KEY, missing_shards, read_settings
from helicell.core.runs.verifying import verify

__all__ = ["merge"]

TABLE_SUFFIX = ".csv"

log = logging.getLogger(__name__)


def merge(
    folders: Sequence[Path],
    out: str | Path,
    *,
    incomplete: bool = False,
    copy: bool = False,
    workers: int = 4,
    advance: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Join the shards of one job.

    Parameters
    ----------
    folders
        The finished shards, from `run_folders`.
    out
        The folder to make; absent or empty.
    incomplete
        Join what is there although shards are missing.
    copy
        Copy files instead of linking them, so that the shards can be altered afterwards.
    workers
        Files that are checked at once.
    advance
        Told the number of files just checked or joined; each counts twice.

    Returns
    -------
    Manifest
        Of the new folder.

    Raises
    ------
    InputError
        If the folders are no shards of one job, some are missing, or the output folder is not empty.
    HelicellError
        If a file is not as it was made.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"the output folder {out} is a file or holds other results; choose another name"
        raise InputError(message)
    _check_parts(folders, incomplete=incomplete)
    checked = verify(folders, workers=workers, advance=advance)
    if bad := [finding for finding in checked.findings if not (incomplete and finding.path.is_dir())]:
        message = (
            f"{bad[0].path} is {bad[0].problem}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}; "
            "`helicell runs verify` lists all; make these again (sample --resume) before merging"
        )
        raise HelicellError(message)
    manifests = {folder: Manifest.read(folder) for folder in folders if (folder / MANIFEST_NAME).is_file()}
    first = next(iter(manifests.values()))
    _check_same(manifests)
    owners, tables = _owners(manifests)
    staging = out.with_name(f".{out.name}.merge.{PARTIAL}")
    staging.mkdir(parents=True, exist_ok=True)
    for name, folder in owners.items():
        _place(folder / name, staging / name, digest=manifests[folder].outputs[name], copy=copy)
        advance(1)
    for name, parts in tables.items():
        write_text(staging / name, _joined([folder / name for folder in parts]))
        advance(len(parts))
    _write_head(next(iter(manifests)), staging)
    outputs = {name: manifests[owners[name]].outputs[name] for name in sorted(owners)}
    outputs |= checksums(staging, sorted(tables))
    manifest = Manifest(first.kind, first.seed, first.inputs, outputs, first.versions)
    manifest.write(staging)
    staging.replace(out)
    return manifest


def _check_parts(folders: Sequence[Path], *, incomplete: bool) -> None:
    missing, parts = missing_shards(list(folders))
    unfinished = [folder for folder in folders if not (folder / MANIFEST_NAME).is_file()]
    if len(unfinished) == len(folders):
        message = "none of the shards is finished; there is nothing to merge yet"
        raise InputError(message)
    if (missing or unfinished) and not incomplete:
        told = [f"shard {part}/{parts} is missing" for part in missing]
        told += [f"{folder} is not finished" for folder in unfinished]
        more = f" and {len(told) - 3} more are" if len(told) > 3 else ""
        message = f"{', '.join(told[:3])}{more}; wait for them, or merge what is there with --incomplete"
        raise InputError(message)


def _check_same(manifests: dict[Path, Manifest]) -> None:
    """Check that the shards are of one job: kind, seed, inputs and settings."""
    (one, first), *others = manifests.items()
    settings = {**read_settings(one), KEY: None}
    for folder, manifest in others:
        differing = [name for name in ("kind", "seed", "inputs") if getattr(manifest, name) != getattr(first, name)]
        own = {**read_settings(folder), KEY: None}
        differing += sorted(key for key in {*settings, *own} if settings.get(key) != own.get(key))
        if differing:
            message = f"{one} and {folder} are of different jobs ({differing[0]} differs); merge shards of one job only"
            raise InputError(message)
        if manifest.versions != first.versions:
            log.warning("%s was made with other versions than %s: %s", folder, one, dict(manifest.versions))


def _owners(manifests: dict[Path, Manifest]) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Return the shard of every file, and the shards of every table that several have."""
    owners: dict[str, Path] = {}
    tables: dict[str, list[Path]] = {}
    for folder, manifest in manifests.items():
        for name in manifest.outputs:
            if name.endswith(TABLE_SUFFIX):
                tables.setdefault(name, []).append(folder)
            elif name in owners:
                message = f"{owners[name]} and {folder} both hold {name}; merge shards of one job only"
                raise InputError(message)
            else:
                owners[name] = folder
    return owners, tables


def _place(source: Path, target: Path, *, digest: str, copy: bool) -> None:
    """Link or copy a file, unless an interrupted merge did so before."""
    if target.is_file():
        if (not copy and source.samefile(target)) or (copy and sha256(target) == digest):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source, target)
        except OSError:
            # Another file system, or one without links.
            pass
        else:
            return
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def _joined(files: Sequence[Path]) -> str:
    """Join tables of the same columns; in the order of their first column where that is a number throughout."""
    header: list[str] | None = None
    rows: list[list[str]] = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as handle:
            own, *more = csv.reader(handle)
        if header is not None and own != header:
            message = f"the columns of {file} are other than those of {files[0]}; merge shards of one job only"
            raise InputError(message)
        header = own
        rows += more
    if all(row[0].isdecimal() for row in rows):
        rows.sort(key=lambda row: int(row[0]))
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([header or [], *rows])
    return buffer.getvalue()


def _write_head(folder: Path, out: Path) -> None:
    """Write the settings of the whole job, and its inputs."""
    settings = read_settings(folder)
    if settings:
        whole = {key: "1/1" if key == KEY else value for key, value in settings.items()}
        write_text(out / SETTINGS_NAME, yaml.safe_dump(whole, sort_keys=False, allow_unicode=True))
    if (folder / INPUTS_NAME).is_file():
        write_json(out / INPUTS_NAME, yaml.safe_load((folder / INPUTS_NAME).read_text(encoding="utf-8")))
