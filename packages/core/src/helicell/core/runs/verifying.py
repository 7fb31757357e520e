"""Checking what finished jobs made against their manifests: every file is there, whole, and unaltered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest
from helicell.core.runs.shards import KEY, missing_shards, read_settings

__all__ = ["Finding", "Verification", "safe_name", "verify"]

# Files that are handed out at once: enough to keep the workers busy.
CHUNK = 256

Problem = Literal["missing", "truncated", "changed", "unreadable", "damaged", "unfinished"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was made: where, and what is wrong with it.

    Parameters
    ----------
    path
        The file, or the folder of a job that is not finished.
    problem
        "missing", "truncated", "changed", "unreadable"; "damaged" for a manifest, "unfinished" for a job without one.
    detail
        More about it.
    """

    path: Path
    problem: Problem
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what was found.

    Parameters
    ----------
    folders, files
        How many run folders and files were looked at.
    findings
        What is wrong, in the order of the folders; empty when all is well.
    """

    folders: int
    files: int
    findings: Sequence[Finding]


def verify(
    folders: Sequence[Path],
    *,
    quick: bool = False,
    workers: int = 4,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Check run folders against their manifests.

    Parameters
    ----------
    folders
        From `run_folders`.
    quick
        Compare sizes only, which finds what is missing or cut but not what was altered in place.
    workers
        Files that are read at once.
    advance
        Told the number of files just checked.
    """
    findings: list[Finding] = list(_missing_parts(folders))
    files = 0
    with ThreadPoolExecutor(workers) as pool:
        for folder in folders:
            try:
                manifest = Manifest.read(folder)
            except InputError as error:
                problem: Problem = "damaged" if RunFolder(folder).finished else "unfinished"
                findings.append(
                    Finding(folder / MANIFEST_NAME if problem == "damaged" else folder, problem, str(error))
                )
                continue
            strange = [name for name in manifest.outputs if not safe_name(name)]
            if strange:
                findings.append(Finding(folder / MANIFEST_NAME, "damaged", f"it names {strange[0]!r}"))
                continue

            def check(name: str, folder: Path = folder, manifest: Manifest = manifest) -> Finding | None:
                return _check(folder / name, manifest.outputs[name], manifest.sizes.get(name), quick=quick)

            names = list(manifest.outputs)
            files += len(names)
            for start in range(0, len(names), CHUNK):
                chunk = names[start : start + CHUNK]
                findings += [finding for finding in pool.map(check, chunk) if finding is not None]
                advance(len(chunk))
    return Verification(len(folders), files, findings)


def safe_name(name: str) -> bool:
    """Tell whether a name in a manifest stays inside its folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _check(path: Path, digest: str, size: int | None, *, quick: bool) -> Finding | None:
    try:
        found = path.stat().st_size
        if size is not None and found < size:
            return Finding(path, "truncated", f"{found} of {size} bytes")
        if size is not None and found > size:
            return Finding(path, "changed", f"{found} bytes, {size} were written")
        if not quick and sha256(path) != digest:
            return Finding(path, "truncated", "empty") if found == 0 else Finding(path, "changed", "other content")
    except FileNotFoundError:
        return Finding(path, "missing")
    except OSError as error:
        return Finding(path, "unreadable", error.strerror or str(error))
    return None


def _missing_parts(folders: Sequence[Path]) -> Iterator[Finding]:
    """Find jobs in parts of which some parts have no folder at all."""
    parts = (folder for folder in folders if isinstance(read_settings(folder).get(KEY), str))
    for parent, siblings in groupby(sorted(parts), key=lambda folder: folder.parent):
        yield from _missing_of(parent, list(siblings))


def _missing_of(parent: Path, siblings: Iterable[Path]) -> Iterator[Finding]:
    try:
        missing, parts = missing_shards(list(siblings))
    except InputError:
        # Several jobs lie in this folder; nothing tells which parts belong together.
        return
    for part in missing:
        yield Finding(parent, "missing", f"no folder of shard {part}/{parts}")
