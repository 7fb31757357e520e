"""Real chains followed back to their noise: pairs whose end at the data carries no errors of the flow.

The walk is that of sampling, gone backwards: from the state at time t, away from the end that is predicted from it, to
an earlier time. It starts a little before the data, where the fraction of what is left is still finite, and without
guidance; orientations keep the pace that the network is told, for a hurried walk cannot be turned back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch

from helicell.core.dynamics.endpoint import follow_endpoint
from helicell.core.errors import InputError
from helicell.core.runs.files import remove_partial
from helicell.core.runs.seeds import sample_generator
from helicell.protein.chains.batching import collate, pack
from helicell.protein.chains.store import ChainStore
from helicell.protein.flow import BackboneBatch, backbone_path
from helicell.protein.frames import Frames, centred
from helicell.protein.generation import endpoint_predictor
from helicell.protein.lengths import parse_lengths
from helicell.protein.model import BackboneModel
from helicell.protein.rectification.pairs import FramePairs
from helicell.protein.rectification.settings import PairSettings
from helicell.protein.settings import ChainSettings, SamplingDefaults
from helicell.protein.training import CLUSTERS, select_chains, split_clusters

# Where the walk back begins.
START = 0.98
RESIDUES_AT_ONCE = 1024


def choose_chains(store: ChainStore, settings: PairSettings, count: int) -> ChainStore:
    """Return real chains to invert: globular, of the lengths of the pairs, no two alike, none held out in training.

    Raises
    ------
    InputError
        If the store has too few.
    """
    ranges = parse_lengths(settings.lengths)
    lengths = (min(entry.least for entry in ranges), max(entry.most for entry in ranges))
    known = select_chains(store, ChainSettings(lengths=lengths))
    training, _ = split_clusters(known, validation_share=ChainSettings().validation_share)
    order = torch.randperm(len(training), generator=sample_generator(settings.seed, 0, stream="inverted")).numpy()
    _, first = np.unique(training.column(CLUSTERS)[order], return_index=True)
    if len(first) < count:
        message = f"{count} chains are to be inverted, but the store has {len(first)} that fit; ask for a smaller share"
        raise InputError(message)
    return training.select(order[np.sort(first)[:count]])


def invert_pairs(
    model: BackboneModel,
    store: ChainStore,
    settings: PairSettings,
    folder: Path,
    *,
    count: int,
    progress: Callable[[int], None] = lambda _: None,
) -> FramePairs:
    """Invert and store all chains that are not there yet, and return all pairs.

    Parameters
    ----------
    model
        The flow.
    store
        Real chains.
    settings
        Lengths, steps and seed.
    folder
        Where shards `inverted_0000.npz` lie and go.
    count
        Chains to invert.
    progress
        Called with the number of chains just done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    chains = choose_chains(store, settings, count)
    parts = []
    for first in range(0, count, settings.shard):
        path = folder / f"inverted_{first // settings.shard:04d}.npz"
        some = np.arange(first, min(first + settings.shard, count))
        if not path.exists():
            order = some[np.argsort(chains.lengths[some], kind="stable")]
            batches = pack(order, chains.lengths, residues=RESIDUES_AT_ONCE)
            inverted = [_inverted(model, [chains[int(i)].coordinates for i in b], b, settings) for b in batches]
            FramePairs.joined(inverted).write(path)
        parts.append(FramePairs.read(path))
        progress(len(parts[-1]))
    return FramePairs.joined(parts)


@torch.inference_mode()
def invert(model: BackboneModel, batch: BackboneBatch, *, steps: int, precision: str = "auto") -> Frames:
    """Return the noise, shape [batch, residues, ...], from which the unguided walk would end in these backbones.

    Parameters
    ----------
    model
        A compact model.
    batch
        Backbones.
    steps
        Evaluations of the network, and one more.
    precision
        "auto", "float32" or "bfloat16".
    """
    device = next(model.network.parameters()).device
    batch = batch.to(device)
    path = backbone_path(cast(SamplingDefaults, model.sampling).rotation_exponent)
    predict = endpoint_predictor(model, batch.mask, batch.index, path, precision=precision)
    start = centred(batch.frames, batch.mask)
    # At 0 twice: states are told before they are left.
    times = torch.cat((torch.linspace(START, 0, steps + 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)))
    for step in follow_endpoint(predict, (start.translations, start.quaternions), times, path=path):
        state = step.x_t
    return centred(Frames(*state), batch.mask).to("cpu").to(torch.float32)


def _inverted(
    model: BackboneModel, coordinates: list[np.ndarray], numbers: np.ndarray, settings: PairSettings
) -> FramePairs:
    batch = collate(coordinates)
    steps = settings.steps or model.sampling.steps
    noise = invert(model, batch, steps=steps, precision=settings.precision)
    return FramePairs.of_batch(noise, centred(batch.frames, batch.mask), batch.mask, numbers)
