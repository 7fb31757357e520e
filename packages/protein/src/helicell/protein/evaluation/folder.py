"""The samples of a folder: every structure file in it, and a reason for each one that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helicell.core.errors import InputError
from helicell.core.runs.files import is_partial
from helicell.protein.evaluation.similarity import SHORTEST
from helicell.protein.structures import is_structure_file, read_backbone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from helicell.protein.structures import Chain

# The table of all that a search for backbones made, kept or not; see `helicell.protein.campaign`.
TRIED = "tried.csv"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that gave no backbone, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Samples:
    """The backbones of a folder, in the order of their file names."""

    files: tuple[str, ...]
    chains: tuple[Chain, ...]
    unreadable: tuple[Unreadable, ...]


def structure_files(folder: str | Path) -> list[Path]:
    """Return the PDB, mmCIF and BinaryCIF files that lie directly in a folder, by name.

    Raises
    ------
    InputError
        If the folder is absent or holds none, unless a search found nothing to keep.
    """
    folder = Path(folder)
    if not folder.is_dir():
        message = f"{folder} is no folder; give the folder that holds the backbones"
        raise InputError(message)
    found = sorted(file for file in folder.iterdir() if is_structure_file(file) and not is_partial(file))
    if not found and not (folder / TRIED).is_file():
        message = f"the folder {folder} holds no structure file (.pdb, .cif, .bcif); give the folder of the backbones"
        raise InputError(message)
    return found


def read_samples(folder: str | Path, *, advance: Callable[[int], None] = lambda _: None) -> Samples:
    """Read every backbone of a folder.

    Parameters
    ----------
    folder : path
        Where the structure files lie; each is one sample.
    advance : callable
        Told the number of files just read.

    Returns
    -------
    Samples
        A file that cannot be used is listed with its reason instead of its chain.

    Raises
    ------
    InputError
        If the folder holds no structure file (see `structure_files`), or none that can be used.
    """
    paths = structure_files(folder)
    files: list[str] = []
    chains: list[Chain] = []
    unreadable: list[Unreadable] = []
    for path in paths:
        try:
            chain = read_backbone(path)
            if len(chain) < SHORTEST:
                message = f"{path} holds {len(chain)} residues, too few to be a fold; give {SHORTEST} or more"
                raise InputError(message)
            chains.append(chain)
            files.append(path.name)
        except InputError as error:
            unreadable.append(Unreadable(path.name, str(error)))
        advance(1)
    if paths and not chains:
        others = f", nor can the other {len(paths) - 1}" if len(paths) > 1 else ""
        message = f"{unreadable[0].reason}{others}"
        raise InputError(message)
    return Samples(tuple(files), tuple(chains), tuple(unreadable))


def read_folders(folders: Sequence[str | Path], *, advance: Callable[[int], None] = lambda _: None) -> Samples:
    """Read every backbone of several folders, such as the shards of a job; see `read_samples`.

    Raises
    ------
    InputError
        If a folder holds no structure file, or none that can be used; or if two folders have files of one name, which
        could then not be told apart.
    """
    parts = [read_samples(folder, advance=advance) for folder in folders]
    files = [file for part in parts for file in part.files]
    twice = next((file for file in files if files.count(file) > 1), None) if len(set(files)) < len(files) else None
    if twice is not None:
        message = f"several folders hold a file {twice}; evaluate them apart, or rename the files"
        raise InputError(message)
    return Samples(
        tuple(files),
        tuple(chain for part in parts for chain in part.chains),
        tuple(file for part in parts for file in part.unreadable),
    )
