"""Weights on disk: safetensors with a model card, a JSON object, in the metadata.

Nothing in such a file is ever executed, unlike in a pickle. Its metadata has three entries of ours: the card; the
dtypes that tensors had before they were stored in a smaller one; a SHA-256 of the tensors, which safetensors lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.files import atomic_write

CARD, DTYPES, DIGEST = "helicell.card", "helicell.dtypes", "helicell.sha256"
# The first bytes of a zip archive (torch.save since 1.6) and of a pickle of protocol 2 or newer.
PICKLES = (b"PK\x03\x04", b"\x80")

# A file of safetensors starts with the length of its header, a number of so many bytes, to whose multiple it is padded.
LENGTH_BYTES = 8


def save_checkpoint(
    path: str | Path, state_dict: Mapping[str, Tensor], card: Mapping[str, Any], *, dtype: torch.dtype | None = None
) -> None:
    """Write weights with their model card; the file is whole or absent.

    Parameters
    ----------
    path
        The file, by custom `.safetensors`.
    state_dict
        The tensors by name. Tensors that share memory are stored apart.
    card
        What the model is, how it was made, what it may be used for: anything that JSON can say.
    dtype
        Store floating-point tensors in this dtype, say torch.float16 for half the size; loading gives back the dtype
        that they have now.

    Raises
    ------
    InputError
        If the card is no JSON, there is no tensor, or a weight is too large for `dtype`.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "line.safetensors"
    >>> save_checkpoint(file, torch.nn.Linear(2, 1).state_dict(), {"licence": "Apache-2.0"})
    >>> weights, card = load_checkpoint(file)
    >>> sorted(weights), card
    (['bias', 'weight'], {'licence': 'Apache-2.0'})
    """
    if not state_dict:
        message = f"no tensor was given for the checkpoint {path}; give for example module.state_dict()"
        raise InputError(message)
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in state_dict.items()}
    changed = {name: _name(state_dict[name].dtype) for name in tensors if tensors[name].dtype != state_dict[name].dtype}
    metadata = {CARD: _json(card), DTYPES: json.dumps(changed), DIGEST: _digest(tensors)}
    with atomic_write(path) as temporary:
        # Not save, which makes files that only their owner may read.
        temporary.write_bytes(_ordered(save(tensors, metadata={"format": "pt", **metadata})))


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and model card.

    Parameters
    ----------
    path
        A file written by `save_checkpoint`.

    Returns
    -------
    state_dict, card
        The tensors, on the CPU, and the card.

    Raises
    ------
    InputError
        If the file is missing, a pickle, damaged, or without a card.
    """
    path = Path(path)
    _check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_card(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
        card, dtypes = json.loads(metadata[CARD]), json.loads(metadata[DTYPES])
    except (SafetensorError, json.JSONDecodeError) as error:
        raise _damaged(path) from error
    if _digest(tensors) != metadata[DIGEST]:
        raise _damaged(path)
    return {name: t.to(getattr(torch, dtypes[name])) if name in dtypes else t for name, t in tensors.items()}, card


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return the tensor as it goes into the file, with memory of its own."""
    tensor = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    if dtype is None or not tensor.is_floating_point():
        return tensor
    smaller = tensor.to(dtype)
    if not torch.equal(smaller.isfinite(), tensor.isfinite()):
        message = f"a weight of {name!r} is too large for {_name(dtype)}; store the checkpoint in a wider dtype"
        raise InputError(message)
    return smaller


def _ordered(data: bytes) -> bytes:
    """Return a file with its metadata in order; safetensors shuffles it, and one model would have many files."""
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + data[LENGTH_BYTES + length :]


def _json(card: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(card), allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"the model card is no JSON ({error}); give strings, finite numbers, lists and mappings"
        raise InputError(message) from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_kind(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            start = handle.read(LENGTH_BYTES + 1)
    except OSError as error:
        message = f"the checkpoint {path} cannot be read: {error.strerror}"
        raise InputError(message) from error
    # The length of a header may begin like a pickle; what follows it is the header, a JSON object, all the same.
    if start.startswith(PICKLES) and start[LENGTH_BYTES:] != b"{":
        message = f"{path} is a pickle, which could run any program when loaded; give a .safetensors checkpoint"
        raise InputError(message)


def _check_card(path: Path, metadata: Mapping[str, str]) -> None:
    if not {CARD, DTYPES, DIGEST} <= set(metadata):
        message = f"{path} has no model card, so it is no checkpoint of Helicell; write it with save_checkpoint"
        raise InputError(message)


def _damaged(path: Path) -> InputError:
    return InputError(f"the checkpoint {path} is damaged or cut short; fetch or save it again")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
