"""Random streams that belong to samples, not to batches."""

import itertools

import numpy as np
import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator, sample_seed


def draw(seed, index, stream=""):
    """Return some normal numbers of one stream."""
    return torch.randn(1000, generator=sample_generator(seed, index, stream=stream), dtype=torch.float64)


def test_a_stream_depends_on_nothing_but_its_key():
    """The numbers of a sample are the same in whatever order, and beside whatever others, the samples are drawn."""
    forward = {index: draw(7, index) for index in range(5)}
    for index in reversed(range(5)):
        draw(8, 99)
        assert torch.equal(draw(7, index), forward[index])


def test_torch_takes_32_bits_of_a_seed():
    """The reason why seeds are a permutation of 32-bit numbers: longer ones, such as hashes, are cut and collide."""
    long, short = (torch.Generator().manual_seed(seed) for seed in (5 + 2**32, 5))
    assert torch.equal(torch.rand(4, generator=long), torch.rand(4, generator=short))


def test_no_two_samples_of_a_job_share_a_seed():
    """Of 200,000 samples, hashes of 32 bits would give about five pairs the same noise; here all differ."""
    seeds = {sample_seed(7, index, "noise") for index in range(200_000)}
    assert len(seeds) == 200_000
    assert max(seeds) < 2**32


def test_seeds_are_spread_evenly():
    """Every bit of the seeds of consecutive samples is set half of the time, to five standard deviations."""
    seeds = np.array([sample_seed(0, index) for index in range(20_000)], dtype=np.uint64)
    bits = (seeds[:, None] >> np.arange(32, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(seeds))


def test_neighbouring_streams_are_uncorrelated():
    """Neighbours in sample, seed and purpose share nothing; the bound is five standard deviations of 1000 draws."""
    keys = [(7, 0, ""), (7, 1, ""), (8, 0, ""), (7, 0, "noise"), (7, 2, ""), (2**40 + 7, 0, "")]
    for first, second in itertools.combinations([draw(*key) for key in keys], 2):
        correlation = torch.corrcoef(torch.stack([first, second]))[0, 1]
        assert abs(correlation) < 5 / np.sqrt(1000)


def test_seeds_are_the_same_on_every_machine_and_in_every_version():
    """Seeds stand in the tables of published samples; a change would break every one of them."""
    assert [sample_seed(7, index) for index in range(3)] == [560932916, 693862817, 3112036593]
    assert sample_seed(7, 0, "noise") == 3387501388


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1), (0, 2**32)])
def test_a_key_out_of_range_is_bad_input(seed, index):
    """Negative numbers would silently alias others."""
    with pytest.raises(InputError, match="expected"):
        sample_seed(seed, index)
