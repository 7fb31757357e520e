"""Clusters of similar sequences, so that training and validation never share a fold by descent.

MMseqs2 clusters at 30 % identity over 80 % of both sequences, where the program is installed. Without it, sequences are
joined that share short words: this keeps together what is at least half identical, and misses remoter relatives.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helicell.core.errors import HelicellError, InputError
from helicell.protein.chains.cores import available_cores

__all__ = ["ClusterMethod", "choose_method", "cluster_by_mmseqs", "cluster_by_words", "cluster_sequences"]

ClusterMethod = Literal["auto", "none", "mmseqs", "words"]

PROGRAM = "mmseqs"
IDENTITY = 0.3
COVERAGE = 0.8
# So few sequences are clustered in one step, which is more exact and saves the start-up of the others.
FEW_SEQUENCES = 2000

# Words of four letters: a pair of unrelated chains of 150 residues shares 0.14 of them by chance, one that is half
# identical about 9. Only words at about the same distance along both sequences count together, as in an alignment.
WORD_LENGTH = 4
DIAGONALS = 8
# Sequences are joined when they share this fraction of the length of the shorter one, and at least so many words.
# Of random mutants of chains of 60-200 residues, joins all at 70 % identity, 93 % at 60 %, and 54 % at 50 %.
SHARED_FRACTION = 0.06
SHARED_WORDS = 6
# Owners of one word are compared with so many of their successors only, which keeps the work linear in the residues.
# Longer lists of owners are tags or large families, and a family is strung together by its neighbours.
NEIGHBOURS = 16
# More than the residues of any chain, to keep diagonals apart in one number.
LONGEST = 1 << 16
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def choose_method(method: ClusterMethod) -> Literal["none", "mmseqs", "words"]:
    """Settle ``auto``: MMseqs2 where it is installed, else shared words.

    Raises
    ------
    InputError
        If MMseqs2 is asked for and not installed.
    """
    installed = shutil.which(PROGRAM) is not None
    if method == "mmseqs" and not installed:
        message = "clustering by mmseqs needs the program mmseqs (Debian: apt-get install mmseqs2); or cluster by words"
        raise InputError(message)
    if method == "auto":
        return "mmseqs" if installed else "words"
    return method


def cluster_sequences(sequences: Sequence[str], method: Literal["mmseqs", "words"]) -> NDArray[np.int32]:
    """Return the cluster of each sequence, numbered in the order of their first members."""
    if not sequences:
        return np.empty(0, np.int32)
    return cluster_by_mmseqs(sequences) if method == "mmseqs" else cluster_by_words(sequences)


def cluster_by_mmseqs(sequences: Sequence[str], *, threads: int | None = None) -> NDArray[np.int32]:
    """Cluster at 30 % identity over 80 % of both sequences by MMseqs2.

    Raises
    ------
    HelicellError
        If the program fails.

    References
    ----------
    M. Steinegger, J. Soeding, Nature Biotechnology 35, 1026 (2017).
    """
    with tempfile.TemporaryDirectory(prefix="helicell-clusters-") as name:
        folder = Path(name)
        fasta = "".join(f">{index}\n{sequence}\n" for index, sequence in enumerate(sequences))
        (folder / "in.fasta").write_text(fasta)
        command = [PROGRAM, "easy-cluster", "in.fasta", "out", "work", "--cov-mode", "0", "-v", "1"]
        command += ["--min-seq-id", str(IDENTITY), "-c", str(COVERAGE), "--threads", str(threads or available_cores())]
        if len(sequences) < FEW_SEQUENCES:
            command.append("--single-step-clustering")
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"mmseqs failed with code {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}"
            raise HelicellError(message)
        pairs = np.loadtxt(folder / "out_cluster.tsv", dtype=np.int64, ndmin=2)
    representative = np.arange(len(sequences))
    representative[pairs[:, 1]] = pairs[:, 0]
    return _renumber(representative)


def cluster_by_words(sequences: Sequence[str]) -> NDArray[np.int32]:
    """Join sequences that share words of four letters, directly or through others (single linkage).

    Single linkage never leaves two joined sequences in different clusters, at the price of a few large ones.

    Examples
    --------
    >>> first = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    >>> cluster_by_words([first, "GSHM" + first[:-3] + "AAA", "DCCSYEDRREIRHIWDDVWSSSFTDRRVAIVRAVFD"]).tolist()
    [0, 0, 1]
    """
    count = len(sequences)
    lengths = np.array([len(sequence) for sequence in sequences])
    word, owner, place = _words(sequences, lengths)
    bands = 2 * LONGEST // DIAGONALS
    keys = []
    for step in range(1, NEIGHBOURS + 1):
        same = (word[step:] == word[:-step]) & (owner[step:] != owner[:-step])
        diagonal = (place[:-step][same] - place[step:][same] + LONGEST) // DIAGONALS
        keys.append((owner[:-step][same] * count + owner[step:][same]) * bands + diagonal)
    key, shared = np.unique(np.concatenate(keys), return_counts=True)
    first, second = np.divmod(key // bands, count)
    needed = np.maximum(SHARED_WORDS, SHARED_FRACTION * np.minimum(lengths[first], lengths[second]))
    joined = shared >= needed
    links = coo_array((joined[joined], (first[joined], second[joined])), shape=(count, count))
    return _renumber(connected_components(links, directed=False)[1])


def _words(sequences: Sequence[str], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Return all words as numbers, their owners and their places, sorted by word, then by owner."""
    code = np.full(256, -1, np.int64)
    code[np.frombuffer(LETTERS.encode(), np.uint8)] = np.arange(len(LETTERS))
    letters = code[np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)]
    owner = np.repeat(np.arange(len(sequences)), lengths)
    place = np.arange(len(letters)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if len(letters) < WORD_LENGTH:
        return letters[:0], owner[:0], place[:0]
    windows = np.lib.stride_tricks.sliding_window_view(letters, WORD_LENGTH)
    starts = len(windows)
    whole = (windows >= 0).all(axis=1) & (owner[:starts] == owner[WORD_LENGTH - 1 :])
    word = windows[whole] @ (len(LETTERS) ** np.arange(WORD_LENGTH))
    owner, place = owner[:starts][whole], place[:starts][whole]
    order = np.lexsort((owner, word))
    return word[order], owner[order], place[order]


def _renumber(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number clusters in the order in which they first occur."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse]
