"""The report shows what was measured, names how structures were chosen, and stands alone."""

import io
import json
import re
import zipfile
from base64 import b64decode
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helicell.core.errors import InputError
from helicell.core.reports import Report, Table, Tiles, Viewer, render
from helicell.core.runs.files import sha256
from helicell.core.runs.manifest import Manifest
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.evaluation import evaluate
from helicell.protein.gallery import best_first, spread_over_lengths
from helicell.protein.report import build_report, write_protein_report
from helicell.protein.results import Results, read_results
from helicell.protein.structures import read_backbone, read_chains, write_backbone


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six chains of a crystal in two lengths and three formats, as two jobs would have written them."""
    top = tmp_path_factory.mktemp("samples")
    whole = read_chains(Path(str(resources.files("tmtools") / "data" / "2gtl.pdb")))
    places = [top / f"shard_{shard}_of_2" for shard in (1, 2)]
    for place in places:
        place.mkdir()
        (place / "settings.yaml").write_text(f"model: compact\nseed: 7\nsteps: 50\nshard: {place.name[6]}/2\n")
        Manifest("protein sample", seed=7, inputs={"model compact": "0123456789abcdef" * 4}).write(place)
    for index in range(6):
        kind = ("cif", "pdb", "bcif")[index % 3]
        path = places[index % 2] / f"sample_{index:06d}.{kind}"
        write_backbone(path, whole[index].coordinates[: 50 + 20 * (index % 2)], format=kind)
    return places


@pytest.fixture(scope="module")
def metrics(folders: list[Path]) -> Path:
    """What the evaluation writes for these folders."""
    chains = [read_backbone(path) for folder in folders for path in sorted(folder.glob("sample_*"))]
    file = folders[0].parent / "metrics.json"
    evaluate(chains, unreadable={"bad.cif": "truncated"}).write(file)
    return file


@pytest.fixture(scope="module")
def results(folders: list[Path], metrics: Path) -> Results:
    """The backbones with their measures."""
    return read_results(folders, metrics)


@pytest.fixture(scope="module")
def report(results: Results) -> Report:
    """The report of those results, with four structures in each gallery."""
    return build_report(results, title="Trial", structures=4)


def blocks(report: Report, kind: type) -> list:
    """All blocks of one kind at the top of the sections."""
    return [block for section in report.sections for block in section.blocks if isinstance(block, kind)]


def test_a_large_job_does_not_fill_the_page_with_checksums(
    folders: list[Path], metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the manifests name more files than anybody reads, the page has the checksum of each manifest instead."""
    monkeypatch.setattr("helicell.protein.results.SHOWN_OUTPUTS", 3)
    for folder in folders:
        manifest = Manifest.read(folder)
        outputs = {path.name: sha256(path) for path in sorted(folder.glob("sample_*"))}
        Manifest(manifest.kind, manifest.seed, manifest.inputs, outputs).write(folder)
    texts = read_results(folders, metrics).texts
    shown = json.loads(texts["SHA-256 of the manifests"])
    assert shown == {folder.name: sha256(folder / "manifest.json") for folder in folders}
    assert not any("sample_000000" in text for text in texts.values())
    for folder in folders:
        Manifest(manifest.kind, manifest.seed, manifest.inputs).write(folder)


def test_headline_figures_are_the_means(report: Report, results: Results) -> None:
    """Each tile shows the mean of its measure and the natural one where there is one; nothing is shown unmeasured."""
    (tiles,) = blocks(report, Tiles)
    shown = {tile.label: tile for tile in tiles.tiles}
    assert (
        shown["Cα–Cα distances in 3.6–4.0 Å"].value == f"{100 * results.evaluation.overall.means['ca_ca_valid']:.1f} %"
    )
    natural = results.evaluation.overall.natural
    assert shown["Cα–Cα distances in 3.6–4.0 Å"].detail == f"natural {100 * natural['ca_ca_valid']:.1f} %"
    structured = results.evaluation.overall.means["helix"] + results.evaluation.overall.means["strand"]
    assert shown["Helix and strand"].share == pytest.approx(structured)
    assert shown["Helix and strand"].reference_share == pytest.approx(natural["helix"] + natural["strand"])
    assert shown["TM-score between samples"].value == f"{results.evaluation.overall.means['pairwise_tm']:.2f}"
    assert "TM-score to nearest natural" not in shown


