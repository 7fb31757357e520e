"""Evaluating a set of backbones: a table with a row each, and figures in sum, beside those of natural chains."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write, write_json
from helicell.protein.chains.store import ChainStore
from helicell.protein.evaluation.building import REACH, measure_natural
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.measures import measure_chain
from helicell.protein.evaluation.neighbours import search
from helicell.protein.evaluation.reference import ReferenceProfile
from helicell.protein.evaluation.similarity import mean_to_others, tm_matrices
from helicell.protein.evaluation.summary import Summary, group_by_length, summarise

if TYPE_CHECKING:
    import pandas as pd

    from helicell.protein.structures import Chain

log = logging.getLogger(__name__)

# Samples of one length that are compared with each other: 24 give 276 alignments.
COMPARED_PER_LENGTH = 24
# Natural chains of a store that are measured at each length, and those of them that are compared with each other.
NATURAL_PER_LENGTH = 128
NATURAL_COMPARED = 12


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on a set of backbones.

    Parameters
    ----------
    table : DataFrame
        A row a sample: its name, its length, and the measures of `helicell.protein.evaluation.measures`.
    overall : Summary
        Means over all samples, with intervals and natural figures.
    by_length : mapping of str to Summary
        The same for each length.
    reference : str
        Which natural chains the figures are from.
    unreadable : mapping of str to str
        Files that gave no backbone, each with the reason.
    """

    table: pd.DataFrame
    overall: Summary
    by_length: Mapping[str, Summary]
    reference: str
    unreadable: Mapping[str, str]

    @property
    def summary(self) -> dict[str, float]:
        """Return the mean of every measure."""
        return dict(self.overall.means)

    def write(self, path: str | Path) -> None:
        """Write the summaries to `path` as JSON, and the table beside it as CSV, each whole or not at all.

        Raises
        ------
        InputError
            If the name does not end in .json, or is that of a folder.
        """
        path = check_output(path)
        with atomic_write(path.with_suffix(".csv")) as temporary:
            self.table.to_csv(temporary, index=False, float_format="%.6g")
        record: dict[str, Any] = {
            "reference": self.reference,
            "overall": asdict(self.overall),
            "by_length": {label: asdict(summary) for label, summary in self.by_length.items()},
            "unreadable": dict(self.unreadable),
        }
        write_json(path, record)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        InputError
            If a file is absent or damaged.
        """
        import pandas as pd

        path = Path(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            table = pd.read_csv(path.with_suffix(".csv"))
            return cls(
                table=table,
                overall=_summary(record["overall"]),
                by_length={label: _summary(summary) for label, summary in record["by_length"].items()},
                reference=record["reference"],
                unreadable=record["unreadable"],
            )
        except OSError as error:
            message = f"cannot read {error.filename}: {error.strerror}; write it with `helicell protein evaluate`"
            raise InputError(message) from error
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path} is not what `helicell protein evaluate` writes; evaluate again"
            raise InputError(message) from error


def check_output(path: str | Path) -> Path:
    """Return the path that summaries can be written to.

    Raises
    ------
    InputError
        If the name does not end in .json (the table goes beside it, as .csv), or is that of a folder.
    """
    path = Path(path)
    if path.is_dir():
        message = f"{path} is a folder; give the name of a file to write, such as {path / 'metrics.json'}"
        raise InputError(message)
    if path.suffix != ".json":
        message = f"the summaries are written as JSON and {path.name} does not end in .json; rename it"
        raise InputError(message)
    return path


def evaluate(
    samples: Sequence[Chain],
    *,
    names: Sequence[str] | None = None,
    reference: ChainStore | ReferenceProfile | None = None,
    unreadable: Mapping[str, str] | None = None,
    seed: int = 0,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure backbones one by one, against each other, and against natural chains.

    Parameters
    ----------
    samples : sequence of Chain
        The backbones.
    names : sequence of str, optional
        What to call them in the table; their own names by default.
    reference : ChainStore or ReferenceProfile, optional
        Natural chains, or their figures; those inside the package by default. Novelty needs the chains themselves.
    unreadable : mapping of str to str, optional
        Files that gave no backbone, to be kept in the record.
    seed : int
        For the choice of samples that are compared, where a length has many, and for the intervals.
    workers : int
        Processes for the alignments; the result does not depend on it.
    advance : callable
        Told the number of samples just done; each counts once for itself, and once more for novelty.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If there are no samples.
    """
    import pandas as pd

    if not samples:
        message = "there is no backbone to evaluate"
        raise InputError(message)
    rng = np.random.default_rng(seed)
    profile = _profile(reference, samples, workers=workers)
    rows: list[dict[str, Any]] = []
    for name, chain in zip(names or [chain.name for chain in samples], samples, strict=True):
        natural_rg = profile.radius_law.mean(len(chain.coordinates))
        measured = measure_chain(chain, ramachandran=profile.ramachandran, natural_rg=natural_rg)
        rows.append({"file": name, **measured})
        advance(1)
    table = pd.DataFrame(rows)
    if isinstance(reference, ChainStore):
        table["novelty_tm"], table["nearest"] = _novelty(samples, reference, workers=workers, advance=advance)
    # Of each sample, the mean over those it is compared with; samples that are not compared have none.
    table["pairwise_tm"] = np.nan
    groups = group_by_length(table["length"].to_numpy())
    compared = [np.sort(rng.permutation(group.indices)[:COMPARED_PER_LENGTH]) for group in groups]
    matrices = tm_matrices([[samples[i].coordinates[:, CA] for i in chosen] for chosen in compared], workers=workers)
    by_length = {}
    for group, chosen, matrix in zip(groups, compared, matrices, strict=True):
        table.loc[chosen, "pairwise_tm"] = mean_to_others(matrix)
        by_length[group.label] = summarise(table.iloc[group.indices], [matrix], profile, rng=rng)
    overall = summarise(table, matrices, profile, rng=rng)
    return Evaluation(table, overall, by_length, profile.description, unreadable or {})


