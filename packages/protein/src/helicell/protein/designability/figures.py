"""From rows of sequences to what is told of a set of backbones: shares, means, diversity and novelty.

Diversity is that of the designable backbones: the mean TM-score of pairs within a length, as it is published, and the
number of folds at a TM-score of 0.5. How many folds there are depends on how clusters are joined, so all three ways are
told: by their likest pair ("single"), by the mean over pairs ("average"), and by their unlikest pair ("complete", where
any two members of a cluster share a fold).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from helicell.protein.designability.sequences import SequenceRow
from helicell.protein.evaluation.geometry import CA
from helicell.protein.evaluation.self_consistency import summarise_agreement
from helicell.protein.evaluation.similarity import LINKAGES, SAME_FOLD, cluster, mean_pairwise, tm_matrix
from helicell.protein.evaluation.summary import group_by_length

if TYPE_CHECKING:
    import pandas as pd

    from helicell.protein.structures import Chain

# The clusters whose numbers stand in the table: any two members share a fold.
SHOWN_LINKAGE = "complete"


def best_of(rows: Sequence[SequenceRow], *, threshold: float) -> pd.DataFrame:
    """Return the best of each backbone's sequences, a row a backbone.

    The rank, the score, the RMSD, the TM-score and the pLDDT are those of the sequence with the least RMSD; the mean
    displacement is the least of all, as it is published.
    """
    import pandas as pd

    best = []
    for file, group in groupby(rows, key=lambda row: row.file):
        own = list(group)
        chosen = min(own, key=lambda row: row.rmsd)
        displacement = min(row.mean_displacement for row in own)
        best.append(
            {
                "file": file,
                "length": chosen.length,
                "rank": chosen.rank,
                "score": chosen.score,
                "rmsd": chosen.rmsd,
                "mean_displacement": displacement,
                "tm_score": chosen.tm_score,
                "plddt": chosen.plddt,
                "designable": chosen.rmsd < threshold,
                "designable_by_mean_displacement": displacement < threshold,
            }
        )
    return pd.DataFrame(best)


def diversity(
    table: pd.DataFrame, chains: Sequence[Chain], *, compared: int, seed: int, workers: int = 1
) -> dict[str, Any]:
    """Compare the designable backbones with each other.

    Parameters
    ----------
    table
        A row a backbone; the column `cluster` is added to it, empty where a backbone was not compared.
    chains
        The backbones, in the order of the table.
    compared
        How many to compare, at most.
    seed
        For the choice of these.
    workers
        Processes for the alignments.

    Returns
    -------
    dict
        How many were compared, the number of folds for each linkage, and the mean TM-score within a length, averaged
        over lengths; None where no length has two.
    """
    import pandas as pd

    pool = np.flatnonzero(table["designable"].to_numpy())
    chosen = np.sort(np.random.default_rng(seed).permutation(pool)[:compared])
    matrix = tm_matrix([chains[i].coordinates[:, CA] for i in chosen.tolist()], workers=workers)
    labels = {linkage: cluster(matrix, linkage=linkage) for linkage in LINKAGES}
    table["cluster"] = pd.array([pd.NA] * len(table), dtype="Int64")
    table.loc[chosen, "cluster"] = labels[SHOWN_LINKAGE]
    groups = group_by_length(table["length"].to_numpy()[chosen]) if len(chosen) else []
    within = [mean_pairwise(matrix[np.ix_(g.indices, g.indices)]) for g in groups if len(g.indices) > 1]
    return {
        "compared": len(chosen),
        "threshold": SAME_FOLD,
        "folds": {linkage: len(np.unique(found)) for linkage, found in labels.items()},
        "pairwise_tm": float(np.mean(within)) if within else None,
    }


def summarise(
    table: pd.DataFrame,
    *,
    sequences: int,
    threshold: float,
    diversity: Mapping[str, Any],
    unreadable: Mapping[str, str],
) -> dict[str, Any]:
    """Return what metrics.json holds: over all backbones, for each length, and spread over lengths."""
    lengths = {
        group.label: summarise_agreement(table.iloc[group.indices], threshold=threshold)
        for group in group_by_length(table["length"].to_numpy())
    }
    record: dict[str, Any] = {
        "sequences": sequences,
        "threshold": threshold,
        "overall": summarise_agreement(table, threshold=threshold),
        "by_length": lengths,
        "over_lengths": {
            name: _spread([figures[name] for figures in lengths.values()])
            for name in ("designable", "designable_by_mean_displacement")
        },
        "diversity": dict(diversity),
        "unreadable": dict(unreadable),
    }
    for source in ("reference", "foldseek"):
        if f"{source}_tm" in table:
            scores = table[f"{source}_tm"].to_numpy(dtype=np.float64)
            chosen = scores[table["designable"].to_numpy()]
            record.setdefault("novelty", {})[source] = {"all": _mean(scores), "designable": _mean(chosen)}
    return record


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
