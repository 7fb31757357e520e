"""The nearest known structures by Foldseek, where that program is installed.

Foldseek is called as published evaluations call it: TM-align on every pair, without its quick filter. Its column of
E-values then holds a TM-score of some normalisation, which evaluations have misread; here the scores are asked for by
name, and novelty is the one normalised by the length of the sample, as for a store of chains.

References
----------
M. van Kempen et al., Fast and accurate protein structure search with Foldseek, Nature Biotechnology 42, 2024.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from helicell.core.errors import HelicellError, InputError
from helicell.protein.structures import file_stem

PROGRAM = "foldseek"
COLUMNS = ("query", "target", "qtmscore", "ttmscore", "alntmscore")
# All pairs are aligned and kept, whatever their score.
EXHAUSTIVE = (
    "--alignment-type", "1", "--exhaustive-search", "1", "--tmscore-threshold", "0.0", "--max-seqs", "10000000000",
)  # fmt: skip
# Lines of the program's complaint that are told.
TOLD = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A known structure that a sample resembles.

    Attributes
    ----------
    query
        Name of the sample's file.
    target
        Name of the known structure.
    by_query, by_target
        TM-scores, normalised by the length of the sample and of the known structure.
    """

    query: str
    target: str
    by_query: float
    by_target: float


def search_foldseek(folder: str | Path, database: str | Path, *, threads: int = 1) -> dict[str, Hit]:
    """Find the nearest structure of a database for every structure file of a folder.

    Parameters
    ----------
    folder
        Structure files, each one sample.
    database
        A database that `foldseek createdb` or `foldseek databases` made, or a folder of structures.
    threads
        Threads of the program.

    Returns
    -------
    dict of str to Hit
        By name of the file without its suffix; samples without any hit are absent.

    Raises
    ------
    InputError
        If the program is not installed, or the database is absent.
    HelicellError
        If the program fails.
    """
    program, database = foldseek_program(), check_database(database)
    with TemporaryDirectory(prefix="helicell-foldseek-") as temporary:
        table = Path(temporary) / "hits.tsv"
        command = [program, "easy-search", str(folder), str(database), str(table), str(Path(temporary) / "work")]
        command += [*EXHAUSTIVE, "--format-output", ",".join(COLUMNS), "--threads", str(threads)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode or not table.is_file():
            lines = (finished.stderr.strip() or finished.stdout.strip()).splitlines()[-TOLD:]
            message = f"foldseek failed with exit code {finished.returncode}: {' '.join(lines)[:200]}"
            raise HelicellError(message)
        return nearest_hits(parse_hits(table.read_text(encoding="utf-8")))


def foldseek_program() -> str:
    """Return the path of the program.

    Raises
    ------
    InputError
        If it is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        message = "the program foldseek is not on the PATH; install it, or compare with a chain store (--reference)"
        raise InputError(message)
    return program


def check_database(database: str | Path) -> Path:
    """Return the path of a database.

    Raises
    ------
    InputError
        If there is none.
    """
    path = Path(database)
    if not (path.is_dir() or path.is_file()):
        message = f"there is no Foldseek database {path}; make one with `foldseek createdb STRUCTURES {path}`"
        raise InputError(message)
    return path


def parse_hits(text: str) -> list[Hit]:
    """Read the table of hits, which has the columns `COLUMNS` between tabs and no header.

    Raises
    ------
    HelicellError
        If a line is not of that form.

    Examples
    --------
    >>> parse_hits(chr(9).join(["sample_000000.cif", "7vep_A", "4.045E-01", "4.832E-01", "4.832E-01"]))
    [Hit(query='sample_000000.cif', target='7vep_A', by_query=0.4045, by_target=0.4832)]
    """
    hits = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        try:
            query, target, by_query, by_target, _ = fields
            hits.append(Hit(query, target, float(by_query), float(by_target)))
        except ValueError as error:
            message = f"line {number} of foldseek's table is {line[:80]!r}; expected {', '.join(COLUMNS)}"
            raise HelicellError(message) from error
    return hits


def nearest_hits(hits: Sequence[Hit]) -> dict[str, Hit]:
    """Return the highest-scoring hit of each sample, by name of its file without its suffix."""
    nearest: dict[str, Hit] = {}
    for hit in hits:
        name = file_stem(Path(hit.query))
        if name not in nearest or hit.by_query > nearest[name].by_query:
            nearest[name] = hit
    return nearest
