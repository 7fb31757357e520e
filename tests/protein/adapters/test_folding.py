"""ESMFold: what its own class predicts, in any company and in bounded memory; weights that cannot be used are refused.

The network is of the real class, tiny and random. The tests are skipped where transformers (the extra `folding`) is not
installed.
"""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from folding import save_random_fold
from helicell.core.errors import InputError, MissingPackageError
from helicell.protein.adapters import folding
from helicell.protein.adapters.folding import CA, ESMFold, chunk_size_for, fold_batches, weights_folder

needs_package = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
SEQUENCES = ("MKVLAGHHWYDEQRNSTPFCI", "GSPEELLKKAEELIKRGKE", "MADEKLAGHW")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random ESMFold."""
    return save_random_fold(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def folder(weights: Path) -> ESMFold:
    """Return that network, loaded."""
    return ESMFold(weights, device="cpu")


@needs_package
def test_structures_are_those_of_the_class(weights: Path, folder: ESMFold) -> None:
    """N, CA, C, O and the pLDDT are what the package's own `infer` gives for each sequence; they depend on it."""
    from transformers import EsmForProteinFolding

    network = EsmForProteinFolding.from_pretrained(weights, local_files_only=True).float().eval()
    folds = folder.fold(SEQUENCES)
    for sequence, fold in zip(SEQUENCES, folds, strict=True):
        with torch.inference_mode():
            expected = network.infer([sequence])
        assert fold.coordinates.shape == (len(sequence), 4, 3)
        assert fold.coordinates == pytest.approx(expected["positions"][-1, 0, :, :4].numpy(), abs=1e-3)
        assert fold.plddt == pytest.approx(100 * expected["plddt"][0, :, CA].numpy(), abs=1e-2)
        assert ((fold.plddt > 0) & (fold.plddt < 100)).all()
        bonds = np.linalg.norm(fold.coordinates[:, 1] - fold.coordinates[:, 0], axis=-1)
        assert bonds == pytest.approx(np.full(len(sequence), 1.46), abs=0.01)
    other = folder.fold([SEQUENCES[0].replace("W", "A")])[0]
    assert np.abs(other.coordinates - folds[0].coordinates).max() > 0.01


@needs_package
def test_company_and_pieces_do_not_change_a_structure(
    weights: Path, folder: ESMFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one padded batch, in small batches, or with the attention in pieces: the same to rounding."""
    together = folder.fold(SEQUENCES)
    in_pieces = ESMFold(weights, device="cpu", chunk_size=3).fold(SEQUENCES)
    monkeypatch.setattr(folding, "PAIRS_PER_BATCH", 1)
    alone = folder.fold(SEQUENCES)
    for fold, piece, single in zip(together, in_pieces, alone, strict=True):
        assert piece.coordinates == pytest.approx(fold.coordinates, abs=1e-3)
        assert single.coordinates == pytest.approx(fold.coordinates, abs=1e-3)
        assert single.plddt == pytest.approx(fold.plddt, abs=1e-2)


def test_batches_hold_a_bounded_number_of_pairs() -> None:
    """Every sequence once, like lengths together, padded pairs within the bound unless a sequence is alone."""
    lengths = [*np.random.default_rng(0).integers(20, 300, 199).tolist(), 900]
    batches = fold_batches(lengths)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) ** 2 <= folding.PAIRS_PER_BATCH
    assert len(batches) < 50
    for length in (100, 400, 2000):
        held = chunk_size_for(length) * folding.ATTENTION_HEADS * length**2
        assert held <= folding.ATTENTION_ENTRIES


@needs_package
@pytest.mark.parametrize(("name", "dtype"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_half_precision_is_that_of_the_language_model(
    weights: Path, folder: ESMFold, name: str, dtype: torch.dtype
) -> None:
    """The folding part stays in float32, and structures move by little; on the CPU "auto" is float32 throughout."""
    half = ESMFold(weights, device="cpu", precision=name)
    assert {p.dtype for p in half.network.esm.parameters()} == {dtype}
    assert {p.dtype for p in half.network.trunk.parameters()} == {torch.float32}
    assert {p.dtype for p in folder.network.parameters()} == {torch.float32}
    exact, near = folder.fold(SEQUENCES[:1])[0], half.fold(SEQUENCES[:1])[0]
    assert 0 < np.abs(near.coordinates - exact.coordinates).max() < 0.5
    with pytest.raises(InputError, match="unknown precision 'half'"):
        ESMFold(weights, precision="half")


@needs_package
def test_weights_are_found_in_the_cache_by_name(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up in the cache of the model hub; what is not there is never downloaded, but told how to get."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"neither a folder nor in the cache .* `hf download facebook/esmfold_v1`"):
        ESMFold(device="cpu")
    place = tmp_path / "models--facebook--esmfold_v1"
    shutil.copytree(weights, place / "snapshots" / ("0" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    assert len(ESMFold(device="cpu").fold(["MKV"])[0].plddt) == 3


@needs_package
def test_weights_that_cannot_be_used_are_refused(weights: Path, tmp_path: Path) -> None:
    """A tensor that is absent or misshapen, another network, a damaged file, an empty folder: each with its reason."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights / "model.safetensors")
    name = "trunk.recycle_s_norm.weight"
    for change, reason in ({name: None}, f"lack {name}"), ({name: torch.ones(3)}, "recycle_s_norm|cannot be loaded"):
        bad = shutil.copytree(weights, tmp_path / reason[:4], dirs_exist_ok=True)
        kept = {key: value for key, value in (tensors | change).items() if value is not None}
        save_file(kept, bad / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=reason):
            ESMFold(bad, device="cpu")
    damaged = shutil.copytree(weights, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match="cannot be loaded as ESMFold"):
        ESMFold(damaged, device="cpu")
    other = shutil.copytree(weights, tmp_path / "other")
    settings = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(settings | {"is_folding_model": False, "esmfold_config": None}))
    with pytest.raises(InputError, match="cannot be loaded as ESMFold"):
        ESMFold(other, device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no config\.json with weights"):
        weights_folder(tmp_path / "empty")


@needs_package
def test_what_published_weights_lack_is_not_needed(weights: Path, folder: ESMFold, tmp_path: Path) -> None:
    """Without the language model's head for contacts, and with a tensor of older versions, structures are the same."""
    from safetensors.torch import load_file, save_file

    published = shutil.copytree(weights, tmp_path / "published")
    tensors = load_file(weights / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("esm.contact_head.")}
    assert len(kept) < len(tensors)
    kept["esm.embeddings.position_ids"] = torch.arange(8)[None]
    save_file(kept, published / "model.safetensors", metadata={"format": "pt"})
    given, expected = ESMFold(published, device="cpu").fold(SEQUENCES[:1])[0], folder.fold(SEQUENCES[:1])[0]
    assert given.coordinates == pytest.approx(expected.coordinates, abs=1e-5)


@needs_package
@pytest.mark.parametrize("sequence", ["", "MKVX", "mkv"])
def test_letters_that_cannot_be_folded(folder: ESMFold, sequence: str) -> None:
    """An empty sequence, and letters beyond the twenty."""
    with pytest.raises(InputError, match="cannot fold"):
        folder.fold(["MKV", sequence])


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without transformers the message says how to install it."""
    monkeypatch.setattr(folding, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"helicell\[folding\]"):
        weights_folder("anything")
