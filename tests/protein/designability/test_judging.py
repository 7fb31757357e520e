"""The job from end to end, with the real ProteinMPNN and a folding network of the real class, tiny and random."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from backbones import random_batch
from folding import save_random_fold
from helicell.core.runs.manifest import Manifest
from helicell.protein.chains.store import write_store
from helicell.protein.evaluation.similarity import tm_score
from helicell.protein.frames import Frames, backbone_from_frames
from helicell.protein.structures import read_backbone, write_backbone

pytest.importorskip("transformers")
pytest.importorskip("protein_mpnn_utils")

LENGTHS = (24, 31, 24, 18)
OPTIONS = ("--sequences", "2", "--device", "cpu", "--workers", "1", "--quiet")


def contents(folder: Path) -> dict[str, str]:
    """Return the checksums of all files but the log and the status, which hold times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("log.jsonl", "status.json")
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with backbones, a damaged file among them, and the weights of the folding network."""
    folder = tmp_path_factory.mktemp("designability")
    for number, length in enumerate(LENGTHS):
        frames = random_batch([length], seed=number).frames
        # Extended chains with some noise: enough like proteins to be read.
        steps = torch.arange(length)[:, None] * torch.tensor([3.3, 0.0, 0.0])
        moved = Frames(0.1 * frames.translations[0] + steps, frames.quaternions[0])
        write_backbone(folder / "backbones" / f"b{number}.cif", backbone_from_frames(moved).float().numpy())
    (folder / "backbones" / "x.pdb").write_text("nothing")
    save_random_fold(folder / "weights")
    return folder


@pytest.fixture(scope="module")
def judged(work: Path) -> Path:
    """Return the folder of a finished job."""
    from helicell.core.cli import main

    arguments = ["protein", "designability", work / "backbones", "--folding", work / "weights", "--out", work / "out"]
    assert main([*map(str, arguments), *OPTIONS]) == 0
    return work / "out"


def test_tables_agree_with_the_structures(work: Path, judged: Path) -> None:
    """Each structure lies over its backbone, has the sequence of the best row, and the distances that the row tells."""
    table, sequences = pd.read_csv(judged / "designability.csv"), pd.read_csv(judged / "sequences.csv")
    assert table["file"].tolist() == [f"b{i}.cif" for i in range(4)]
    assert table["length"].tolist() == list(LENGTHS)
    assert len(sequences) == 8
    for best in table.itertuples():
        rows = sequences[sequences["file"] == best.file]
        assert rows["score"].is_monotonic_increasing
        assert best.rmsd == rows["rmsd"].min()
        chosen = rows[rows["rank"] == best.rank].iloc[0]
        backbone, fold = read_backbone(work / "backbones" / best.file), read_backbone(judged / best.file)
        assert fold.sequence == chosen["sequence"]
        # The structure was moved onto the backbone: its distances are those after superposition.
        distances = np.linalg.norm(fold.coordinates[:, 1] - backbone.coordinates[:, 1], axis=1)
        assert np.sqrt(np.mean(distances**2)) == pytest.approx(chosen["rmsd"], abs=2e-3)
        assert distances.mean() == pytest.approx(chosen["mean_displacement"], abs=2e-3)
        assert tm_score(backbone.coordinates[:, 1], fold.coordinates[:, 1]).by_first == pytest.approx(
            chosen["tm_score"], abs=2e-3
        )
    assert sequences["plddt"].between(0, 100).all()


def test_metrics_and_manifest(judged: Path) -> None:
    """Shares are those of the table, the damaged file is named with its reason, and every file has its checksum."""
    metrics = json.loads((judged / "metrics.json").read_text())
    table = pd.read_csv(judged / "designability.csv")
    assert metrics["overall"]["designable"] == (table["rmsd"] < 2).mean()
    assert metrics["overall"]["rmsd"]["mean"] == pytest.approx(table["rmsd"].mean(), rel=1e-4)
    assert set(metrics["by_length"]) == {"10-19", "20-29", "30-39"}
    assert "x.pdb" in metrics["unreadable"]
    manifest = Manifest.read(judged)
    assert manifest.changed_outputs(judged) == []
    assert {"b0.cif", "weights model.safetensors", "weights vanilla v_48_020"} <= set(manifest.inputs)
    assert {"b0.cif", "sequences.csv", "designability.csv", "metrics.json"} <= set(manifest.outputs)


@pytest.mark.parametrize("lost", ["rows", "file", "all"])
def test_a_resumed_job_ends_with_the_same_bytes(
    work: Path, judged: Path, tmp_path: Path, run_cli: Callable, lost: str
) -> None:
    """Whatever a killed job left behind, resuming it gives the folder that an uninterrupted one gives."""
    out = shutil.copytree(judged, tmp_path / "out")
    for name in ("manifest.json", "metrics.json", "designability.csv"):
        (out / name).unlink()
    if lost == "rows":
        text = (out / "sequences.csv").read_text()
        (out / "sequences.csv").write_text(text[: len(text) // 2])
    elif lost == "file":
        (out / "b2.cif").unlink()
    else:
        (out / "sequences.csv").unlink()
    arguments = ("protein", "designability", work / "backbones", "--folding", work / "weights", "--out", out)
    refused = run_cli(*arguments, *OPTIONS)
    assert (refused.code, "--resume" in refused.err) == (2, True)
    done = run_cli(*arguments, *OPTIONS, "--resume")
    assert done.code == 0, done.err
    assert contents(out) == contents(judged)


def test_novelty_against_a_store(work: Path, tmp_path: Path, run_cli: Callable) -> None:
    """A store that holds a backbone itself is its nearest chain, with a score of one."""
    chain = read_backbone(work / "backbones" / "b1.cif")
    write_store(tmp_path / "store", [chain])
    (tmp_path / "in").mkdir()
    shutil.copy(work / "backbones" / "b1.cif", tmp_path / "in")
    done = run_cli(
        "protein", "designability", tmp_path / "in", "--folding", work / "weights", "--out", tmp_path / "out",
        "--reference", tmp_path / "store", "--threshold", "1000", "--json", *OPTIONS,
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["novelty"]["reference"]["designable"] == pytest.approx(1, abs=1e-3)
    assert told["overall"]["designable"] == 1
    assert told["diversity"]["folds"] == {"single": 1, "average": 1, "complete": 1}
    table = pd.read_csv(tmp_path / "out" / "designability.csv")
    assert table["reference_nearest"].tolist() == [chain.name]


def test_shards_are_judged_as_one_and_apart_alike(work: Path, judged: Path, tmp_path: Path, run_cli: Callable) -> None:
    """Sequences depend on a backbone's name alone: two folders give the table of one, a folder by itself its part."""
    for number in range(len(LENGTHS)):
        shard = tmp_path / f"shard{number % 2}"
        shard.mkdir(exist_ok=True)
        shutil.copy(work / "backbones" / f"b{number}.cif", shard)
    for shards in (("shard0", "shard1"), ("shard1",)):
        out = tmp_path / f"out{len(shards)}"
        folders = [tmp_path / shard for shard in shards]
        done = run_cli("protein", "designability", *folders, "--folding", work / "weights", "--out", out, *OPTIONS)
        assert done.code == 0, done.err
        told = pd.read_csv(out / "sequences.csv").set_index(["file", "rank"])
        whole = pd.read_csv(judged / "sequences.csv").set_index(["file", "rank"]).loc[told.index]
        assert told["sequence"].tolist() == whole["sequence"].tolist()
        assert told["rmsd"].to_numpy() == pytest.approx(whole["rmsd"].to_numpy(), abs=1e-3)


def test_what_is_absent_is_told_before_anything_is_made(
    work: Path, tmp_path: Path, run_cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of either network, the program Foldseek: one line, exit code 2, and no folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    given = ("protein", "designability", work / "backbones", "--out", tmp_path / "out")
    for options, reason in (
        (("--folding", tmp_path / "nowhere"), "hf download"),
        (("--folding", work / "weights", "--weights", "v_48_200"), "did you mean"),
        (("--folding", work / "weights", "--foldseek", tmp_path), "foldseek is not on the PATH"),
        (("--folding", work / "weights", "--reference", tmp_path), "no chain store"),
    ):
        done = run_cli(*given, *options)
        assert done.code == 2, done.err
        assert reason in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
