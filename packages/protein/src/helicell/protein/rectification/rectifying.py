"""One round of rectification, from a model to a straighter one, in a run folder that a killed job goes on in.

RUN/pairs/             the pairs, see `helicell.protein.rectification.sampling`
RUN/last.ckpt          the training's last checkpoint
RUN/model.safetensors  the rectified model with its card
RUN/metrics.json       pairs kept, losses on pairs held out, straightness before and after
RUN/settings.yaml, manifest.json, log.jsonl   as in every run folder
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from helicell.core.citations import cited
from helicell.core.errors import InputError
from helicell.core.runs.folder import RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.training.fit import fit
from helicell.core.training.module import FlowTraining
from helicell.protein.chains.batching import pack
from helicell.protein.chains.store import ChainStore
from helicell.protein.flow import BackboneBatch
from helicell.protein.generation import SamplingOptions, generate
from helicell.protein.model import BackboneModel, load_model, save_model
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.rectification.inversion import invert_pairs
from helicell.protein.rectification.objective import RectificationObjective
from helicell.protein.rectification.pairs import FramePairs, PairBatches
from helicell.protein.rectification.sampling import PAIRS, check_pair_settings, fitting, sample_pairs
from helicell.protein.rectification.settings import RectificationSettings
from helicell.protein.rectification.straightness import BackboneStraightness, backbone_straightness
from helicell.protein.training import MODEL, last_validation

# Every so many pairs, one is held out for the validation loss.
HELD_OUT_EVERY = 20
# Straightness is measured on so many walks of so many steps, from noise that no pair began with.
WALKS, WALK_LENGTH, WALK_STEPS = 8, 80, 50


@cited("liu2023flow", "yue2025reqflow")
def rectify_to_folder(
    settings: RectificationSettings,
    out: str | Path,
    *,
    store: ChainStore | None = None,
    resume: bool = False,
    device: str = "auto",
    advance: Callable[[int], None] = lambda _: None,
    **options: Any,
) -> Path:
    """Sample pairs, train one round on them, measure, and return the file of the rectified model.

    Parameters
    ----------
    settings
        Everything that determines the run.
    out
        The folder; absent or empty, or with `resume` that of an interrupted run with the same settings.
    store
        Real chains, where the settings ask for inverted ones.
    resume
        Keep the pairs that are there, and go on from the last checkpoint.
    device
        "auto", "cpu", "cuda" or "mps": where pairs are sampled.
    advance
        Called with the number of pairs just done.
    **options
        Passed to `helicell.core.training.fit.fit`: `progress`, `accelerator` and such.

    Raises
    ------
    InputError
        If settings, model or folder do not fit, or too few pairs keep the limits.
    """
    check_pair_settings(settings.pairs)
    model = load_model(settings.model, device=device)
    network = check_model(model)
    if settings.inverted and store is None:
        message = (
            f"{settings.inverted} real chains are to be inverted; give their store, from `helicell protein import`"
        )
        raise InputError(message)
    folder = RunFolder.create(out, settings, resume=resume)
    pairs, measures = sample_pairs(model, settings.pairs, folder.path / PAIRS, progress=advance)
    keep = fitting(measures, settings.pairs)
    chosen = pairs.select(keep)
    inputs = {f"model {model.name}": model.checksum}
    if settings.inverted and store is not None:
        inverted = invert_pairs(model, store, settings.pairs, folder.path / PAIRS, count=settings.inverted)
        chosen = FramePairs.joined([chosen, inverted])
        inputs["store"] = store.fingerprint
    counts = {"sampled": len(pairs), "kept": int(keep.sum()), "inverted": settings.inverted}
    folder.log("pairs", **counts)
    before = walk_straightness(model, settings.seed)
    straight = train_on_pairs(network, chosen, settings, folder=folder.path, resume=resume, **options)
    validation = last_validation(folder)
    metrics: dict[str, Any] = {
        "pairs": counts,
        "validation": validation,
        "straightness": {"before": asdict(before)},
    }
    card = {
        "title": "Compact quaternion flow of protein backbones, rectified",
        "licence": model.card.get("licence"),
        "base": {"name": model.name, "sha256": model.checksum},
        "data": model.card.get("data"),
        "rectification": settings.to_mapping(),
        **metrics,
    }
    path = folder.path / MODEL
    save_model(path, straight, sampling=settings.sampling, card=card)
    metrics["straightness"]["after"] = asdict(walk_straightness(load_model(path, device=device), settings.seed))
    save_model(path, straight, sampling=settings.sampling, card=card | metrics)
    folder.write_metrics(metrics)
    outputs = [file.relative_to(folder.path).as_posix() for file in sorted((folder.path / PAIRS).iterdir())]
    folder.finish(
        Manifest(
            "protein rectify",
            seed=settings.seed,
            inputs=inputs,
            outputs=checksums(folder.path, [*outputs, MODEL]),
        )
    )
    return path


def check_model(model: BackboneModel) -> CompactNetwork:
    """Return the network of a model that can be rectified.

    Raises
    ------
    InputError
        If it is a published one, which is trained elsewhere.
    """
    if not isinstance(model.network, CompactNetwork):
        message = f"the model {model.name} is a published network, which is only sampled here; rectify a compact model"
        raise InputError(message)
    return model.network


def train_on_pairs(
    network: CompactNetwork,
    pairs: FramePairs,
    settings: RectificationSettings,
    *,
    folder: Path,
    resume: bool = False,
    **options: Any,
) -> CompactNetwork:
    """Train a copy of a network on pairs and return it with the averaged weights.

    Parameters
    ----------
    network
        Where the training begins; it is left as it is.
    pairs
        The pairs to train on; every twentieth is held out for the validation loss.
    settings
        Objective, optimisation, seed.
    folder
        Where checkpoints and the log are kept.
    resume
        Go on from the folder's last checkpoint when there is one.
    **options
        Passed to `helicell.core.training.fit.fit`.
    """
    held_out = np.arange(len(pairs)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    if len(pairs) <= HELD_OUT_EVERY:
        message = f"only {len(pairs)} pairs keep the limits; sample more, or loosen the limits"
        raise InputError(message)
    copy = CompactNetwork(network.settings)
    copy.load_state_dict(network.state_dict())
    objective = RectificationObjective(copy, settings.objective)
    module = FlowTraining(objective, settings.optimiser, seed=settings.seed)
    residues = settings.residues_per_batch
    trained = fit(
        module,
        PairBatches(pairs.select(~held_out), residues=residues, seed=settings.seed),
        validation=_batches(pairs.select(held_out), residues=residues),
        folder=folder,
        precision=settings.precision,
        resume=resume,
        **options,
    )
    return cast(RectificationObjective, trained.objective).network


def walk_straightness(model: BackboneModel, seed: int) -> BackboneStraightness:
    """Measure how straight a model walks from fresh noise, at its own schedule but always with as many steps."""
    options = SamplingOptions(steps=WALK_STEPS, trajectory=True)
    return backbone_straightness(generate(model, WALK_LENGTH, count=WALKS, seed=seed, options=options))


def _batches(pairs: FramePairs, *, residues: int) -> list[BackboneBatch]:
    order = np.argsort(pairs.lengths, kind="stable")
    return [pairs.batch(batch) for batch in pack(order, pairs.lengths, residues=residues)]