def _profile(
    reference: ChainStore | ReferenceProfile | None, samples: Sequence[Chain], *, workers: int
) -> ReferenceProfile:
    """Return the natural figures: as given, those in the package, or those of a store's chains of like lengths."""
    if isinstance(reference, ReferenceProfile):
        return reference
    shipped = ReferenceProfile.shipped()
    if reference is None:
        return shipped
    lengths = np.unique([round(len(sample.coordinates) / REACH) * REACH for sample in samples])
    try:
        own = measure_natural(
            shipped,
            reference,
            lengths,
            chains_per_length=NATURAL_PER_LENGTH,
            compared=NATURAL_COMPARED,
            workers=workers,
        )
    except InputError as error:
        log.warning("%s; natural figures are those in the package", error)
        return shipped
    # What was not measured on the store stays as it is in the package.
    kept = [shipped.natural(length) for length in own.lengths.tolist()]
    rest = {
        name: np.array([figures[name] for figures in kept]) for name in shipped.measures if name not in own.measures
    }
    return replace(own, measures={**own.measures, **rest})


def _novelty(
    samples: Sequence[Chain], store: ChainStore, *, workers: int, advance: Callable[[int], None]
) -> tuple[list[float], list[str]]:
    """Return the TM-score to the nearest chain of the store, normalised by the sample's length, and its name."""
    traces = [sample.coordinates[:, CA] for sample in samples]
    nearest = search(traces, store, workers=workers, advance=advance)
    names = store.names
    return (
        [neighbour.tm_score for neighbour in nearest],
        [str(names[neighbour.chain]) if neighbour.chain >= 0 else "" for neighbour in nearest],
    )


def _summary(record: Mapping[str, Any]) -> Summary:
    intervals = {name: (float(low), float(high)) for name, (low, high) in record["intervals"].items()}
    return Summary(int(record["samples"]), record["means"], intervals, record["natural"])
