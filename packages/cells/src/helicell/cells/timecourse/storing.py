"""A flow through time as one file: the weights as tensors, everything else in the card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from helicell.cells.conditions import Conditions
from helicell.cells.responses import PopulationKey
from helicell.cells.storing import NETWORK, PREPROCESSING, part
from helicell.cells.timecourse.courses import TimeColumns
from helicell.cells.timecourse.network import TimeNetwork
from helicell.cells.timecourse.settings import TimeFlowSettings
from helicell.core.errors import InputError
from helicell.core.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from helicell.cells.timecourse.flow import TimeCourseFlow

ARCHITECTURE = "time course flow"


def save_model(model: TimeCourseFlow, path: str | Path) -> None:
    """Write a model; see `TimeCourseFlow.save`."""
    card = {
        **model.card,
        "architecture": ARCHITECTURE,
        "settings": model.settings.to_mapping(),
        "features": model.network.features,
        "conditions": model.conditions.describe(),
        "courses": [[key.donor, key.condition, key.cell_type, key.dose] for key in model.keys],
        "times": list(model.times),
        "columns": None if model.columns is None else model.columns.to_mapping(),
        "preprocessing": None if model.preprocessing is None else model.preprocessing.describe(),
    }
    tensors = {NETWORK + name: tensor for name, tensor in model.network.state_dict().items()}
    if model.preprocessing is not None:
        tensors |= {PREPROCESSING + name: tensor for name, tensor in model.preprocessing.state().items()}
    save_checkpoint(path, tensors, card)


def load_parts(path: str | Path) -> tuple[TimeNetwork, Conditions, dict[str, Any]]:
    """Return network, conditions and all other arguments of the model in a file; see `TimeCourseFlow.load`."""
    tensors, card = load_checkpoint(path)
    if card.get("architecture") != ARCHITECTURE:
        message = f"{path} holds a model of architecture {card.get('architecture')!r}, expected {ARCHITECTURE!r}"
        raise InputError(message)
    told = {name: value for name, value in card["conditions"].items() if name != "embedded"}
    conditions = Conditions(told.pop("treatments"), told.pop("cell_types"), **told)
    keys = [PopulationKey(donor, condition, kind, dose) for donor, condition, kind, dose in card["courses"]]
    with torch.random.fork_rng(devices=[]):
        network = TimeNetwork(
            TimeFlowSettings.from_mapping(card["settings"], source=f"the card of {path}"),
            features=card["features"],
            conditions=conditions,
            courses=len(keys),
            spread=float(tensors[NETWORK + "field.spread"]),
        )
    network.load_state_dict(part(tensors, NETWORK))
    preprocessing = None
    if card["preprocessing"] is not None:
        from helicell.cells.preprocessing import Preprocessing

        preprocessing = Preprocessing.from_state(part(tensors, PREPROCESSING), card["preprocessing"])
    others = {
        "keys": keys,
        "times": (card["times"][0], card["times"][1]),
        "preprocessing": preprocessing,
        "columns": None if card["columns"] is None else TimeColumns.from_mapping(card["columns"]),
        "card": card,
    }
    return network, conditions, others
