"""AdamW, with its states in 32 or in 8 bits a number.

The two moments of AdamW take twice the memory of the weights; in 8 bits, with a scale for each block of numbers, a
quarter of that. The kernels are those of bitsandbytes, which runs on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from helicell.core.errors import HelicellError, InputError, MissingPackageError

FULL_BITS = 32
EIGHT_BITS = 8


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    state_bits: int = FULL_BITS,
) -> torch.optim.Optimizer:
    """Return AdamW that decays matrices only.

    Parameters
    ----------
    parameters
        What to optimise; those with fewer than two axes are not decayed.
    learning_rate, betas, weight_decay
        As AdamW names them.
    state_bits
        32, or 8 to save memory on a GPU; small tensors keep 32 bits either way.

    Raises
    ------
    MissingPackageError
        If 8 bits are asked for and bitsandbytes is not installed.
    HelicellError
        If 8 bits are asked for and there is no GPU.

    References
    ----------
    Dettmers and others, 8-bit optimizers via block-wise quantization, arXiv 2110.02861.
    """
    parameters = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if state_bits == FULL_BITS:
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
    if state_bits == EIGHT_BITS:
        return _bitsandbytes().optim.AdamW8bit(groups, lr=learning_rate, betas=betas)
    message = f"optimiser states in {state_bits} bits do not exist; choose {FULL_BITS} or {EIGHT_BITS}"
    raise InputError(message)


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError as error:
        raise MissingPackageError("bitsandbytes", extra="gpu", purpose="optimiser states in 8 bits") from error
    if not torch.cuda.is_available():
        message = "optimiser states in 8 bits need a GPU, and there is none here; set state_bits to 32"
        raise HelicellError(message)
    return bitsandbytes
