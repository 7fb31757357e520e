"""Structures of sequences by ESMFold, many at once in bounded memory.

The network is that of the package `transformers` (the extra `folding`). Its weights are the user's: a folder, or a name
in the cache of the model hub; nothing is ever downloaded from here. Sequences of like lengths are folded together, as
many as hold a given number of residue pairs, and the attention over pairs goes in pieces where a sequence is long. A
sequence has the same structure in any company: what pads it is masked in every layer.

References
----------
Lin et al., Evolutionary-scale prediction of atomic-level protein structure with a language model, Science 379, 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from helicell.core.errors import InputError, MissingPackageError, unknown_option
from helicell.core.runs.devices import choose_device

PUBLISHED = "facebook/esmfold_v1"
# The order in which the network numbers residues; it has no atoms for any other.
LETTERS = "ARNDCQEGHILKMFPSTWYV"
BACKBONE_ATOMS, CA = 4, 1
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Residue pairs of the sequences that are folded together; a pair takes about ten kilobytes.
PAIRS_PER_BATCH = 2**18
# Entries of an attention over pairs, [rows, heads, residues, residues], that are held at once, for four heads.
ATTENTION_ENTRIES = 2**27
ATTENTION_HEADS = 4
# Tensors that published checkpoints lack: a head of the language model that is not used in folding.
UNUSED = "esm.contact_head."
CONFIGURATION, WEIGHTS = "config.json", ("*.safetensors", "*.bin")


@dataclass(frozen=True, slots=True)
class Fold:
    """A predicted structure.

    Attributes
    ----------
    coordinates
        Atoms N, CA, C, O, [residues, 4, 3], Angstrom.
    plddt
        Confidence in the CA atom of each residue, 0 to 100, [residues].
    """

    coordinates: NDArray[np.float32]
    plddt: NDArray[np.float32]


class ESMFold:
    """ESMFold, loaded once.

    Parameters
    ----------
    weights
        A folder with config.json and the weights, or a name in the cache of the model hub.
    device
        "auto", "cpu", "cuda" or "mps".
    precision
        Of the language model, which holds most of the weights: "float32", "float16" or "bfloat16"; "auto" is float16 on
        CUDA, as published, and float32 elsewhere. The folding part always computes in float32.
    chunk_size
        Rows of the attention over pairs that are computed at once; chosen by length unless given.

    Raises
    ------
    MissingPackageError
        If the package is not installed.
    InputError
        If the weights are not there, are of another network, or lack a tensor.
    """

    def __init__(
        self,
        weights: str | Path = PUBLISHED,
        *,
        device: str = "auto",
        precision: str = "auto",
        chunk_size: int | None = None,
    ) -> None:
        folder = weights_folder(weights)
        self.device = choose_device(device)
        language = _precision(precision, self.device)
        network = _load(folder).float().eval().requires_grad_(requires_grad=False)
        network.esm.to(language)
        self.network = network.to(self.device)
        self.weights, self.chunk_size = str(weights), chunk_size

    def fold(self, sequences: Sequence[str]) -> list[Fold]:
        """Fold sequences, given in one-letter codes, and return a structure for each.

        Raises
        ------
        InputError
            If a sequence is empty, or has letters other than the twenty.
        """
        for sequence in sequences:
            strange = "".join(sorted(set(sequence) - set(LETTERS)))
            if strange or not sequence:
                message = f"cannot fold {sequence[:20]!r}: expected letters of {LETTERS}, got {strange!r}"
                raise InputError(message)
        folds: dict[int, Fold] = {}
        for some in fold_batches([len(sequence) for sequence in sequences]):
            folds |= zip(some, self._fold([sequences[i] for i in some]), strict=True)
        return [folds[i] for i in range(len(sequences))]

    @torch.inference_mode()
    def _fold(self, sequences: Sequence[str]) -> list[Fold]:
        """Fold the sequences of one batch."""
        numbers = [torch.tensor([LETTERS.index(letter) for letter in sequence]) for sequence in sequences]
        letters = torch.nn.utils.rnn.pad_sequence(numbers, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in numbers], batch_first=True)
        self.network.trunk.set_chunk_size(self.chunk_size or chunk_size_for(letters.shape[1]))
        output = self.network(letters.to(self.device), attention_mask=mask.to(self.device))
        positions = output["positions"][-1, :, :, :BACKBONE_ATOMS].float().cpu().numpy()
        plddt = 100 * output["plddt"][:, :, CA].float().cpu().numpy()
        lengths = [len(sequence) for sequence in sequences]
        return [Fold(positions[row, :length], plddt[row, :length]) for row, length in enumerate(lengths)]


def weights_folder(weights: str | Path) -> Path:
    """Return the folder of weights: as given, or that of a name in the cache of the model hub.

    Raises
    ------
    MissingPackageError
        If the package is not installed.
    InputError
        If there is no such folder, and no such name in the cache.
    """
    if find_spec("transformers") is None:
        raise MissingPackageError("transformers", extra="folding", purpose="the folding of sequences")
    folder = Path(weights)
    if not folder.is_dir():
        folder = _cached(str(weights))
    if not (folder / CONFIGURATION).is_file() or not weight_files(folder):
        message = f"{folder} holds no {CONFIGURATION} with weights (.safetensors or .bin); give the folder of ESMFold"
        raise InputError(message)
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the files that decide what a network predicts: its configuration and its weights."""
    for pattern in WEIGHTS:
        found = sorted(folder.glob(pattern))
        if found:
            return [folder / CONFIGURATION, *found]
    return []


def fold_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Cut sequences, given by length, into batches of like lengths and bounded pairs, the longest first.

    Examples
    --------
    >>> fold_batches([100, 1000, 110])
    [[1], [2, 0]]
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] ** 2 <= PAIRS_PER_BATCH:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def chunk_size_for(length: int) -> int:
    """Return how many rows of the attention over pairs are computed at once.

    Examples
    --------
    >>> chunk_size_for(100), chunk_size_for(1000)
    (3355, 33)
    """
    return max(1, ATTENTION_ENTRIES // (ATTENTION_HEADS * length**2))


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in PRECISIONS:
        raise unknown_option("precision", name, ("auto", *PRECISIONS))
    return PRECISIONS[name]


def _cached(name: str) -> Path:
    """Return where the cache of the model hub keeps a model."""
    hub = import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        message = (
            f"the weights {name!r} are neither a folder nor in the cache of the model hub; "
            f"get them once with `hf download {PUBLISHED}`, or give their folder"
        )
        raise InputError(message) from error


def _load(folder: Path) -> Any:
    """Load a network, and refuse one that would be random in part."""
    with _quiet():
        transformers = import_module("transformers")
        try:
            network, found = transformers.EsmForProteinFolding.from_pretrained(
                folder, local_files_only=True, output_loading_info=True
            )
        except Exception as error:  # a damaged file or another network fails in every way there is
            cause = " ".join(str(error).split())[:120] or type(error).__name__
            message = f"{folder} cannot be loaded as ESMFold: {cause}; get its weights again"
            raise InputError(message) from error
    absent = sorted(name for name in found["missing_keys"] if not name.startswith(UNUSED))
    absent += [str(name) for name in found["mismatched_keys"]]
    if absent:
        others = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        message = f"the weights in {folder} lack {absent[0]}{others}; give those of the whole ESMFold"
        raise InputError(message)
    return network


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the package prints while it loads off the terminal: bars, and tables of what is not needed."""
    logger = logging.getLogger("transformers")
    level = logger.level
    utilities = import_module("transformers.utils.logging")
    bars = utilities.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    utilities.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            utilities.enable_progress_bar()
