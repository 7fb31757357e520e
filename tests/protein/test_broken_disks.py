"""A disk that is full, a folder that cannot be written, a shard that went bad: each is told, and nothing is lost."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helicell.core.runs.manifest import Manifest

OPTIONS = ("protein", "sample", "--length", "30", "--steps", "1", "--device", "cpu", "--batch-size", "2", "--quiet")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that gives a file system of its own, mounted with the options; skip where none can be."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("no file system can be mounted here; it needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files but the log and the status, which hold times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("log.jsonl", "status.json")
    }


@pytest.mark.parametrize("file_format", ["cif", "npz", "bcif"])
def test_a_full_disk_is_told_and_the_job_goes_on(
    small_disk: Callable[[str], Path], tmp_path: Path, run_cli: Callable, file_format: str
) -> None:
    """One line with the file and what to do; every file under its own name is whole; with room the job ends as any."""
    disk = small_disk("size=64k")
    options = (*OPTIONS, "--count", "12", "--format", file_format)
    (disk / "ballast").write_bytes(bytes(40_000 if file_format == "cif" else 52_000))
    result = run_cli(*options, "--out", disk / "out")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert result.err.startswith("error: No space left on device: ")
    assert str(disk / "out") in result.err
    assert "make room there and go on, with --resume" in result.err
    assert not (disk / "out" / "manifest.json").exists()
    written = {path.name: path.stat().st_size for path in (disk / "out").glob("sample_*")}
    assert all(written.values())
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    assert run_cli(*options, "--out", disk / "out", "--resume").code == 0
    assert run_cli(*options, "--out", tmp_path / "plain").code == 0
    assert contents(disk / "out") == contents(tmp_path / "plain")
    assert Manifest.read(disk / "out").changed_outputs(disk / "out") == []


def test_a_read_only_folder_is_told(small_disk: Callable[[str], Path], run_cli: Callable) -> None:
    """One line with the folder and what to do, before anything is computed."""
    disk = small_disk("ro")
    result = run_cli(*OPTIONS, "--count", "2", "--out", disk / "out")
    assert (result.code, result.err) == (
        1, f"error: Read-only file system: {disk / 'out'}; choose another output folder\n",
    )  # fmt: skip


def test_a_disk_that_turns_read_only_is_told(small_disk: Callable[[str], Path], run_cli: Callable) -> None:
    """A finished job resumed where nothing can be written ends with a line, and its files stay."""
    disk = small_disk("size=4m")
    options = (*OPTIONS, "--count", "2", "--out", disk / "out")
    assert run_cli(*options).code == 0
    before = contents(disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    result = run_cli(*options, "--resume")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert result.err.startswith("error: Read-only file system: ")
    assert contents(disk / "out") == before


def test_a_path_through_a_file_is_told(tmp_path: Path, run_cli: Callable) -> None:
    """A file where a folder should be is named."""
    (tmp_path / "file").touch()
    result = run_cli(*OPTIONS, "--count", "2", "--out", tmp_path / "file" / "out")
    assert result.code in (1, 2)
    assert (result.err.count("\n"), str(tmp_path / "file") in result.err) == (1, True)


def test_a_corrupt_shard_is_found_and_mended(tmp_path: Path, run_cli: Callable) -> None:
    """`runs verify` names the file, `merge` refuses, `sample --resume` makes that file again, and all is well."""
    shards = [tmp_path / "job" / f"shard_{part}_of_2" for part in (1, 2)]
    jobs = [
        (*OPTIONS, "--count", "8", "--shard", f"{part}/2", "--out", shard) for part, shard in enumerate(shards, start=1)
    ]
    assert [run_cli(*job).code for job in jobs] == [0, 0]
    before = contents(shards[1])
    broken = shards[1] / "sample_000003.cif"
    text = broken.read_text()
    broken.write_text(text.replace("ATOM 1 ", "ATOM 2 ", 1))
    found = run_cli("runs", "verify", tmp_path / "job")
    assert found.code == 1
    assert f"{broken} is changed" in found.err
    assert run_cli("runs", "merge", tmp_path / "job", "--out", tmp_path / "all").code == 1
    assert run_cli(*jobs[1], "--resume").code == 0
    assert contents(shards[1]) == before
    assert run_cli("runs", "merge", tmp_path / "job", "--out", tmp_path / "all").code == 0
    assert run_cli(*OPTIONS, "--count", "8", "--resume", "--out", tmp_path / "all").code == 0
    assert run_cli("runs", "verify", tmp_path / "all").code == 0
