"""Sampling into folders from the command line: files, tables, resuming to the same bytes, and errors that help."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
import pytest

from helicell.core.runs.manifest import Manifest
from helicell.protein.structures import read_backbone

OPTIONS = ("protein", "sample", "--length", "12,10-14", "--count", "3", "--steps", "3", "--device", "cpu", "--quiet")


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files but the log and the status, which hold times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("log.jsonl", "status.json")
    }


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished job of six backbones."""
    from helicell.core.cli import main

    folder = tmp_path_factory.mktemp("job") / "out"
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    return folder


def test_a_job_writes_files_that_others_can_read(sampled: Path) -> None:
    """Six files of chain A with N, CA, C, O, read alike by gemmi and by us; the table and the manifest name them."""
    rows = list(csv.DictReader((sampled / "samples.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [f"sample_{i:06d}.cif" for i in range(6)]
    assert [int(row["length"]) for row in rows[:3]] == [12] * 3
    assert len({row["seed"] for row in rows}) == 6
    for row in rows:
        structure = gemmi.read_structure(str(sampled / row["file"]))
        (chain,) = structure[0]
        assert chain.name == "A"
        assert [atom.name for atom in chain[0]] == ["N", "CA", "C", "O"]
        ours = read_backbone(sampled / row["file"]).coordinates
        theirs = [[atom.pos.tolist() for atom in residue] for residue in chain]
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert Manifest.read(sampled).changed_outputs(sampled) == []


@pytest.mark.parametrize("lost", ["file", "table", "cut"])
def test_a_resumed_job_ends_with_the_same_bytes(sampled: Path, tmp_path: Path, run_cli: Callable, lost: str) -> None:
    """Whatever a killed job left behind, resuming it gives the folder that an uninterrupted one gives."""
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(sampled, folder)
    (folder / "manifest.json").unlink()
    if lost == "file":
        (folder / "sample_000004.cif").unlink()
    elif lost == "table":
        (folder / "samples.csv").unlink()
    else:
        (folder / "sample_000001.cif").write_text("data_cut")
        with (folder / "samples.csv").open("a") as table:
            table.write("5,sample_0000")
        (folder / ".sample_000002.abcd.partial.cif").write_text("data_")
    assert run_cli(*OPTIONS, "--resume", "--out", folder).code == 0
    assert contents(folder) == contents(sampled)


def test_shards_together_make_the_whole_job(sampled: Path, tmp_path: Path, run_cli: Callable) -> None:
    """Two halves hold each backbone once, with the coordinates of the undivided job to 1e-3 A."""
    for part in (1, 2):
        assert run_cli(*OPTIONS, "--shard", f"{part}/2", "--out", tmp_path / str(part)).code == 0
    files = sorted(tmp_path.glob("*/*.cif"), key=lambda path: path.name)
    assert [path.name for path in files] == sorted(path.name for path in sampled.glob("*.cif"))
    for path in files:
        ours, whole = (read_backbone(p).coordinates for p in (path, sampled / path.name))
        np.testing.assert_allclose(ours, whole, atol=2e-3)


def test_frames_noise_and_trajectory_go_round(tmp_path: Path, run_cli: Callable) -> None:
    """Frames written as npz hold the arrays; the start of a kept trajectory, given as noise, gives the same end."""
    base = ("protein", "sample", "--steps", "3", "--device", "cpu", "--format", "npz", "--trajectory", "--quiet")
    assert run_cli(*base, "--length", "12", "--count", "2", "--out", tmp_path / "one").code == 0
    trajectories = [np.load(path) for path in sorted((tmp_path / "one").glob("*_trajectory.npz"))]
    noise = {name: np.stack([t[name][0] for t in trajectories]) for name in ("translations", "quaternions")}
    np.savez(tmp_path / "noise.npz", **noise)
    assert run_cli(*base, "--noise", tmp_path / "noise.npz", "--out", tmp_path / "two").code == 0
    for name in ("sample_000000.npz", "sample_000001.npz"):
        one, two = np.load(tmp_path / "one" / name), np.load(tmp_path / "two" / name)
        np.testing.assert_allclose(one["translations"], two["translations"], atol=1e-3)
        assert one["quaternions"].shape == (12, 4)


def write(path: Path, content: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content)
    return path


BAD = {
    "zero length": (["--length", "0"], "out of range"),
    "huge length": (["--length", "100000"], "out of range"),
    "no length": ([], "--length"),
    "unknown device": (["--length", "9", "--device", "tpu"], "cuda"),
    "unknown precision": (["--length", "9", "--precision", "half"], "bfloat16"),
    "unknown format": (["--length", "9", "--format", "xyz"], "bcif"),
    "no steps": (["--length", "9", "--steps", "0"], "steps"),
    "no count": (["--length", "9", "--count", "0"], "count"),
    "missing model": (["--length", "9", "--model", "none.safetensors"], "none.safetensors"),
    "bad shard": (["--length", "9", "--shard", "3/2"], "shard"),
    "missing noise": (["--noise", "none.npz"], "noise"),
    "unknown option": (["--length", "9", "--stepps", "9"], "--steps"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, run_cli: Callable, case: str) -> None:
    """Exit code 2, one line that says what to do, and no output folder."""
    options, expected = BAD[case]
    result = run_cli("protein", "sample", *options, "--out", tmp_path / "out")
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert expected in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no tensors here", b"\x80\x04cposix\nsystem\n"])
def test_corrupt_models_are_refused(tmp_path: Path, run_cli: Callable, content: bytes) -> None:
    """Files that are no models, pickles too, are refused with their name."""
    model = write(tmp_path / "broken.safetensors", content)
    result = run_cli("protein", "sample", "--length", "9", "--model", model, "--out", tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "broken.safetensors" in result.err
    assert not (tmp_path / "out").exists()


def test_occupied_folders_are_refused(sampled: Path, tmp_path: Path, run_cli: Callable) -> None:
    """Other results are never mixed in, and a job is resumed with its own settings only."""
    before = contents(sampled)
    again = run_cli("protein", "sample", "--length", "9", "--out", sampled)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "holds other results" in again.err
    other = run_cli("protein", "sample", "--length", "9", "--resume", "--out", sampled)
    assert other.code == 2
    assert "other settings" in other.err
    assert contents(sampled) == before
