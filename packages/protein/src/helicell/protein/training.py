"""Training a denoiser of backbones on a store of chains."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from helicell.core.errors import InputError
from helicell.core.runs.folder import LOG_NAME, RunFolder
from helicell.core.runs.manifest import Manifest, checksums
from helicell.core.runs.processes import is_first_process
from helicell.core.training.fit import fit
from helicell.core.training.module import FlowTraining
from helicell.protein.chains.batching import ChainBatches, collate, pack
from helicell.protein.chains.store import ChainStore
from helicell.protein.flow import BackboneBatch, BackboneObjective
from helicell.protein.model import WEIGHTS, save_model
from helicell.protein.networks.compact import CompactNetwork
from helicell.protein.settings import ChainSettings, SamplingDefaults, TrainingSettings

# Validation takes at most this many chains; a few hundred tell losses apart to one percent.
VALIDATION_CHAINS = 256
MODEL = "model.safetensors"
RECIPE = WEIGHTS / "compact.yaml"
# The column of a store by which relatives stay on one side of the split.
CLUSTERS = "cluster30"


def select_chains(store: ChainStore, settings: ChainSettings) -> ChainStore:
    """Return the chains of a store that the settings ask for.

    Raises
    ------
    InputError
        If none are left, or the store has no clusters.
    """
    low, high = settings.lengths
    keep = (store.lengths >= low) & (store.lengths <= high)
    if settings.globular:
        keep &= store.column("globular").astype(bool)
    if settings.experimental:
        keep &= ~store.column("predicted").astype(bool)
    if CLUSTERS not in store.column_names:
        message = (
            f"the store {store.path} has no sequence clusters, by which chains are held out; "
            "import it again without `--cluster none`"
        )
        raise InputError(message)
    if not keep.any():
        message = f"none of the {len(store)} chains of the store fit the settings (lengths {low}-{high}); loosen them"
        raise InputError(message)
    return store.select(keep)


def split_clusters(store: ChainStore, *, validation_share: float) -> tuple[ChainStore, ChainStore]:
    """Split a store into training and validation chains, whole clusters at a time.

    A cluster's side depends on the name of its first chain only, so a store that grew keeps its split.
    """
    clusters = store.column(CLUSTERS)
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    names = store.names
    digests = [hashlib.sha256(str(names[i]).encode()).digest() for i in first]
    held_out = np.array([int.from_bytes(digest[:8], "big") / 2**64 < validation_share for digest in digests])
    mask = held_out[inverse]
    return store.select(~mask), store.select(mask)


def validation_batches(store: ChainStore, *, residues: int) -> list[BackboneBatch]:
    """Return batches of up to VALIDATION_CHAINS chains, spread evenly over the store."""
    count = min(VALIDATION_CHAINS, len(store))
    chosen = np.unique(np.linspace(0, len(store) - 1, count).astype(int))
    order = chosen[np.argsort(store.lengths[chosen], kind="stable")]
    batches = pack(order, store.lengths, residues=residues)
    return [collate([store[int(i)].coordinates for i in batch]) for batch in batches]


def train_to_folder(
    settings: TrainingSettings, store: ChainStore, out: str | Path, *, resume: bool = False, **options: Any
) -> Path:
    """Train into a run folder and return the model file in it.

    Of the processes of a distributed training, the first makes the folder and writes the model.

    Parameters
    ----------
    settings
        Everything that determines the run.
    store
        The chains.
    out
        The folder; absent or empty, or with `resume` that of an interrupted run with the same settings.
    resume
        Go on from the last checkpoint.
    **options
        `progress`, and options of Lightning's `Trainer`.

    Raises
    ------
    InputError
        If settings, store or folder do not fit.
    """
    chosen = select_chains(store, settings.chains)
    if not len(split_clusters(chosen, validation_share=settings.chains.validation_share)[0]):
        message = f"all {len(chosen)} chains that fit the settings would be held out; import more chains"
        raise InputError(message)
    first = is_first_process()
    folder = RunFolder.create(out, settings, resume=resume) if first else RunFolder.join(out, settings)
    module = train(settings, store, folder=folder.path, resume=resume, **options)
    path = folder.path / MODEL
    if not first:
        return path
    validation = last_validation(folder)
    card = {
        "title": "Compact quaternion flow of protein backbones",
        "licence": "Apache-2.0",
        "data": {"store": store.fingerprint, "chains": len(chosen), **settings.chains.to_mapping()},
        "training": settings.to_mapping(),
        "validation": validation,
    }
    objective = cast(BackboneObjective, module.objective)
    save_model(
        path, objective.network, sampling=SamplingDefaults(noise_scale=settings.objective.noise_scale), card=card
    )
    folder.write_metrics(validation)
    folder.finish(
        Manifest(
            "protein train",
            seed=settings.seed,
            inputs={"store": store.fingerprint},
            outputs=checksums(folder.path, [MODEL]),
        )
    )
    return path


def last_validation(folder: RunFolder) -> dict[str, float]:
    """Return the step and the losses of the last validation in a run's log; empty where there was none."""
    log = folder.path / LOG_NAME
    # A short training without chains to hold out has nothing to log.
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    entries = [json.loads(line) for line in lines]
    entry: dict[str, Any] = next((e for e in reversed(entries) if e["event"] == "validation"), {})
    return {name: value for name, value in entry.items() if name not in ("time", "event")}


def train(
    settings: TrainingSettings,
    store: ChainStore,
    *,
    folder: Path,
    resume: bool = False,
    progress: bool = True,
    **options: Any,
) -> FlowTraining:
    """Train a compact network; the result holds the averaged weights.

    Parameters
    ----------
    settings
        Everything that determines the run.
    store
        The chains.
    folder
        Where checkpoints and the log are kept.
    resume
        Go on from the folder's last checkpoint when there is one.
    progress
        Show a progress bar.
    **options
        Passed to `helicell.core.training.fit.fit`.
    """
    chosen = select_chains(store, settings.chains)
    training, held_out = split_clusters(chosen, validation_share=settings.chains.validation_share)
    torch.manual_seed(settings.seed)
    objective = BackboneObjective(CompactNetwork(settings.network), settings.objective)
    module = FlowTraining(objective, settings.optimiser, seed=settings.seed)
    clusters = training.column(CLUSTERS)
    batches = ChainBatches(training, clusters, residues=settings.residues_per_batch, seed=settings.seed)
    return fit(
        module,
        batches,
        validation=validation_batches(held_out, residues=settings.residues_per_batch) if len(held_out) else None,
        folder=folder,
        precision=settings.precision,
        resume=resume,
        progress=progress,
        **options,
    )
