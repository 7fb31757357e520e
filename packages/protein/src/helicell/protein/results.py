"""What is known about a set of generated backbones: structures, measures, and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256
from helicell.core.runs.folder import SETTINGS_NAME
from helicell.core.runs.manifest import MANIFEST_NAME, Manifest, installed_versions
from helicell.protein.evaluation.evaluating import Evaluation
from helicell.protein.evaluation.folder import structure_files
from helicell.protein.structures import read_backbone

if TYPE_CHECKING:
    from helicell.protein.structures import Chain

__all__ = ["Results", "read_results"]

# Settings of sampling that a reader asks for first, and their names.
SHOWN_SETTINGS = {"model": "Model", "seed": "Seed", "steps": "Steps", "noise_scale": "Noise scale"}
# Files that the manifests in a report name at most; of larger jobs the page tells the checksums of the manifests.
SHOWN_OUTPUTS = 5000


@dataclass(frozen=True, slots=True)
class Results:
    """Structures of generated backbones with what was measured on them.

    Parameters
    ----------
    evaluation : helicell.protein.evaluation.evaluating.Evaluation
        A row a sample, and the means beside those of natural chains.
    paths : sequence of Path
        The structure file of each row.
    chains : sequence of Chain
        The backbone of each row.
    facts : mapping of str to str
        How the backbones were made, in short.
    texts : mapping of str to str
        Settings and manifests of the jobs that made them.
    """

    evaluation: Evaluation
    paths: Sequence[Path]
    chains: Sequence[Chain]
    facts: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def read_results(folders: Sequence[str | Path], metrics: str | Path) -> Results:
    """Read backbones and what was measured on them.

    Parameters
    ----------
    folders
        Folders of structure files, such as `helicell protein sample` makes; several where jobs shared the work.
    metrics
        What `helicell protein evaluate` wrote for the same folders.

    Raises
    ------
    InputError
        If a folder or file cannot be read, or the measures are of other backbones than those in the folders.
    """
    evaluation = Evaluation.read(metrics)
    # By name is the order of generation, whatever the order of the folders.
    evaluation = replace(evaluation, table=evaluation.table.sort_values("file", ignore_index=True))
    places = [Path(folder) for folder in folders]
    paths = [path for folder in places for path in structure_files(folder)]
    # The command line calls a sample by its file, Python by its chain, which is the file without its suffix.
    files = {path.stem: path for path in paths} | {path.name: path for path in paths}
    names = [str(name) for name in evaluation.table["file"]]
    missing = [name for name in names if name not in files]
    if missing:
        message = (
            f"{metrics} measured {missing[0]}, which is not in {', '.join(map(str, places))}; "
            "give the folders that were evaluated, or evaluate these"
        )
        raise InputError(message)
    paths = [files[name] for name in names]
    chains = [read_backbone(path) for path in paths]
    return Results(evaluation, paths, chains, _facts(places, evaluation, Path(metrics)), _texts(places))


def _facts(folders: Sequence[Path], evaluation: Evaluation, metrics: Path) -> dict[str, str]:
    """How the backbones were made, of what is on record, and by which versions they were reported."""
    settings = _settings(folders[0])
    facts = {title: str(settings[key]) for key, title in SHOWN_SETTINGS.items() if settings.get(key) is not None}
    manifest = _manifest(folders[0])
    if manifest is not None:
        facts |= {f"SHA-256 of {name}": f"{digest[:16]}..." for name, digest in manifest.inputs.items()}
    versions = manifest.versions if manifest is not None else installed_versions()
    facts |= {"Versions": ", ".join(f"{name} {number}" for name, number in versions.items())}
    facts |= {"Samples": f"{len(evaluation.table)} in {len(folders)} folder{'s' if len(folders) > 1 else ''}"}
    return facts | {"Reference": evaluation.reference, f"SHA-256 of {metrics.name}": f"{sha256(metrics)[:16]}..."}


def _texts(folders: Sequence[Path]) -> dict[str, str]:
    """The settings of the first job, from which the others differ by their share only, and the manifests of all."""
    texts = {}
    if (folders[0] / SETTINGS_NAME).is_file():
        texts[f"{SETTINGS_NAME} of {folders[0].name}"] = (folders[0] / SETTINGS_NAME).read_text(encoding="utf-8")
    manifests = {folder.name: asdict(found) for folder in folders if (found := _manifest(folder)) is not None}
    if sum(len(manifest["outputs"]) for manifest in manifests.values()) > SHOWN_OUTPUTS:
        files = {folder.name: sha256(folder / MANIFEST_NAME) for folder in folders if folder.name in manifests}
        texts["SHA-256 of the manifests"] = json.dumps(files, indent=2)
    elif manifests:
        texts[f"{MANIFEST_NAME} of {', '.join(manifests)}"] = json.dumps(manifests, indent=2)
    return texts


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_NAME
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return settings if isinstance(settings, dict) else {}


def _manifest(folder: Path) -> Manifest | None:
    return Manifest.read(folder) if (folder / MANIFEST_NAME).is_file() else None