def test_table_sets_samples_beside_natural(report: Report, results: Results) -> None:
    """The table of measures has samples, interval and natural figure of every measure that was taken."""
    (table,) = blocks(report, Table)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.cells()}
    summary = results.evaluation.overall
    low, high = summary.intervals["helix"]
    assert rows["helix (DSSP)"] == [
        f"{summary.means['helix']:.3f}",
        f"{low:.3f} – {high:.3f}",
        f"{summary.natural['helix']:.3f}",
    ]
    assert float(rows["radius of gyration (A)"][0]) == pytest.approx(summary.means["rg"], abs=1e-3)
    assert not any("nearest reference" in label for label in rows)


def test_galleries_say_how_they_were_chosen(report: Report, results: Results) -> None:
    """The best and the unpicked are labelled as such; both spread over the lengths; texts are the files' own."""
    (viewer,) = blocks(report, Viewer)
    best, unpicked = viewer.galleries
    assert best.title == "Best"
    assert best.note.startswith("Picked: of each length, the samples with the fewest backbone clashes")
    assert unpicked.title == "Unpicked"
    assert unpicked.note.startswith("Not picked: of each length, the first samples")
    assert [structure.name for structure in unpicked.structures] == [
        "sample_000000",
        "sample_000002",
        "sample_000001",
        "sample_000003",
    ]
    first = unpicked.structures[0]
    assert first.text == results.paths[0].read_text()
    assert first.facts["Residues"] == "50"
    binary = unpicked.structures[1]
    assert results.paths[2].suffix == ".bcif"
    assert binary.format == "cif"
    assert binary.text.count("ATOM") == 4 * 50


def test_best_follows_its_rule() -> None:
    """Clashes come first, then bonds, then outliers; equals keep their order."""
    table = pd.DataFrame(
        {
            "name": list("abcdef"),
            "backbone_clashes": [1, 0, 0, 0, 0, 0],
            "ca_ca_valid": [1.0, 0.9, 1.0, 1.0, 1.0, 1.0],
            "c_n_valid": [1.0, 1.0, 0.95, 1.0, 1.0, 1.0],
            "phi_psi_outliers": [0.0, 0.0, 0.0, 0.1, 0.0, 0.0],
        }
    )
    assert "".join(best_first(table)["name"]) == "efdcba"


def test_many_lengths_are_spread_evenly() -> None:
    """With more lengths than places, the galleries show lengths from the shortest to the longest."""
    table = pd.DataFrame({"length": np.arange(60, 121)})
    assert spread_over_lengths(table, 4)["length"].tolist() == [60, 80, 100, 120]


def test_page_stands_alone_and_holds_the_structures(report: Report, results: Results) -> None:
    """The page refers to nothing outside, and its archive holds the files byte for byte."""
    page = render(report)
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []
    assert "url(http" not in page
    (archive,) = re.findall(r'href="data:application/zip;base64,([^"]+)"', page)
    with zipfile.ZipFile(io.BytesIO(b64decode(archive))) as files:
        stored = {name: files.read(name) for name in files.namelist()}
    assert stored == {path.name: path.read_bytes() for path in results.paths}
    assert "could not be read: 1 files: bad.cif (truncated)" in page
    assert page == render(build_report(results, title="Trial", structures=4)), "the same results give the same page"


def test_page_is_of_moderate_size(report: Report) -> None:
    """The viewer's library is most of the page; figures and structures stay small beside it."""
    assert len(render(report)) < 1_500_000


