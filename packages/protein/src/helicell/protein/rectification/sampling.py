"""The pairs of a run: sampled shard by shard, measured, and those left out that the rectified flow should not repeat.

RUN/pairs/pairs_0000.npz   a shard, see `helicell.protein.rectification.pairs`
RUN/pairs/pairs_0000.csv   the measures of its backbones, those of `helicell protein evaluate` and the ProteinMPNN score
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helicell.core.errors import InputError, unknown_option
from helicell.core.runs.files import remove_partial, write_text
from helicell.protein.adapters.proteinmpnn import SequenceDesigner, weights_path
from helicell.protein.evaluation.measures import MEASURES, measure_chain
from helicell.protein.evaluation.reference import ReferenceProfile
from helicell.protein.frames import backbone_from_frames
from helicell.protein.generation import Request, SamplingOptions, plan_batches, sample_batches
from helicell.protein.lengths import make_requests, parse_lengths
from helicell.protein.model import BackboneModel
from helicell.protein.rectification.pairs import FramePairs
from helicell.protein.rectification.settings import PairSettings
from helicell.protein.structures import Chain

PAIRS = "pairs"
SCORE = "score"
# How pairs are scored: the weights that papers use for backbones, and one cold sequence each, which suffices to rank.
SCORE_WEIGHTS = "v_48_020"
SCORE_TEMPERATURE = 0.1
# Measures that one backbone tells by itself; the others compare backbones.
COMPARING = ("pairwise_tm", "cluster_fraction", "novelty_tm")
OWN_MEASURES = tuple(measure.name for measure in MEASURES if measure.name not in COMPARING)


def check_pair_settings(settings: PairSettings) -> None:
    """Refuse lengths and limits that cannot be, and scores without ProteinMPNN, before anything is sampled.

    Raises
    ------
    InputError
        If a length or a limit makes no sense.
    MissingPackageError
        If scores are asked for and ProteinMPNN is not installed.
    """
    parse_lengths(settings.lengths)
    for name, (least, greatest) in settings.limits.items():
        if name not in OWN_MEASURES:
            raise unknown_option("measure", name, OWN_MEASURES)
        if not least <= greatest:
            message = f"the limits of {name} are {least:g} and {greatest:g}; give the least value first"
            raise InputError(message)
    if settings.score is not None:
        weights_path(SCORE_WEIGHTS, "vanilla")


def pair_options(settings: PairSettings) -> SamplingOptions:
    """Return how the flow is followed to make pairs."""
    return SamplingOptions.of(settings, trajectory=True)


def sample_pairs(
    model: BackboneModel,
    settings: PairSettings,
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[FramePairs, list[dict[str, float]]]:
    """Sample, measure and store all pairs that are not there yet, and return all of them with their measures.

    Parameters
    ----------
    model
        The flow.
    settings
        How many, and how.
    folder
        Where shards lie and go.
    progress
        Called with the number of pairs just done.

    Raises
    ------
    InputError
        If a shard that is there is damaged, or was made for other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    requests = make_requests(parse_lengths(settings.lengths), count=settings.count, seed=settings.seed)
    shards = [requests[start : start + settings.shard] for start in range(0, len(requests), settings.shard)]
    profile = ReferenceProfile.shipped()
    designer = None
    pairs: list[FramePairs] = []
    measures: list[dict[str, float]] = []
    for number, shard in enumerate(shards):
        path = folder / f"pairs_{number:04d}.npz"
        part = _read_shard(path, shard) if path.exists() else None
        if part is None:
            batches = plan_batches(shard, device=next(model.network.parameters()).device.type)
            part = FramePairs.of(
                list(sample_batches(model, batches, seed=settings.seed, options=pair_options(settings)))
            )
            part.write(path)
        table = path.with_suffix(".csv")
        if not table.exists():
            if settings.score is not None and designer is None:
                designer = SequenceDesigner(SCORE_WEIGHTS, device="cpu")
            _write_table(table, measure_pairs(part, profile, designer=designer, seed=settings.seed))
        pairs.append(part)
        measures += _read_table(table, part)
        progress(len(part))
    return FramePairs.joined(pairs), measures


def measure_pairs(
    pairs: FramePairs, profile: ReferenceProfile, *, designer: SequenceDesigner | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the measures of the backbones of pairs, with the ProteinMPNN score where there is a designer."""
    rows = []
    backbones = [backbone_from_frames(pairs.one(number)[1]).numpy() for number in range(len(pairs))]
    for index, atoms in zip(pairs.index.tolist(), backbones, strict=True):
        chain = Chain(str(index), atoms, "G" * len(atoms), "C" * len(atoms))
        natural = profile.radius_law.mean(len(atoms))
        rows.append({"index": index} | measure_chain(chain, ramachandran=profile.ramachandran, natural_rg=natural))
    if designer is not None:
        indices = pairs.index.tolist()
        designs = designer.design(backbones, count=1, temperature=SCORE_TEMPERATURE, seed=seed, indices=indices)
        for row, own in zip(rows, designs, strict=True):
            row[SCORE] = own[0].score
    return rows


def fitting(measures: Sequence[Mapping[str, float]], settings: PairSettings) -> np.ndarray:
    """Return which pairs keep all limits, a boolean for each.

    Raises
    ------
    InputError
        If scores are asked for, and the pairs were stored without.
    """
    limits = dict(settings.limits)
    if settings.score is not None:
        limits[SCORE] = (0.0, settings.score)
    if measures and not limits.keys() <= measures[0].keys():
        message = "the pairs were stored without a ProteinMPNN score; remove their .csv files, and --resume scores them"
        raise InputError(message)
    return np.array([all(low <= row[name] <= high for name, (low, high) in limits.items()) for row in measures], bool)


def _read_shard(path: Path, shard: Sequence[Request]) -> FramePairs:
    pairs = FramePairs.read(path)
    if [(r.index, r.length) for r in shard] != list(zip(pairs.index.tolist(), pairs.lengths.tolist(), strict=True)):
        message = f"the pairs in {path} belong to other settings; choose another output folder"
        raise InputError(message)
    return pairs


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def _read_table(path: Path, pairs: FramePairs) -> list[dict[str, float]]:
    try:
        rows: list[dict[str, float]] = [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        ]
    except (OSError, ValueError, TypeError) as error:
        message = f"cannot read the measures of pairs in {path}; remove the file, and --resume measures again"
        raise InputError(message) from error
    if [row.get("index") for row in rows] != pairs.index.tolist():
        message = f"the measures in {path} are of other pairs; remove the file, and --resume measures again"
        raise InputError(message)
    return rows
