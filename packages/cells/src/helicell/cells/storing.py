"""A model of responses as one file: the weights as tensors, everything else in the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from helicell.cells.columns import Columns
from helicell.cells.conditions import Conditions
from helicell.cells.network import PopulationNetwork
from helicell.cells.responses import PopulationKey
from helicell.cells.settings import PopulationFlowSettings
from helicell.core.errors import InputError
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from helicell.cells.flow import PopulationFlow

ARCHITECTURE = "population flow"
EMBEDDING, PREPROCESSING, NETWORK = "embedding.", "preprocessing.", "network."


def save_model(model: PopulationFlow, path: str | Path) -> None:
    """Write a model; see `PopulationFlow.save`."""
    card = {
        **model.card,
        "architecture": ARCHITECTURE,
        "settings": model.settings.to_mapping(),
        "features": model.network.features,
        "columns": None if model.columns is None else model.columns.to_mapping(),
        "trained_on": [asdict(key) for key in model.trained_on],
        "populations": model.network.populations,
        "share of the flow": model.share,
        "conditions": model.conditions.describe(),
        "preprocessing": None if model.preprocessing is None else model.preprocessing.describe(),
    }
    tensors = {NETWORK + name: tensor for name, tensor in model.network.state_dict().items()}
    for name, vector in (model.conditions.embeddings or {}).items():
        tensors[EMBEDDING + name] = vector
    if model.preprocessing is not None:
        tensors |= {PREPROCESSING + name: tensor for name, tensor in model.preprocessing.state().items()}
    save_checkpoint(path, tensors, card)


def load_parts(path: str | Path) -> tuple[PopulationNetwork, Conditions, dict[str, Any]]:
    """Return network, conditions and all other arguments of the model in a file; see `PopulationFlow.load`."""
    tensors, card = load_checkpoint(path)
    if card.get("architecture") != ARCHITECTURE:
        message = f"{path} holds a model of architecture {card.get('architecture')!r}, expected {ARCHITECTURE!r}"
        raise InputError(message)
    told = dict(card["conditions"])
    embedded = told.pop("embedded")
    embeddings = None if embedded is None else {name: tensors[EMBEDDING + name] for name in embedded}
    conditions = Conditions(told.pop("treatments"), told.pop("cell_types"), embeddings=embeddings, **told)
    with torch.random.fork_rng(devices=[]):
        network = PopulationNetwork(
            PopulationFlowSettings.from_mapping(card["settings"], source=f"the card of {path}"),
            features=card["features"],
            conditions=conditions,
            populations=card["populations"],
            spread=float(tensors[NETWORK + "field.spread"]),
        )
    try:
        network.load_state_dict(part(tensors, NETWORK))
    except RuntimeError as error:
        message = f"the weights in {path} do not fit its own card: {' '.join(str(error).split())[:300]}"
        raise InputError(message) from error
    preprocessing = None
    if card["preprocessing"] is not None:
        from helicell.cells.preprocessing import Preprocessing

        preprocessing = Preprocessing.from_state(part(tensors, PREPROCESSING), card["preprocessing"])
    others = {
        "preprocessing": preprocessing,
        "columns": None if card["columns"] is None else Columns.from_mapping(card["columns"]),
        "trained_on": [PopulationKey(**key) for key in card["trained_on"]],
        "card": card,
    }
    return network, conditions, others


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
