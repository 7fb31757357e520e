"""Checkpoints become models with the same weights, or are refused with the names of what does not fit."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from framediff import CONFIG, SMALL, random_network, write_checkpoint
from helicell.core.errors import InputError
from helicell.core.training.checkpoint import load_checkpoint
from helicell.protein.model import load_model
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.conversion import convert_checkpoint


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Return the weights of a small network."""
    return dict(random_network().state_dict())


def test_the_model_has_the_weights_and_a_card(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    """Every weight to the bit; the card says sizes, times, losses and where it all comes from."""
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", state)
    converted = convert_checkpoint(checkpoint, tmp_path / "model.safetensors", licence="MIT")
    assert converted.tensors == len(state)
    assert converted.parameters == sum(tensor.numel() for tensor in state.values())
    assert converted.configuration == f"the configuration inside {checkpoint}"
    model = load_model(tmp_path / "model.safetensors", device="cpu")
    assert isinstance(model.network, FrameDiffNetwork)
    assert model.network.settings == SMALL
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert model.card["licence"] == "MIT"
    assert model.card["origin"]["rotation_schedule"] == "exponential"
    assert model.card["origin"]["rectified"] is True
    assert (model.card["origin"]["epoch"], model.card["origin"]["global_step"]) == (7, 1234)
    assert (model.sampling.steps, model.sampling.rotation_rate, model.sampling.least_time) == (12, 8, 0.02)
    assert model.sampling.rotation_schedule == "clamped"
    assert (model.card["losses"]["structure_from"], model.card["losses"]["latest_scale"]) == (0.25, 0.8)


def test_the_configuration_may_lie_beside_or_be_given(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    """Without one inside, config.yaml beside the file is taken; a given one wins over both."""
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", state, config=None)
    with pytest.raises(InputError, match="--config"):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    assert convert_checkpoint(checkpoint, tmp_path / "a.safetensors").configuration == str(tmp_path / "config.yaml")
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"model": CONFIG["model"]}))
    assert convert_checkpoint(checkpoint, tmp_path / "b.safetensors", config=other).configuration == str(other)
    assert load_checkpoint(tmp_path / "b.safetensors")[1]["sampling"]["steps"] == 100


def test_other_precisions_and_a_folding_model_along_with_it(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    """Weights in half precision are widened; the folding model that an inference module carries is left out."""
    checkpoint = write_checkpoint(
        tmp_path / "last.ckpt",
        {},
        state_dict={
            **{f"model.{name}": tensor.to(torch.bfloat16) for name, tensor in state.items()},
            "_folding_model.trunk.weight": torch.ones(3),
        },
    )
    convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    weights, _ = load_checkpoint(tmp_path / "model.safetensors")
    assert set(weights) == set(state)
    for name, tensor in weights.items():
        assert torch.equal(tensor, state[name].to(torch.bfloat16).float())


BIAS, LAST = "node_feature_net.linear.bias", "trunk.bb_update_2.linear.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({BIAS: None}, rf"missing: {BIAS}"),
        ({"trunk.extra.weight": torch.ones(2)}, r"unknown: trunk\.extra\.weight"),
        ({LAST: torch.ones(6, 31)}, rf"of another shape: {LAST} \[6, 31\] instead of \[6, 32\]"),
        ({LAST: torch.ones(32, 6).t()[:, :31]}, r"of another shape"),
        ({LAST: torch.ones(6, 32, dtype=torch.int64)}, rf"no real numbers: {LAST}"),
        ({LAST: torch.full((6, 32), torch.nan)}, rf"not finite: {LAST}"),
        ({BIAS: None, "more": torch.ones(1), LAST: torch.ones(1)}, r"missing: .*; unknown: more; of another shape: "),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, state: dict[str, torch.Tensor], change: dict[str, Any], words: str
) -> None:
    """A missing, extra or misshapen tensor is named, several at once too, and nothing is written."""
    changed = {name: tensor for name, tensor in {**state, **change}.items() if tensor is not None}
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", changed)
    with pytest.raises(InputError, match=words):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_many_names_are_counted(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    """Of a whole block that is missing, some names stand in the error and the rest are counted."""
    kept = {name: tensor for name, tensor in state.items() if "_2." not in name}
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", kept)
    with pytest.raises(InputError, match=r"missing: trunk\.\S+, .* and \d+ more"):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state_dict": {"encoder.weight": torch.ones(2)}}, r"no weight of the published network: encoder\.weight"),
        ({"state_dict": {"model.a": "text"}}, r"no weight of the published network: model\.a"),
        ({"state_dict": {}}, "no state_dict"),
        ({"state_dict": [1, 2]}, "no state_dict"),
    ],
)
def test_other_checkpoints_are_told_apart(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    """A checkpoint of something else, or without weights, is none of this network."""
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", {}, **more)
    with pytest.raises(InputError, match=words):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")


class Evil:
    """Something whose unpickling runs a program."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch evil",))


def test_a_checkpoint_that_asks_for_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor]
) -> None:
    """A call hidden among the callbacks is named and never run."""
    monkeypatch.chdir(tmp_path)
    checkpoint = write_checkpoint(Path("last.ckpt"), state, callbacks={"a": Evil()})
    with pytest.raises(InputError, match=r"asks for posix\.system, which no checkpoint needs"):
        convert_checkpoint(checkpoint, "model.safetensors")
    assert not Path("evil").exists()
    assert not Path("model.safetensors").exists()


def changed(key: str, value: Any) -> dict[str, Any]:
    """Return the configuration with one value changed, given by its path under `model`."""
    tree = yaml.safe_load(yaml.safe_dump(CONFIG))
    *path, last = key.split(".")
    branch = tree["model"]
    for part in path:
        branch = branch[part]
    branch[last] = value
    return tree


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": 1}, "no key 'model'"),
        (changed("ipa.num_blocks", None), r"model\.ipa\.num_blocks missing"),
        (changed("ipa.num_blocks", 10**9), r"blocks is 1000000000: input should be less"),
        (changed("ipa.num_blocks", "${model.ipa.num_blocks}"), r"model\.ipa\.num_blocks missing"),
        (changed("node_embed_size", "many"), "width is"),
        (changed("symmetric", True), r"model\.symmetric is True; only networks with False are known"),
        (changed("edge_features.embed_chain", True), r"embed_chain is True"),
        (changed("node_embed_size", 64), "of another shape"),
    ],
)
def test_configurations_that_do_not_fit(
    tmp_path: Path, state: dict[str, torch.Tensor], tree: dict[str, Any], words: str
) -> None:
    """What is missing, senseless, circular or a variant that is not known is named."""
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", state, config=None)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match=words):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not valid YAML"), ("- 1", "no mapping"), ("a: !!python/name:os.system", "not valid YAML")],
)
def test_configuration_files_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    """Broken YAML, a list, and YAML that would make Python objects are refused."""
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", random_network().state_dict(), config=None)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")


def test_the_published_small_checkpoint(tmp_path: Path, fixtures_dir: Path) -> None:
    """The checkpoint laid out like the released ones converts, alike from its own and from the given configuration."""
    folder = fixtures_dir / "framediff-small"
    inside = convert_checkpoint(folder / "small.ckpt", tmp_path / "a.safetensors")
    given = convert_checkpoint(folder / "small.ckpt", tmp_path / "b.safetensors", config=folder / "config.yaml")
    assert inside.network == given.network
    assert inside.parameters == 244_412
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
