"""Published checkpoints into models of this package: safetensors with a card.

A checkpoint of FrameFlow, QFlow or ReQFlow is a file of Lightning. Nothing in it is ever run; every name and shape of
its weights is compared with what its configuration says before a single number is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256
from helicell.core.training.archives import TensorRecord, TorchArchive
from helicell.core.training.checkpoint import save_checkpoint
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.configuration import OMEGACONF_NAMES, Configuration
from helicell.protein.published.settings import FrameDiffSettings

ARCHITECTURE = "framediff"
PREFIX = "model."
# A checkpoint that was saved in inference may carry the folding model along; it is no part of the network.
LEFT_OUT = "_folding_model."
LICENCE = "not stated by the checkpoint; see where it was published"
PUBLISHED_SCHEDULES = {"exp": "exponential", "linear": "linear"}
# As many names are told of those that are missing, and so on; the others are counted.
NAMES_TOLD = 8


@dataclass(frozen=True, slots=True)
class Converted:
    """What was converted.

    Attributes
    ----------
    model
        The file of the model.
    tensors, parameters
        How many tensors, and numbers in them.
    configuration
        Where the sizes of the network were read.
    network
        The sizes.
    """

    model: Path
    tensors: int
    parameters: int
    configuration: str
    network: FrameDiffSettings


def convert_checkpoint(
    checkpoint: str | Path, out: str | Path, *, config: str | Path | None = None, licence: str = LICENCE
) -> Converted:
    """Convert a published checkpoint.

    Parameters
    ----------
    checkpoint
        The .ckpt file.
    out
        The model file to write.
    config
        The config.yaml that belongs to it. Unless given, that inside the checkpoint is taken, or else a config.yaml
        beside it.
    licence
        Under which the weights may be used, for the card.

    Raises
    ------
    InputError
        If the file is damaged, asks for anything but tensors and settings, or a tensor is missing, unknown, of another
        shape than the configuration says, or not finite. Nothing is written then.
    """
    checkpoint = Path(checkpoint)
    archive = TorchArchive(checkpoint, allowed=OMEGACONF_NAMES)
    records = weight_records(archive)
    configuration = _configuration(archive, Path(config) if config else None)
    settings = configuration.network()
    check_shapes(records, settings, source=str(checkpoint), configuration=configuration.source)
    state = _finite(archive.tensors(records), checkpoint)
    card = {
        "title": f"Published SE(3) flow of protein backbones, from {checkpoint.name}",
        "architecture": ARCHITECTURE,
        "network": settings.to_mapping(),
        "sampling": configuration.sampling().to_mapping(),
        "losses": configuration.losses().to_mapping(),
        "licence": licence,
        "origin": {
            "file": checkpoint.name,
            "sha256": sha256(checkpoint),
            "rotation_schedule": PUBLISHED_SCHEDULES.get(str(configuration.get("interpolant.rots.sample_schedule"))),
            "data": _text(configuration.get("data.dataset")),
            "rectified": configuration.get("data.rectify") is True,
            **{key: value for key in ("epoch", "global_step") if isinstance(value := archive.content.get(key), int)},
        },
        "citations": list(FrameDiffNetwork.citations),
    }
    save_checkpoint(out, state, card)
    return Converted(
        Path(out), len(state), sum(tensor.numel() for tensor in state.values()), configuration.source, settings
    )


def weight_records(archive: TorchArchive) -> dict[str, TensorRecord]:
    """Return where the weights of the network are, by their names in it.

    Raises
    ------
    InputError
        If the file is no checkpoint of Lightning, or holds weights of something else.
    """
    state = archive.content.get("state_dict") if isinstance(archive.content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        message = f"{archive.path} is no checkpoint of Lightning: it has no state_dict"
        raise InputError(message)
    kept = {name: value for name, value in state.items() if not name.startswith(LEFT_OUT)}
    foreign = [name for name, value in kept.items() if not name.startswith(PREFIX) or type(value) is not TensorRecord]
    if foreign:
        message = f"{archive.path} holds what is no weight of the published network: {_told(foreign)}"
        raise InputError(message)
    return {name.removeprefix(PREFIX): value for name, value in kept.items()}


def check_shapes(
    records: Mapping[str, TensorRecord], settings: FrameDiffSettings, *, source: str, configuration: str
) -> None:
    """Compare names and shapes with those of a network of these sizes.

    Raises
    ------
    InputError
        If any differ; all kinds of differences are told with names.
    """
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in FrameDiffNetwork(settings).state_dict().items()}
    missing = [name for name in expected if name not in records]
    extra = [name for name in records if name not in expected]
    misshapen = [
        f"{name} {list(record.shape)} instead of {list(expected[name])}"
        for name, record in records.items()
        if name in expected and record.shape != expected[name]
    ]
    others = [name for name, record in records.items() if not record.dtype.is_floating_point]
    kinds = {"missing": missing, "unknown": extra, "of another shape": misshapen, "no real numbers": others}
    found = [f"{kind}: {_told(names)}" for kind, names in kinds.items() if names]
    if found:
        message = f"the weights in {source} do not fit {configuration}; {'; '.join(found)}"
        raise InputError(message)


def _configuration(archive: TorchArchive, config: Path | None) -> Configuration:
    if config is not None:
        return Configuration.from_yaml(config)
    inside = Configuration.from_pickle(archive.content, source=f"the configuration inside {archive.path}")
    if inside is not None:
        return inside
    beside = archive.path.with_name("config.yaml")
    if beside.is_file():
        return Configuration.from_yaml(beside)
    message = f"{archive.path} does not say how large its network is; give its config.yaml with --config"
    raise InputError(message)


def _finite(state: Mapping[str, Tensor], checkpoint: Path) -> dict[str, Tensor]:
    wrong = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if wrong:
        message = f"{checkpoint} holds weights that are not finite: {_told(wrong)}"
        raise InputError(message)
    return {name: tensor.float() for name, tensor in state.items()}


def _told(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMES_TOLD} more" if len(listed) > NAMES_TOLD else ""
    return f"{', '.join(listed[:NAMES_TOLD])}{more}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
