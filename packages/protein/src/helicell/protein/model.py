"""Trained models: the network with the card that says how it came about and how it is best sampled."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helicell.core.errors import InputError
from helicell.core.runs.devices import choose_device
from helicell.core.runs.files import sha256
from helicell.core.runs.settings import Settings
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.settings import FrameDiffSampling, FrameDiffSettings
from helicell.protein.settings import NetworkSettings, SamplingDefaults

log = logging.getLogger(__name__)

WEIGHTS = Path(__file__).parent / "weights"
EMBEDDED = "compact"
# What is sampled when no model is named and fewer steps than these are asked for.
RECTIFIED = "rectified"
FEW_STEPS = 20
ARCHITECTURE = "compact"
# Architectures by the name in the card: the network, its sizes, and how it is sampled.
ARCHITECTURES: dict[str, tuple[type[nn.Module], type[Settings], type[Settings]]] = {
    ARCHITECTURE: (CompactNetwork, NetworkSettings, SamplingDefaults),
    "framediff": (FrameDiffNetwork, FrameDiffSettings, FrameDiffSampling),
}


@dataclass(frozen=True, slots=True)
class BackboneModel:
    """A denoiser of residue frames with its card.

    Attributes
    ----------
    network
        The network, in evaluation mode.
    sampling
        How it is sampled unless asked otherwise.
    card
        The model card: settings, data, licence, metrics.
    name
        Name of an embedded model, or of the file.
    checksum
        SHA-256 of the file.
    """

    network: CompactNetwork | FrameDiffNetwork
    sampling: SamplingDefaults | FrameDiffSampling
    card: Mapping[str, Any]
    name: str
    checksum: str


def embedded_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def default_model(steps: int | None = None) -> str:
    """Return the embedded model to sample with so many steps when none is named: the rectified one when they are few.

    It is said in the log when it is the rectified one.
    """
    if steps is None or not 1 <= steps < FEW_STEPS or RECTIFIED not in embedded_models():
        return EMBEDDED
    log.info("fewer than %d steps: sampling the model %s; name another with --model", FEW_STEPS, RECTIFIED)
    return RECTIFIED


def model_path(model: str | Path) -> Path:
    """Return the file of a model, given by the name of an embedded one or by a path.

    Raises
    ------
    InputError
        If there is no such model.
    """
    if str(model) in embedded_models():
        return WEIGHTS / f"{model}.safetensors"
    path = Path(model)
    if not path.is_file():
        known = ", ".join(embedded_models())
        message = (
            f"there is no model {str(model)!r}; give a .safetensors file, or one that comes with helicell: {known}"
        )
        raise InputError(message)
    return path


def load_model(model: str | Path = EMBEDDED, *, device: str = "auto") -> BackboneModel:
    """Load a model.

    Parameters
    ----------
    model
        Name of an embedded model or path of a .safetensors file.
    device
        "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    InputError
        If there is no such model, or the file is no model of this package.

    Examples
    --------
    >>> model = load_model(device="cpu")
    >>> model.name
    'compact'
    """
    path = model_path(model)
    state, card = load_checkpoint(path)
    architecture = card.get("architecture")
    if architecture not in ARCHITECTURES:
        message = f"{path} holds a model of architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        raise InputError(message)
    network_type, sizes, defaults = ARCHITECTURES[architecture]
    network = network_type(sizes.from_mapping(card["network"], source=f"the card of {path}"))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        message = f"the weights in {path} do not fit its own card: {' '.join(str(error).split())[:300]}"
        raise InputError(message) from error
    sampling = defaults.from_mapping(card["sampling"], source=f"the card of {path}")
    network = network.to(choose_device(device)).eval().requires_grad_(requires_grad=False)
    return BackboneModel(network, sampling, card, name=path.stem, checksum=sha256(path))  # type: ignore[arg-type]


def save_model(
    path: str | Path, network: CompactNetwork, *, sampling: SamplingDefaults, card: Mapping[str, Any]
) -> None:
    """Write a model as safetensors, weights in half precision, with its card inside.

    Parameters
    ----------
    path
        The file.
    network
        The network.
    sampling
        How it is best sampled.
    card
        Everything else worth knowing: data, training settings, licence, metrics.
    """
    required = {
        "architecture": ARCHITECTURE,
        "network": network.settings.to_mapping(),
        "sampling": sampling.to_mapping(),
    }
    save_checkpoint(path, network.state_dict(), {**card, **required}, dtype=torch.float16)
