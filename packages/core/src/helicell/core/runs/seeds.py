"""A random stream of its own for every sample, so that a result never depends on batch size, shard or workers.

Stream number `index` of a job is a function of (seed, stream name, index) alone. Torch's CPU generator takes only the
lowest 32 bits of its seed, so hashing would give two of a hundred thousand samples the same stream more often than not.
Instead, numpy's SeedSequence turns the seed and the stream name into two keys, and the keys choose a permutation of the
32-bit numbers: within one job and stream, no two samples ever share a seed.
"""

import hashlib

import numpy as np
import torch

from helicell.core.errors import InputError

SEED_BITS = 32
MASK = (1 << SEED_BITS) - 1


def sample_seed(seed: int, index: int, stream: str = "") -> int:
    """Return the seed of one sample, a number under 2**32.

    Parameters
    ----------
    seed
        The seed of the whole job, 0 or greater.
    index
        The number of the sample in the job, at least 0 and under 2**32.
    stream
        What the numbers are for, where one sample needs several independent streams.

    Returns
    -------
    int
        Different for every index of the same seed and stream.

    Raises
    ------
    InputError
        If the seed or the index is out of range.

    Examples
    --------
    >>> sample_seed(7, 0) == sample_seed(7, 0)
    True
    >>> sample_seed(7, 0) == sample_seed(7, 1)
    False
    """
    if seed < 0:
        message = f"the seed is {seed}, expected a whole number of 0 or more"
        raise InputError(message)
    if not 0 <= index <= MASK:
        message = f"the sample index is {index}, expected 0 to {MASK}"
        raise InputError(message)
    name = np.frombuffer(hashlib.sha256(stream.encode()).digest(), dtype="<u4")
    keys = np.random.SeedSequence(entropy=seed, spawn_key=tuple(int(word) for word in name)).generate_state(2)
    return _mix((index + int(keys[0])) & MASK) ^ int(keys[1])


def sample_generator(seed: int, index: int, *, stream: str = "") -> torch.Generator:
    """Return the random generator of one sample; the parameters are those of `sample_seed`.

    It lives on the CPU whatever the device of the model, so that every device starts from the same noise.

    Examples
    --------
    >>> generator = sample_generator(7, 3)
    >>> torch.equal(torch.randn(2, generator=generator), torch.randn(2, generator=sample_generator(7, 3)))
    True
    """
    return torch.Generator().manual_seed(sample_seed(seed, index, stream))


def _mix(value: int) -> int:
    """Permute the 32-bit numbers so that neighbours land far apart (the finaliser of MurmurHash3)."""
    value ^= value >> 16
    value = value * 0x85EBCA6B & MASK
    value ^= value >> 13
    value = value * 0xC2B2AE35 & MASK
    return value ^ value >> 16
