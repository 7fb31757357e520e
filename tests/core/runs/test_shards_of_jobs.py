"""Shards of a job: verified file by file, merged into what one job had made, refused where they do not fit."""

import json
import os
import shutil

import pytest
import yaml

from helicell.core.errors import HelicellError, InputError
from helicell.core.runs import merging
from helicell.core.runs.files import write_text
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.runs.merging import merge
from helicell.core.runs.settings import Settings
from helicell.core.runs.shards import run_folders
from helicell.core.runs.verifying import verify

COUNT = 10


class Job(Settings):
    """Settings of an imaginary job in parts."""

    colour: str = "red"
    shard: str = "1/1"


def work(path, part, parts, *, colour="red", model="0" * 64):
    """Do one part of the job: a file and a row of the table for each of its numbers."""
    folder = RunFolder.create(path, Job(colour=colour, shard=f"{part}/{parts}"), inputs={"model": model})
    mine = list(range(part - 1, COUNT, parts))
    for number in mine:
        write_text(path / f"item_{number:06d}.txt", f"{colour} {number}\n")
    write_text(path / "items.csv", "".join(["number,colour\n", *(f"{number},{colour}\n" for number in mine)]))
    outputs = checksums(path, [*(f"item_{number:06d}.txt" for number in mine), "items.csv"])
    folder.log("finished")
    folder.finish(Manifest("trial", seed=7, inputs={"model": model}, outputs=outputs))
    return path


@pytest.fixture
def shards(tmp_path):
    """The folder of a job in three parts."""
    for part in (1, 2, 3):
        work(tmp_path / "job" / f"part_{part}", part, 3)
    return tmp_path / "job"


