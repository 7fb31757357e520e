"""The commands `helicell runs`: are the results whole, how far are the jobs, and all shards in one folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helicell.core import console
from helicell.core.errors import HelicellError

if TYPE_CHECKING:
    from helicell.core.runs.overview import FolderStatus

app = typer.Typer(help="Run folders: verify their files, show how far they are, merge shards.", no_args_is_help=True)

Runs = Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some, such as results/samples.")]
Workers = Annotated[int, typer.Option(min=1, help="Files that are read at once.")]
# Folders that a table shows; of more, those that need a look.
SHOWN = 40
ORDER = ("failed", "unknown", "running", "finished")


@app.command()
def verify(
    runs: Runs,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes only: finds what is missing or cut.")] = False,
    workers: Workers = 4,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Check every file against the manifests: what is missing, truncated or changed is named, with exit code 1."""
    from helicell.core.runs.shards import run_folders
    from helicell.core.runs.verifying import verify as check

    console.start_logging(quiet=quiet)
    folders = run_folders(*runs)
    with console.progress_bar("verifying", _count_files(folders), quiet=quiet) as advance:
        result = check(folders, quick=quick, workers=workers, advance=advance)
    rows = [(str(finding.path), finding.problem, finding.detail) for finding in result.findings]
    if as_json:
        findings = [dict(zip(("path", "problem", "detail"), row, strict=True)) for row in rows]
        console.print_json({"folders": result.folders, "files": result.files, "findings": findings})
    elif rows:
        console.print_table("", ("path", "problem", "detail"), rows)
    elif not quiet:
        typer.echo(f"{result.files} files in {result.folders} run folders are as they were made")
    if rows:
        path, problem, _ = rows[0]
        many = f"{len(rows)} findings, the first: " if len(rows) > 1 else ""
        message = f"{many}{path} is {problem}; what a job made is made again by it with --resume"
        raise HelicellError(message)


@app.command()
def merge(
    runs: Runs,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Merge what is there although shards are missing.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy files instead of linking them.")] = False,
    workers: Workers = 4,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Join the shards of one job into one folder, with one table and one manifest; every file is checked on the way."""
    from helicell.core.runs.merging import merge as join
    from helicell.core.runs.shards import run_folders

    console.start_logging(quiet=quiet)
    folders = run_folders(*runs)
    with console.progress_bar("merging", 2 * _count_files(folders), quiet=quiet) as advance:
        manifest = join(folders, out, incomplete=incomplete, copy=copy, workers=workers, advance=advance)
    if as_json:
        console.print_json({"folder": str(out), "shards": len(folders), "files": len(manifest.outputs)})
    elif not quiet:
        typer.echo(f"{len(manifest.outputs)} files of {len(folders)} run folders in {out}")


@app.command()
def status(runs: Runs, *, as_json: console.Json = False) -> None:
    """Show how far jobs are: what is done, at which rate, when the end is expected, and who has gone silent."""
    from helicell.core.runs.overview import overview
    from helicell.core.runs.shards import run_folders

    found = overview(run_folders(*runs))
    end = found.expected_end.isoformat(timespec="seconds") if found.expected_end else None
    total: dict[str, Any] = {"done": found.done, "total": found.total, "tried": found.tried, "rate": found.rate}
    if as_json:
        console.print_json(
            {
                "states": dict(found.states),
                **total,
                "expected_end": end,
                "folders": [_as_mapping(entry) for entry in found.folders],
            }
        )
        return
    ordered = sorted(found.folders, key=lambda entry: (ORDER.index(entry.state), _updated(entry)))
    shown = found.folders if len(ordered) <= SHOWN else ordered[:SHOWN]
    title = "" if len(ordered) <= SHOWN else f"{SHOWN} of {len(ordered)} run folders, those that need a look first"
    columns = ("folder", "state", "done", "of", "an hour", "last news", "expected end")
    console.print_table(title, columns, [_row(entry) for entry in shown])
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))
    tried = f" (of {found.tried} tried)" if found.tried is not None else ""
    rate = f", {found.rate:.4g} an hour, expected end {end}" if found.rate else ""
    typer.echo(f"{states}; {found.done} of {found.total} done{tried}{rate}")
    for entry in ordered[:SHOWN]:
        if entry.state == "failed" and entry.status is not None and entry.status.message:
            typer.echo(f"{entry.path}: {entry.status.message}")


def _row(entry: "FolderStatus") -> tuple[object, ...]:
    status = entry.status
    if status is None:
        return (str(entry.path), entry.state, None, None, None, "", "")
    end = status.expected_end if entry.state == "running" else None
    return (str(entry.path), entry.state, status.done, status.total, status.rate, _ago(status.updated), end or "")


def _as_mapping(entry: "FolderStatus") -> dict[str, Any]:
    from dataclasses import asdict

    known = asdict(entry.status) if entry.status is not None else {}
    return {"folder": str(entry.path), "shard": list(entry.shard), **known, "state": entry.state}


def _updated(entry: "FolderStatus") -> str:
    return entry.status.updated if entry.status is not None else ""


def _ago(moment: str) -> str:
    """Say how long ago a moment was.

    Examples
    --------
    >>> _ago((datetime.now(UTC) - timedelta(minutes=5)).isoformat())
    '5 min ago'
    """
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)) / timedelta(seconds=1)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


def _count_files(folders: list[Path]) -> int:
    from helicell.core.errors import InputError
    from helicell.core.runs.manifest import Manifest

    count = 0
    for folder in folders:
        try:
            count += len(Manifest.read(folder).outputs)
        except InputError:
            continue
    return count
