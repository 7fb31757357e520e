"""Run folders: never mixed, resumable, and finished only with a manifest."""

import json
from datetime import datetime

import pytest

from helicell.core.errors import InputError
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest, checksums, installed_versions
from helicell.core.runs.settings import Settings


class Sampling(Settings):
    """Settings of an imaginary job."""

    length: int = 80
    seed: int = 0


def contents(folder):
    """Return the name and bytes of every file in a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", [".", "deep/folder"])
def test_an_absent_or_empty_folder_is_taken(tmp_path, name, resume):
    """The settings are written at once, so that a killed job can be told from other files."""
    folder = RunFolder.create(tmp_path / name, Sampling(length=60), resume=resume)
    assert Sampling.from_yaml(tmp_path / name / "settings.yaml").length == 60
    assert not folder.finished


def test_other_results_are_refused_and_untouched(tmp_path):
    """Without --resume nothing is taken that holds anything, not even by the same job."""
    RunFolder.create(tmp_path, Sampling())
    before = contents(tmp_path)
    with pytest.raises(InputError, match="holds other results; choose another, or pass --resume"):
        RunFolder.create(tmp_path, Sampling())
    assert contents(tmp_path) == before


def test_foreign_files_are_never_resumed(tmp_path):
    """--resume is no licence to write into somebody's documents."""
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no settings\.yaml"):
        RunFolder.create(tmp_path, Sampling(), resume=True)
    assert list(contents(tmp_path)) == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path):
    """A file of that name is not overwritten."""
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        RunFolder.create(tmp_path / "x", Sampling())


def test_resuming_with_other_settings_names_the_difference(tmp_path):
    """The line says which key differs, and both values."""
    RunFolder.create(tmp_path, Sampling(length=60))
    with pytest.raises(InputError, match=r"length: 60 there, 80 now"):
        RunFolder.create(tmp_path, Sampling(length=80), resume=True)


def test_resuming_keeps_results_and_clears_what_a_kill_left(tmp_path):
    """Whole files stay and half-written ones go."""
    RunFolder.create(tmp_path, Sampling())
    (tmp_path / "sample_000000.cif").write_text("whole")
    (tmp_path / ".sample_000001.1234abcd.partial.cif").write_text("ha")
    RunFolder.create(tmp_path, Sampling(), resume=True)
    assert sorted(contents(tmp_path)) == ["sample_000000.cif", "settings.yaml"]


def test_a_job_may_go_further_than_it_was_asked_to_at_first(tmp_path):
    """A setting that may differ is taken over, and a finished job counts as unfinished from then on."""
    RunFolder.create(tmp_path, Sampling(length=60)).finish(Manifest("test"))
    folder = RunFolder.create(tmp_path, Sampling(length=60), resume=True, may_differ=["length"])
    assert folder.finished
    folder = RunFolder.create(tmp_path, Sampling(length=80), resume=True, may_differ=["length"])
    assert not folder.finished
    assert Sampling.from_yaml(tmp_path / "settings.yaml").length == 80
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        RunFolder.create(tmp_path, Sampling(length=80, seed=1), resume=True, may_differ=["length"])


def test_inputs_are_known_again(tmp_path):
    """A job goes on with what it began with: a model that changed, or is another one, is named."""
    inputs = {"model a": "0" * 64}
    RunFolder.create(tmp_path, Sampling(), inputs=inputs)
    assert json.loads((tmp_path / "inputs.json").read_text()) == inputs
    RunFolder.create(tmp_path, Sampling(), resume=True, inputs=inputs)
    for other in ({"model a": "1" * 64}, {"model b": "0" * 64}, {}):
        with pytest.raises(InputError, match=r"other inputs \(model a has changed since\)"):
            RunFolder.create(tmp_path, Sampling(), resume=True, inputs=other)


@pytest.mark.parametrize("resume", [False, True])
def test_replacing_empties_the_folder_of_such_a_job_only(tmp_path, resume):
    """Results of other settings give way, equal ones are continued when asked to, and other people's files stay."""
    job, foreign = tmp_path / "job", tmp_path / "foreign"
    RunFolder.create(job, Sampling(length=60))
    (job / "deep").mkdir()
    (job / "deep" / "result.cif").write_text("x")
    RunFolder.create(job, Sampling(length=80), resume=resume, replace=True)
    assert list(contents(job)) == ["settings.yaml"]
    (job / "result.cif").write_text("x")
    RunFolder.create(job, Sampling(length=80), resume=resume, replace=True)
    assert (job / "result.cif").exists() is resume
    foreign.mkdir()
    (foreign / "settings.yaml").write_text("colour: red\n")
    (foreign / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="unknown key 'colour'"):
        RunFolder.create(foreign, Sampling(), resume=resume, replace=True)
    assert sorted(contents(foreign)) == ["settings.yaml", "thesis.txt"]


def test_a_kill_before_the_settings_were_written_does_no_harm(tmp_path):
    """A folder in which only a half-written file lies counts as empty."""
    (tmp_path / ".settings.1234abcd.partial.yaml").write_text("le")
    RunFolder.create(tmp_path, Sampling())
    assert (tmp_path / "settings.yaml").is_file()


def test_log_and_metrics(tmp_path):
    """The log is one JSON object a line with a time that has its zone; the metrics are one object."""
    folder = RunFolder.create(tmp_path, Sampling())
    folder.log("started", count=3)
    folder.log("ended")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["started", "ended"]
    assert lines[0]["count"] == 3
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo is not None
    folder.write_metrics({"loss": 0.5})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"loss": 0.5}


def test_the_manifest_finishes_a_run_and_finds_changes(tmp_path):
    """The manifest is read back equal, holds no time, and tells which files were altered or lost since."""
    folder = RunFolder.create(tmp_path, Sampling())
    names = ["a.cif", "b.cif", "c.cif"]
    for name in names:
        (tmp_path / name).write_text(name)
    manifest = Manifest("test", seed=7, inputs={"model": "0" * 64}, outputs=checksums(tmp_path, names))
    folder.finish(manifest)
    first = (tmp_path / "manifest.json").read_bytes()
    folder.finish(Manifest("test", seed=7, inputs={"model": "0" * 64}, outputs=checksums(tmp_path, names)))
    assert (tmp_path / "manifest.json").read_bytes() == first
    assert folder.finished
    assert Manifest.read(tmp_path) == manifest
    assert manifest.changed_outputs(tmp_path) == []
    (tmp_path / "b.cif").write_text("other")
    (tmp_path / "c.cif").unlink()
    assert manifest.changed_outputs(tmp_path) == ["b.cif", "c.cif"]


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "x", "colour": 3}'])
def test_a_damaged_manifest_is_bad_input(tmp_path, text):
    """Neither broken JSON nor JSON of another kind passes."""
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="damaged"):
        Manifest.read(tmp_path)


def test_an_unfinished_folder_has_no_manifest(tmp_path):
    """The line says what the folder is not."""
    with pytest.raises(InputError, match="not the folder of a finished job"):
        Manifest.read(tmp_path)


def test_versions_name_what_is_installed():
    """Python, Helicell, torch and numpy are recorded, and a package that is not installed is left out."""
    assert set(installed_versions()) == {"python", "helicell", "torch", "numpy"}
    assert set(installed_versions(["no-such-package-at-all"])) == {"python"}
