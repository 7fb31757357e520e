"""A folder of structure files, searched through all its subfolders, or a single file.

PDB, mmCIF and BinaryCIF files are known by their suffix, also gzipped; hidden files are passed over. Files are read by
several processes when asked, and always given in the order of their paths.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from helicell.core.errors import HelicellError, InputError
from helicell.protein.chains.sources.source import Item
from helicell.protein.structures import StructureError, read_structure

__all__ = ["StructureFolder"]

# A new process starts in about a second, the time of this many files.
FILES_PER_WORKER = 40
# Files in the hands of each process: enough to keep it busy, few enough to bound the memory.
READ_AHEAD = 8


class StructureFolder:
    """The chains of all structure files below a folder.

    Parameters
    ----------
    path
        A folder, or one file.
    workers
        Most processes that read; 1 reads in this one. Several are started for many files only, and need a main module
        that can be imported, as `multiprocessing` does.
    """

    kind = "structures"

    def __init__(self, path: Path, *, workers: int = 1) -> None:
        self.path = path
        self._files = [path] if path.is_file() else _find_files(path)
        self.total = len(self._files)
        self.workers = min(workers, 1 + self.total // FILES_PER_WORKER)
        if not self._files:
            message = f"{path} is an empty folder; expected PDB, mmCIF or BinaryCIF files"
            raise InputError(message)

    def __iter__(self) -> Iterator[Item]:
        root = self.path.parent if self.path.is_file() else self.path
        if self.workers <= 1:
            for file in self._files:
                yield _read_item(file, root)
            return
        # Fresh processes: a fork would copy the locks of threads that the caller runs.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, mp_context=context, initializer=_ignore_interrupts) as pool:
            try:
                yield from _in_order(pool, self._files, root, ahead=self.workers * READ_AHEAD)
            except BrokenProcessPool as error:
                message = "a process that read structure files was killed, perhaps for memory; use fewer workers"
                raise HelicellError(message) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, files: list[Path], root: Path, *, ahead: int) -> Iterator[Item]:
    """Read files in processes and give them in their order, a bounded number ahead."""
    remaining = iter(files)
    waiting: deque[Future[Item]] = deque(pool.submit(_read_item, file, root) for file in islice(remaining, ahead))
    while waiting:
        yield waiting.popleft().result()
        for file in islice(remaining, 1):
            waiting.append(pool.submit(_read_item, file, root))


def _read_item(file: Path, root: Path) -> Item:
    name = _printable(file.relative_to(root))
    try:
        structure = read_structure(file)
    except StructureError as error:
        return Item(name, reason=error.reason, detail=str(error))
    return Item(name, structure.chains, {"predicted": structure.predicted, "file": name})


def _find_files(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones; folders that are links are not entered, so there are no circles."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _printable(path: Path) -> str:
    """Name a file in plain text, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the main process, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
