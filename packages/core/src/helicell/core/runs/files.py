"""Files and folders that are either whole or absent, whatever interrupts the writing."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Marks what a killed process may have left behind; see `remove_partial`.
PARTIAL = "partial"
CHUNK_BYTES = 1 << 20


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` once the block has ended well.

    The temporary file lies in the same folder (which is made when absent) and keeps the suffix, for writers that choose
    the format by it. When the block raises, the temporary file is removed and what stood at `path` before is untouched.

    Parameters
    ----------
    path
        The file to write.

    Yields
    ------
    pathlib.Path
        Where to write; it does not exist yet.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> [file.name for file in folder.iterdir()]
    ['numbers.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _partial_path(path)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder to fill, and rename it to `path` once the block has ended well.

    Parameters
    ----------
    path
        The folder to make; it may exist only when empty.

    Yields
    ------
    pathlib.Path
        An empty folder beside `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _partial_path(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush_to_disk(file)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, whole or not at all; a NaN or an infinity is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def is_partial(path: Path) -> bool:
    """Tell whether a name is the temporary one of a file or folder that is, or was, being written."""
    return path.name.startswith(".") and f".{PARTIAL}" in path.name


def remove_partial(folder: str | Path) -> None:
    """Remove what processes that were killed while writing into `folder` left behind."""
    for leftover in filter(is_partial, Path(folder).iterdir()):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}.{PARTIAL}{path.suffix}")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
