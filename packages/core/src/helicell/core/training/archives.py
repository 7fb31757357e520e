"""Checkpoints of other programs: reading what `torch.save` wrote without running it.

Such a file is a zip archive, never compressed: a pickle, which describes everything, and one entry with the numbers of
each tensor. The pickle is read by `pickles`, which calls nothing. The archive is checked before anything of it is used:
entries that are compressed, or claim to be larger than the file, are refused, so no small file becomes a large one.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.training.pickles import Made, read_pickle

# The description of the largest checkpoints known takes less than one MiB.
LARGEST_PICKLE = 1 << 24
STORAGES = {
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.ShortStorage": torch.int16,
}
TENSOR, PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
# What tensors, containers and the numbers of numpy ask for.
PLAIN_NAMES = frozenset(
    {
        *STORAGES,
        TENSOR,
        PARAMETER,
        "torch.Size",
        "torch.device",
        "collections.OrderedDict",
        "collections.defaultdict",
        *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")),
        "_codecs.encode",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "pathlib.Path",
        "pathlib.PosixPath",
    }
)


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """Where the numbers of a tensor are, and how they are laid out; lengths in elements."""

    key: str
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    stored: int


class TorchArchive:
    """A file of `torch.save`, opened for reading.

    Parameters
    ----------
    path
        The file.
    allowed
        Names, "module.name", that its pickle may hold besides those of tensors and containers.

    Attributes
    ----------
    content
        What was saved; tensors are `TensorRecord`, other things that would need a call are `pickles.Made`.

    Raises
    ------
    InputError
        If the file is missing, no such archive, damaged, cut short, compressed, or asks for other names.
    """

    def __init__(self, path: str | Path, *, allowed: Collection[str] = ()) -> None:
        self.path = Path(path)
        try:
            self._open(allowed)
        except OSError as error:
            message = f"the checkpoint {path} cannot be read: {error.strerror or error}"
            raise InputError(message) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            message = f"the checkpoint {path} is damaged or cut short ({error}); fetch it again"
            raise InputError(message) from error

    def _open(self, allowed: Collection[str]) -> None:
        with self.path.open("rb") as handle:
            if handle.read(4) != b"PK\x03\x04":
                message = (
                    f"{self.path} is no checkpoint of torch 1.6 or newer; save it anew with the torch that wrote it"
                )
                raise InputError(message)
        with zipfile.ZipFile(self.path) as archive:
            self._check(archive)
            self._root = self._find_root(archive)
            order = f"{self._root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                message = f"{self.path} was written on a big-endian machine; save it anew on a common one"
                raise InputError(message)
            pickle = archive.read(f"{self._root}data.pkl")
        try:
            self.content = _with_records(read_pickle(pickle, allowed=PLAIN_NAMES | set(allowed)), {})
        except InputError as error:
            message = f"{self.path} is refused: {error}"
            raise InputError(message) from error
        except RecursionError as error:
            message = f"{self.path} is refused: its description is nested too deeply"
            raise InputError(message) from error

    def _check(self, archive: zipfile.ZipFile) -> None:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            message = f"{self.path} is refused: it holds compressed entries, which torch never writes"
            raise InputError(message)
        if sum(entry.file_size for entry in entries) > self.path.stat().st_size:
            message = f"{self.path} is refused: its entries claim to be larger than the file"
            raise InputError(message)

    def _find_root(self, archive: zipfile.ZipFile) -> str:
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            message = f"{self.path} is a zip archive, but no checkpoint of torch: it has no data.pkl"
            raise InputError(message)
        if archive.getinfo(names[0]).file_size > LARGEST_PICKLE:
            message = f"{self.path} is refused: its description is larger than {LARGEST_PICKLE >> 20} MiB"
            raise InputError(message)
        return names[0].removesuffix("data.pkl")

    def tensors(self, records: dict[str, TensorRecord]) -> dict[str, Tensor]:
        """Read tensors, given by name.

        Raises
        ------
        InputError
            If the archive lacks the numbers of one, or they are damaged or do not fit its shape.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {name: self._tensor(archive, name, record) for name, record in records.items()}
        except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
            message = f"the checkpoint {self.path} is damaged or cut short ({error}); fetch it again"
            raise InputError(message) from error

    def _tensor(self, archive: zipfile.ZipFile, name: str, record: TensorRecord) -> Tensor:
        data = archive.read(f"{self._root}data/{record.key}")
        last = record.offset + sum((n - 1) * step for n, step in zip(record.shape, record.stride, strict=True))
        count = math.prod(record.shape)
        if len(data) != record.stored * record.dtype.itemsize or not (count <= record.stored and last < record.stored):
            message = f"the checkpoint {self.path} is damaged: the numbers of {name!r} do not fit its shape"
            raise InputError(message)
        if not count:
            return torch.empty(record.shape, dtype=record.dtype)
        storage = torch.frombuffer(bytearray(data), dtype=record.dtype)
        return storage.as_strided(record.shape, record.stride, record.offset).contiguous()


def _with_records(value: Any, seen: dict[int, Any]) -> Any:
    """Return a value with tensors as records, inside of dicts, lists and tuples; other things are left alone."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Made) and value.name in (TENSOR, PARAMETER):
        seen[id(value)] = _record(value)
    elif isinstance(value, dict):
        result = seen[id(value)] = {}
        result.update((key, _with_records(one, seen)) for key, one in value.items())
    elif isinstance(value, list):
        elements: list[Any] = []
        seen[id(value)] = elements
        elements.extend(_with_records(one, seen) for one in value)
    elif isinstance(value, tuple):
        seen[id(value)] = tuple(_with_records(one, seen) for one in value)
    else:
        return value
    return seen[id(value)]


def _record(made: Made) -> TensorRecord:
    try:
        if made.name == PARAMETER:
            made = made.arguments[0]
        stored, offset, shape, stride = made.arguments[:4]
        kind, storage, key, _, count = stored.key
        numbers = (offset, count, *shape, *stride)
        fits = kind == "storage" and isinstance(key, str) and key.isalnum() and len(shape) == len(stride)
        if fits and all(type(number) is int and number >= 0 for number in numbers):
            return TensorRecord(key, STORAGES[storage.name], offset, tuple(shape), tuple(stride), count)
    except (AttributeError, TypeError, ValueError, KeyError, IndexError):
        pass
    message = "the checkpoint is damaged: it holds a tensor that is none"
    raise InputError(message)
