"""Checkpoints: what is saved comes back, and nothing else is taken for a checkpoint."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from helicell.core.errors import InputError
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

CARD = {"settings": {"width": 8}, "licence": "Apache-2.0", "metrics": {"loss": 0.25}, "note": "Schrödinger"}


def state(seed=0):
    """Return tensors of many kinds: transposed, integer, bfloat16, scalar, empty, and two that share memory."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 5, generator=generator)
    return {
        "weight": weight,
        "transposed": weight.T,
        "tied": weight,
        "count": torch.arange(4),
        "small": torch.randn(2, generator=generator).bfloat16(),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
    }


def test_weights_and_card_come_back_bit_for_bit(tmp_path):
    """Every tensor has its values, shape and dtype again, and the card is equal."""
    save_checkpoint(tmp_path / "a.safetensors", state(), CARD)
    weights, card = load_checkpoint(tmp_path / "a.safetensors")
    assert card == CARD
    assert weights.keys() == state().keys()
    for name, tensor in state().items():
        assert weights[name].dtype == tensor.dtype
        assert torch.equal(weights[name], tensor)


def test_float16_halves_the_file_and_loads_in_the_old_dtypes(tmp_path):
    """Storage in float16 rounds floating-point weights to float16 and touches nothing else."""
    tensors = {"weight": torch.randn(200, 200, generator=torch.Generator().manual_seed(1)), "count": torch.arange(9)}
    for name, dtype in (("full", None), ("half", torch.float16)):
        save_checkpoint(tmp_path / name, tensors, CARD, dtype=dtype)
    weights, _ = load_checkpoint(tmp_path / "half")
    assert weights["weight"].dtype == torch.float32
    assert torch.equal(weights["weight"], tensors["weight"].half().float())
    assert torch.equal(weights["count"], tensors["count"])
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "full").stat().st_size


def test_weights_too_large_for_float16_are_refused(tmp_path):
    """A weight does not become infinite without a word, and no file is left."""
    with pytest.raises(InputError, match="'weight' is too large for float16"):
        save_checkpoint(tmp_path / "a", {"weight": torch.tensor([1e6])}, {}, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_the_same_model_is_the_same_file(tmp_path):
    """Saving twice, and saving what was loaded, gives the same bytes."""
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_checkpoint(first, state(), CARD)
    for _ in range(5):
        save_checkpoint(second, *load_checkpoint(first))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("card", [{"a": torch.ones(1)}, {"a": float("nan")}, {"a": {1, 2}}])
def test_a_card_that_is_no_json_is_refused(tmp_path, card):
    """What JSON cannot say is refused before anything is written."""
    with pytest.raises(InputError, match="model card is no JSON"):
        save_checkpoint(tmp_path / "a", state(), card)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_tensors_is_refused(tmp_path):
    """An empty state is a mistake of the caller."""
    with pytest.raises(InputError, match="no tensor"):
        save_checkpoint(tmp_path / "a", {}, CARD)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    """Whatever the place of the cut, the error is one line that names the file."""
    file = tmp_path / "a.safetensors"
    save_checkpoint(file, state(), CARD)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"a\.safetensors is damaged") as caught:
        load_checkpoint(file)
    assert "\n" not in str(caught.value)


def test_one_flipped_bit_is_found(tmp_path):
    """A changed weight is found, although safetensors itself would load it."""
    file = tmp_path / "a.safetensors"
    save_checkpoint(file, state(), CARD)
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(file)


def test_pickles_are_refused_unread(tmp_path):
    """Neither a pickle nor a file of torch.save is opened, whatever its suffix."""
    torch.save(state(), tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(pickle.dumps({"weight": 1}))
    for name in ("a", "b"):
        with pytest.raises(InputError, match="is a pickle"):
            load_checkpoint(tmp_path / f"{name}.safetensors")


def test_a_header_of_any_length_is_no_pickle(tmp_path):
    """One length of header in 32 begins with the byte that pickles begin with; such files are read like all others."""
    file, starts = tmp_path / "model.safetensors", set()
    for width in range(0, 256, 8):
        card = {**CARD, "note": "x" * width}
        save_checkpoint(file, state(), card)
        starts.add(file.read_bytes()[0])
        assert load_checkpoint(file)[1]["note"] == "x" * width
    assert 0x80 in starts


def test_missing_files_folders_and_missing_cards_are_refused(tmp_path):
    """Each mistake has its own message."""
    with pytest.raises(InputError, match="No such file"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="Is a directory"):
        load_checkpoint(tmp_path)
    save_file({"weight": torch.ones(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(InputError, match="no model card"):
        load_checkpoint(tmp_path / "plain.safetensors")


def test_an_earlier_checkpoint_survives_a_failed_save(tmp_path):
    """A save that fails leaves the file that was there."""
    file = tmp_path / "a.safetensors"
    save_checkpoint(file, state(), CARD)
    with pytest.raises(InputError):
        save_checkpoint(file, state(), {"a": object()})
    assert load_checkpoint(file)[1] == CARD
