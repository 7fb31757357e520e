"""The evaluation of a model from end to end, by one settings file: sample, measure, design, fold and compare.

RUN/backbones       what `helicell protein sample` makes
RUN/evaluation.json, .csv   what `helicell protein evaluate` makes
RUN/designability   what `helicell protein designability` makes
RUN/metrics.json    the figures that papers report, out of the two
RUN/settings.yaml, manifest.json, status.json   as in every run folder

`PUBLISHED_PROTOCOL` is the file of the evaluation that papers report. A killed run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from helicell.core.runs.files import sha256
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest
from helicell.core.runs.settings import Settings
from helicell.protein.adapters.folding import weights_folder
from helicell.protein.adapters.proteinmpnn import weights_path
from helicell.protein.chains.store import ChainStore
from helicell.protein.designability import DesignabilitySettings, SelfConsistencySettings, designability_to_folder
from helicell.protein.evaluation import evaluate
from helicell.protein.evaluation.folder import read_folders
from helicell.protein.sampling import SamplingSettings, sample_to_folder

KIND = "protein benchmark"
PROTOCOLS = Path(__file__).parent / "protocols"
PUBLISHED_PROTOCOL = PROTOCOLS / "published.yaml"
BACKBONES, DESIGNABILITY, EVALUATION = "backbones", "designability", "evaluation.json"
# Measures of the backbones themselves that are told beside designability.
TOLD = ("helix", "strand", "coil", "rg_ratio_to_natural", "ca_ca_valid", "clash_free", "pairwise_tm")


class ProtocolSettings(Settings):
    """What is sampled, and how it is judged."""

    sampling: SamplingSettings = Field(
        SamplingSettings(length="100,150,200,250,300", count=50), description="backbones, as `helicell protein sample`"
    )
    designability: SelfConsistencySettings = Field(
        SelfConsistencySettings(), description="sequences and folding, as `helicell protein designability`"
    )


def benchmark_to_folder(
    settings: ProtocolSettings,
    out: str | Path,
    *,
    resume: bool = False,
    workers: int = 1,
    sampled: Callable[[int], None] = lambda _: None,
    folded: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Sample from a model, and judge what it makes.

    Parameters
    ----------
    settings
        What is sampled, and how it is judged.
    out
        The folder to make.
    resume
        Go on with an interrupted run of the same settings.
    workers
        Processes for alignments.
    sampled, folded
        Called with the number of backbones just sampled, and just judged.

    Returns
    -------
    dict
        What metrics.json holds.

    Raises
    ------
    InputError
        If the model or the weights are not there, or the folder holds other results; before anything is sampled.
    MissingPackageError
        If ProteinMPNN or transformers is not installed.
    """
    judged = settings.designability
    weights_path(judged.weights, judged.kind)
    weights_folder(judged.folding)
    store = ChainStore.open(judged.reference) if judged.reference else None
    folder = RunFolder.create(out, settings, resume=resume)
    backbones, designability = folder.path / BACKBONES, folder.path / DESIGNABILITY
    sample_to_folder(settings.sampling, backbones, resume=_begun(backbones), progress=sampled)
    own = DesignabilitySettings.from_mapping({**judged.to_mapping(), "backbones": [str(backbones)]})
    metrics = designability_to_folder(
        own, designability, resume=_begun(designability), workers=workers, progress=folded
    )
    samples = read_folders([backbones])
    evaluation = evaluate(samples.chains, names=samples.files, reference=store, seed=judged.seed, workers=workers)
    evaluation.write(folder.path / EVALUATION)
    figures = {name: metrics[name] for name in ("sequences", "threshold", "overall", "by_length", "over_lengths")}
    figures |= {name: metrics[name] for name in ("diversity", "novelty", "unreadable") if name in metrics}
    figures["backbones"] = {name: evaluation.summary[name] for name in TOLD if name in evaluation.summary}
    folder.write_metrics(figures)
    names = (METRICS_NAME, EVALUATION, *(f"{part}/{MANIFEST_NAME}" for part in (BACKBONES, DESIGNABILITY)))
    inputs = Manifest.read(backbones).inputs
    outputs = {name: sha256(folder.path / name) for name in names}
    folder.finish(Manifest(KIND, seed=settings.sampling.seed, inputs=inputs, outputs=outputs))
    return figures


def _begun(folder: Path) -> bool:
    """Whether an earlier run left something in a folder."""
    return folder.is_dir() and any(folder.iterdir())
