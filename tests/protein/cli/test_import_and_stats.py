"""`helicell protein import` and `stats`: tables, JSON, exit codes, one-line errors, and nothing half-written."""

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest

from helicell.protein.chains.store import ChainStore

ENTRIES = Path(str(resources.files("tmtools") / "data"))


@pytest.fixture
def structures(tmp_path):
    """Return a folder with one real entry and one damaged file."""
    folder = tmp_path / "structures"
    folder.mkdir()
    shutil.copy(ENTRIES / "2gtl.cif", folder)
    (folder / "cut.cif").write_bytes((ENTRIES / "2gtl.cif").read_bytes()[:4000])
    return folder


def test_import_then_stats(structures, tmp_path, run_cli):
    """A folder becomes a store; both commands print what JSON repeats, and figures are drawn."""
    store = tmp_path / "store"
    done = run_cli("protein", "import", structures, "--out", store, "--cluster", "words", "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert summary["skipped"] == {"damaged cif file": 1}
    assert (summary["items"], summary["chains"]) == (2, len(ChainStore.open(store)))

    told = run_cli("protein", "stats", store)
    assert told.code == 0
    assert "by length" in told.out
    assert str(summary["residues"]) in told.out
    assert (store / "plots" / "ramachandran.svg").is_file()
    described = json.loads(run_cli("protein", "stats", store, "--json", "--no-plots").out)
    assert described["total"]["chains"] == summary["chains"]
    assert described["total"]["clusters"] == summary["clusters"]
    assert described["plots"] == []


def test_the_summary_shows_every_skip(structures, tmp_path, run_cli):
    """Without JSON the table names each reason with its number."""
    done = run_cli("protein", "import", structures, "--out", tmp_path / "store", "--cluster", "none")
    assert done.code == 0
    for text in ("damaged cif file", str(tmp_path / "store"), "same sequence as an earlier chain"):
        assert text in done.out


def test_options_go_before_the_settings_file(structures, tmp_path, run_cli):
    """Limits come from a settings file unless an option is given; the store remembers what was used."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("cluster: none\nfilter:\n  min_length: 100\n  max_length: 145\n")
    given = ("--settings", settings, "--max-length", 148, "--globular", "--duplicates")
    done = run_cli("protein", "import", structures, "--out", tmp_path / "store", *given)
    assert done.code == 0
    store = ChainStore.open(tmp_path / "store")
    assert set(store.lengths) <= set(range(100, 149))
    assert store.column("globular").all()
    used = store.provenance["settings"]
    assert (used["filter"]["min_length"], used["filter"]["max_length"], used["unique"]) == (100, 148, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ABSENT",), "does not exist"),
        (("EMPTY",), "is an empty folder"),
        (("SOURCE", "--min-length", "0"), "filter.min_length is 0"),
        (("SOURCE", "--max-coil", "2"), "filter.max_coil is 2"),
        (("SOURCE", "--cluster", "mmsek"), 'cluster is "mmsek"'),
        (("SOURCE", "--workers", "0"), "workers is 0"),
        (("SOURCE", "--min-length", "9000", "--max-length", "9999"), "nothing to import"),
        (("SOURCE", "--settings", "SETTINGS"), "did you mean 'min_length'"),
        (("SOURCE", "--out", "TAKEN"), "choose a new folder"),
        (("SOURCE", "--out", "TAKEN", "--overwrite"), "choose a new folder"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(structures, tmp_path, run_cli, arguments, message):
    """Each bad input ends with exit code 2, one line that says why, and no new file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "other").touch()
    (tmp_path / "settings.yaml").write_text("filter:\n  min_lenght: 3\n")
    places = {"SOURCE": structures, "ABSENT": tmp_path / "absent", "EMPTY": tmp_path / "empty"}
    places |= {"TAKEN": tmp_path / "taken", "SETTINGS": tmp_path / "settings.yaml"}
    given = [places.get(word, word) for word in arguments]
    out = () if "--out" in arguments else ("--out", tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    done = run_cli("protein", "import", *given, *out, "--quiet")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert message in done.err
    assert done.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_stats_of_what_is_no_store(tmp_path, run_cli):
    """A folder without a store is an error that says how to make one."""
    done = run_cli("protein", "stats", tmp_path)
    assert done.code == 2
    assert "make one with: helicell protein import" in done.err