def contents(folder):
    """Return the bytes of every file but the log."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "log.jsonl"}


def test_all_is_well(shards, run_cli):
    """Every file of every manifest is counted; the command says so and ends with 0."""
    result = verify(run_folders(shards))
    assert (result.folders, result.files, result.findings) == (3, COUNT + 3, [])
    shown = run_cli("runs", "verify", shards)
    assert (shown.code, shown.out) == (0, "13 files in 3 run folders are as they were made\n")


def damage(folder):
    """Damage files of a job in every way."""
    (folder / "item_000000.txt").write_text("red 1\n")
    (folder / "item_000003.txt").write_text("re")
    (folder / "item_000006.txt").unlink()
    (folder / "item_000009.txt").write_text("red 9\n and more")
    (folder / "items.csv").write_text("")


def test_damage_is_found_and_named(shards, run_cli):
    """Changed, truncated, missing and grown files are each named with what is wrong, and the exit code is 1."""
    damage(shards / "part_1")
    result = run_cli("runs", "verify", shards, "--json")
    assert (result.code, result.err.count("\n")) == (1, 1)
    findings = {finding["path"]: finding["problem"] for finding in json.loads(result.out)["findings"]}
    assert findings == {
        str(shards / "part_1" / "item_000000.txt"): "changed",
        str(shards / "part_1" / "item_000003.txt"): "truncated",
        str(shards / "part_1" / "item_000006.txt"): "missing",
        str(shards / "part_1" / "item_000009.txt"): "changed",
        str(shards / "part_1" / "items.csv"): "truncated",
    }
    assert "5 findings, the first: " in result.err
    shown = run_cli("runs", "verify", shards)
    assert all(path in shown.out for path in findings)
    quick = json.loads(run_cli("runs", "verify", shards, "--json", "--quick").out)
    assert set(findings) - {finding["path"] for finding in quick["findings"]} == {
        str(shards / "part_1" / "item_000000.txt")
    }


def test_manifests_of_old_tell_no_sizes(shards):
    """Without sizes the checksums still find what differs."""
    path = shards / "part_1" / "manifest.json"
    record = json.loads(path.read_text())
    del record["sizes"]
    path.write_text(json.dumps(record))
    damage(shards / "part_1")
    problems = sorted(finding.problem for finding in verify(run_folders(shards)).findings)
    assert problems == ["changed", "changed", "changed", "missing", "truncated"]


def test_unfinished_missing_and_damaged_parts_are_findings(shards):
    """A part without a manifest, one with a broken manifest, and one without a folder are no success."""
    (shards / "part_1" / "manifest.json").unlink()
    (shards / "part_2" / "manifest.json").write_text("{")
    shutil.rmtree(shards / "part_3")
    found = {(finding.path.name, finding.problem) for finding in verify(run_folders(shards)).findings}
    assert found == {("job", "missing"), ("part_1", "unfinished"), ("manifest.json", "damaged")}


@pytest.mark.parametrize("name", ["../../outside.txt", "/etc/passwd", ""])
def test_manifests_cannot_name_what_is_outside(shards, name):
    """A manifest whose names leave the folder is damaged, and nothing of it is read or merged."""
    path = shards / "part_1" / "manifest.json"
    record = json.loads(path.read_text())
    record["outputs"][name] = "0" * 64
    path.write_text(json.dumps(record))
    assert [finding.problem for finding in verify(run_folders(shards)).findings] == ["damaged"]
    with pytest.raises(HelicellError, match="damaged"):
        merge(run_folders(shards), shards.parent / "all")


@pytest.mark.parametrize("copy", [False, True])
def test_merged_shards_are_the_whole_job(shards, tmp_path, run_cli, copy):
    """Files, table, settings, inputs and manifest have the bytes of the job that was never cut; links share space."""
    whole = work(tmp_path / "whole", 1, 1)
    result = run_cli("runs", "merge", shards, "--out", tmp_path / "all", *(["--copy"] if copy else []))
    assert (result.code, result.out) == (0, f"11 files of 3 run folders in {tmp_path / 'all'}\n")
    assert contents(tmp_path / "all") == contents(whole)
    assert (tmp_path / "all" / "item_000000.txt").samefile(shards / "part_1" / "item_000000.txt") is not copy
    assert verify(run_folders(tmp_path / "all")).findings == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_interrupted_merge_goes_on(shards, tmp_path, monkeypatch):
    """Nothing stands under the name before all is there; what was placed before is not placed again."""
    placed, failing = [], True
    link = os.link

    def counting(source, target):
        placed.append(target.name)
        if failing and len(placed) == 4:
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr(merging.os, "link", counting)
    with pytest.raises(KeyboardInterrupt):
        merge(run_folders(shards), tmp_path / "all")
    assert not (tmp_path / "all").exists()
    failing = False
    merge(run_folders(shards), tmp_path / "all")
    assert len(placed) == COUNT + 1
    assert verify(run_folders(tmp_path / "all")).findings == []


def test_files_are_copied_where_links_are_not_to_be_had(shards, tmp_path, monkeypatch):
    """Across file systems the files are copied, and half a copy of an earlier merge is replaced."""

    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(merging.os, "link", refuse)
    staging = tmp_path / ".all.merge.partial"
    staging.mkdir()
    (staging / "item_000000.txt").write_text("re")
    merge(run_folders(shards), tmp_path / "all")
    assert (tmp_path / "all" / "item_000000.txt").read_text() == "red 0\n"
    assert verify(run_folders(tmp_path / "all")).findings == []


def test_a_corrupt_shard_is_never_merged(shards, tmp_path, run_cli):
    """The line names the file, and no folder appears."""
    (shards / "part_2" / "item_000004.txt").write_text("red 5\n")
    result = run_cli("runs", "merge", shards, "--out", tmp_path / "all")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert f"{shards / 'part_2' / 'item_000004.txt'} is changed" in result.err
    assert not (tmp_path / "all").exists()


def test_missing_shards_are_named(shards, tmp_path):
    """Without --incomplete nothing is merged; with it, what is there."""
    shutil.rmtree(shards / "part_2")
    (shards / "part_3" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"shard 2/3 is missing, .*part_3 is not finished; .* --incomplete"):
        merge(run_folders(shards), tmp_path / "all")
    manifest = merge(run_folders(shards), tmp_path / "all", incomplete=True)
    assert [name for name in manifest.outputs if name.startswith("item_")] == [
        f"item_{i:06d}.txt" for i in (0, 3, 6, 9)
    ]
    assert yaml.safe_load((tmp_path / "all" / "settings.yaml").read_text()) == {"colour": "red", "shard": "1/1"}


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("settings", "different jobs .colour differs"),
        ("inputs", "different jobs .inputs differs"),
        ("cut", "jobs cut into 3 and 4 shards"),
        ("twice", "are the same part"),
        ("occupied", "holds other results"),
    ],
)
def test_what_does_not_belong_together_is_refused(shards, tmp_path, case, told):
    """Shards of different jobs, cuts or models are never mixed, and other results never overwritten."""
    shutil.rmtree(shards / "part_3")
    out = tmp_path / "all"
    if case == "settings":
        work(shards / "part_3", 3, 3, colour="blue")
    elif case == "inputs":
        work(shards / "part_3", 3, 3, model="1" * 64)
    elif case == "cut":
        work(shards / "part_3", 3, 4)
    elif case == "twice":
        work(shards / "part_3", 2, 3)
    else:
        work(shards / "part_3", 3, 3)
        out = shards
    with pytest.raises(InputError, match=told):
        merge(run_folders(shards), out)
