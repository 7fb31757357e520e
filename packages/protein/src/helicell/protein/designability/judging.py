"""The backbones of some folders, judged into a folder.

OUT/designability.csv   a row a backbone: the best of its sequences, whether it is designable, its fold, its novelty
OUT/sequences.csv       a row a sequence: score, RMSD, mean displacement, TM-score, pLDDT
OUT/sample_000007.cif   the predicted structure of each backbone's best sequence, laid over the backbone
OUT/metrics.json        shares, means and deviations, over all and for each length; diversity; novelty
OUT/settings.yaml, manifest.json, status.json, log.jsonl   as in every run folder

Backbones of like lengths are worked on together, as many as are folded at once, and written when they are done: a
killed job goes on with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write, sha256, write_text
from helicell.core.runs.folder import METRICS_NAME, RunFolder
from helicell.core.runs.manifest import Manifest
from helicell.core.runs.status import StatusFile
from helicell.protein.adapters.folding import weight_files, weights_folder
from helicell.protein.adapters.foldseek import Hit, check_database, foldseek_program, search_foldseek
from helicell.protein.adapters.proteinmpnn import weights_path
from helicell.protein.chains.store import ChainStore
from helicell.protein.designability.figures import best_of, diversity, summarise
from helicell.protein.designability.sequences import (
    SEQUENCES,
    Judge,
    SequenceRow,
    append_rows,
    plan_groups,
    read_done,
    table_of,
)
from helicell.protein.designability.settings import DesignabilitySettings
from helicell.protein.evaluation.folder import Samples, read_folders, structure_files
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.neighbours import search
from helicell.protein.structures import file_stem

if TYPE_CHECKING:
    import pandas as pd

KIND = "protein designability"
TABLE = "designability.csv"


def designability_to_folder(
    settings: DesignabilitySettings,
    out: str | Path,
    *,
    resume: bool = False,
    workers: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge all backbones of some folders by whether their sequences fold back into them.

    Parameters
    ----------
    settings
        What to judge, and how.
    out
        The folder; absent or empty, or with `resume` that of an interrupted job with the same settings.
    resume
        Keep the backbones that are done.
    workers
        Processes for alignments; the result does not depend on it.
    progress
        Called with the number of backbones just done.

    Returns
    -------
    dict
        What metrics.json holds.

    Raises
    ------
    InputError
        If backbones, weights, store or database cannot be read, or the folder holds other results.
    MissingPackageError
        If ProteinMPNN or transformers is not installed.
    """
    store = ChainStore.open(settings.reference) if settings.reference else None
    samples = read_folders(settings.backbones)
    names = _names(samples.files)
    inputs = _inputs(settings, samples, store)
    # The checksums tell whether the backbones are the same ones, wherever they lie now.
    folder = RunFolder.create(out, settings, resume=resume, inputs=inputs, may_differ=("backbones",))
    done = read_done(folder.path, settings.sequences) if resume else {}
    progress(len(done))
    folder.log("resumed" if done else "started", backbones=len(names), done=len(done))
    with StatusFile(folder.path, KIND, total=len(names), done=len(done)) as status:
        groups = plan_groups([len(chain) for chain in samples.chains], settings.sequences)
        missing = [group for group in groups if not all(names[i] in done for i in group)]
        for rows in _judged(settings, samples, names, missing, folder.path):
            if rows[0].file not in done:
                done[rows[0].file] = rows
                append_rows(folder.path, rows)
                status.advance()
                progress(1)
        rows = [row for name in names for row in done[name]]
        write_text(folder.path / SEQUENCES, table_of(rows))
        table = best_of(rows, threshold=settings.threshold)
        _add_novelty(table, settings, samples, store, workers=workers)
        varied = diversity(table, samples.chains, compared=settings.compared, seed=settings.seed, workers=workers)
        metrics = summarise(
            table,
            sequences=settings.sequences,
            threshold=settings.threshold,
            diversity=varied,
            unreadable={file.file: file.reason for file in samples.unreadable},
        )
        with atomic_write(folder.path / TABLE) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        folder.write_metrics(metrics)
        outputs = {name: sha256(folder.path / name) for name in (*names, SEQUENCES, TABLE, METRICS_NAME)}
        folder.log("finished", backbones=len(names))
        folder.finish(Manifest(KIND, seed=settings.seed, inputs=inputs, outputs=outputs))
    return metrics


def _judged(
    settings: DesignabilitySettings, samples: Samples, names: Sequence[str], groups: Sequence[list[int]], out: Path
) -> Iterator[list[SequenceRow]]:
    """Judge groups of backbones; the networks are loaded only where there is something to do."""
    if not groups:
        return
    judge = Judge(settings)
    for group in groups:
        yield from judge.judge([samples.chains[i] for i in group], [names[i] for i in group], out)


def _names(files: Sequence[str]) -> list[str]:
    """Return the names of the files to write."""
    names = [f"{file_stem(Path(file))}.cif" for file in files]
    if len(set(names)) < len(names):
        message = "several files differ in their suffix only; give them names of their own"
        raise InputError(message)
    return names


def _inputs(settings: DesignabilitySettings, samples: Samples, store: ChainStore | None) -> dict[str, str]:
    """Return checksums of all that is read; whatever is absent is told before anything is made."""
    weights, folding = weights_path(settings.weights, settings.kind), weights_folder(settings.folding)
    paths = {path.name: path for folder in settings.backbones for path in structure_files(folder)}
    inputs = {file: sha256(paths[file]) for file in samples.files}
    inputs |= {f"weights {settings.kind} {weights.stem}": sha256(weights)}
    inputs |= {f"weights {file.name}": sha256(file) for file in weight_files(folding)}
    if store is not None:
        inputs["reference"] = store.fingerprint
    if settings.foldseek:
        foldseek_program()
        database = check_database(settings.foldseek)
        inputs |= {"foldseek": sha256(database)} if database.is_file() else {}
    return inputs


def _add_novelty(
    table: pd.DataFrame, settings: DesignabilitySettings, samples: Samples, store: ChainStore | None, *, workers: int
) -> None:
    """Add the TM-score to the nearest known structure, normalised by the sample's length, and its name."""
    if store is not None:
        found = search([chain.coordinates[:, CA] for chain in samples.chains], store, workers=workers)
        known = store.names
        table["reference_tm"] = [neighbour.tm_score for neighbour in found]
        table["reference_nearest"] = [str(known[one.chain]) if one.chain >= 0 else "" for one in found]
    if settings.foldseek:
        hits: dict[str, Hit] = {}
        for folder in settings.backbones:
            hits |= search_foldseek(folder, settings.foldseek, threads=workers)
        own = [hits.get(file_stem(Path(file))) for file in samples.files]
        table["foldseek_tm"] = [hit.by_query if hit else np.nan for hit in own]
        table["foldseek_nearest"] = [hit.target if hit else "" for hit in own]