def test_results_are_in_the_order_of_generation(results: Results) -> None:
    """Whatever the order of the folders, rows, files and backbones belong together and go by number."""
    assert [path.stem for path in results.paths] == [f"sample_{index:06d}" for index in range(6)]
    assert results.evaluation.table["file"].tolist() == [path.stem for path in results.paths]
    assert results.evaluation.table["length"].tolist() == [len(chain) for chain in results.chains] == [50, 70] * 3


def test_provenance_names_what_made_the_samples(report: Report) -> None:
    """Model, seed, steps and checksums are on the page, with the settings and manifests of the jobs."""
    facts = report.provenance.facts
    assert (facts["Model"], facts["Seed"], facts["Steps"]) == ("compact", "7", "50")
    assert facts["SHA-256 of model compact"] == "0123456789abcdef..."
    assert facts["Samples"] == "6 in 2 folders"
    settings, manifests = report.provenance.texts.items()
    assert settings == ("settings.yaml of shard_1_of_2", "model: compact\nseed: 7\nsteps: 50\nshard: 1/2\n")
    assert manifests[0] == "manifest.json of shard_1_of_2, shard_2_of_2"


def test_measures_of_other_backbones_are_refused(folders: list[Path], metrics: Path, tmp_path: Path) -> None:
    """Folders that lack a measured backbone, and files that are no measures, are errors that say what to give."""
    with pytest.raises(InputError, match=r"metrics\.json measured sample_000001, which is not in .*shard_1_of_2; give"):
        read_results(folders[:1], metrics)
    with pytest.raises(InputError, match="helicell protein evaluate"):
        read_results(folders, tmp_path / "absent.json")


def test_reference_of_ones_own(results: Results, folders: list[Path], tmp_path: Path) -> None:
    """With a store as reference the figures show its chains; one without chains of such lengths is refused."""
    columns = {"predicted": [False] * 6, "globular": [True] * 6, "cluster30": list(range(6))}
    write_store(tmp_path / "near", results.chains, columns=columns)
    page = write_protein_report(results, tmp_path / "a.html", reference=ChainStore.open(tmp_path / "near"))
    assert "6 chains of 42-81 residues from near" in page.read_text()
    write_store(tmp_path / "short", [results.chains[0]], columns={name: values[:1] for name, values in columns.items()})
    far = read_results(folders, folders[0].parent / "metrics.json")
    far.evaluation.table["length"] = 400
    with pytest.raises(InputError, match="holds no natural chain of 340-460 residues"):
        write_protein_report(far, tmp_path / "b.html", reference=ChainStore.open(tmp_path / "short"))
    assert not (tmp_path / "b.html").exists()


def test_command_writes_the_report(run_cli, folders: list[Path], metrics: Path, tmp_path: Path) -> None:
    """The command prints the path of the page; bad input is one line and exit code 2, with nothing written."""
    out = tmp_path / "new" / "report.html"
    done = run_cli(
        "protein", "report", *folders, "--metrics", metrics, "--out", out, "--structures", 1, "--title", "Mine"
    )
    assert (done.code, done.out.strip()) == (0, str(out))
    assert "<title>Mine</title>" in out.read_text()
    for wrong, message in (
        ([tmp_path / "none", "--metrics", metrics], "is no folder"),
        ([folders[0], "--metrics", metrics], "which is not in"),
        ([*folders, "--metrics", folders[0] / "settings.yaml"], "helicell protein evaluate"),
        ([*folders, "--metrics", metrics, "--reference", tmp_path], "store"),
        ([*folders, "--metrics", metrics, "--structures", 0], "--structures"),
    ):
        failed = run_cli("protein", "report", *wrong, "--out", tmp_path / "bad" / "report.html")
        assert failed.code == 2
        assert failed.err.startswith("error: ")
        assert len(failed.err.splitlines()) == 1
        assert message in failed.err
    assert not (tmp_path / "bad").exists()
