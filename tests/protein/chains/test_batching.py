"""Batches of chains: one of each cluster an epoch, full but not too full, resumed where they stopped."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from helicell.core.errors import InputError
from helicell.protein.chains.batching import ChainBatches, collate, pack
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.frames import backbone_from_frames
from helicell.protein.structures import Chain


@pytest.fixture
def store(tmp_path: Path) -> ChainStore:
    """Return forty straight chains of 20 to 59 residues, two in every cluster."""
    chains = []
    for i in range(40):
        ca = 3.8 * np.arange(20 + i)[:, None] * np.array([1.0, 0, 0]) + np.array([0.0, i, 0])
        atoms = np.array([[-0.5, 1.4, 0], [0, 0, 0], [1.5, 0, 0], [1.9, 1.1, 0]])
        coordinates = (ca[:, None] + atoms).astype(np.float32)
        chains.append(Chain(f"c{i}", coordinates, "A" * (20 + i), "C" * (20 + i)))
    write_store(tmp_path / "store", chains, columns={"cluster30": np.arange(40) // 2})
    return ChainStore.open(tmp_path / "store")


def stream(store: ChainStore) -> ChainBatches:
    """Return batches of two hundred residues."""
    return ChainBatches(store, store.column("cluster30"), residues=200, seed=1)


def test_collating_keeps_every_atom(store: ChainStore) -> None:
    """Frames of a padded batch rebuild the chains; padding is identity at the origin."""
    batch = collate([store[0].coordinates, store[30].coordinates])
    assert batch.mask.sum(dim=1).tolist() == [20, 50]
    atoms = backbone_from_frames(batch.frames)[0, :20, 1].numpy()
    np.testing.assert_allclose(atoms, store[0].coordinates[:, 1], atol=1e-4)
    assert (batch.frames.translations[0, 20:] == 0).all()
    assert (batch.frames.quaternions[0, 20:] == torch.tensor([1.0, 0, 0, 0])).all()


def test_an_epoch_takes_one_chain_of_each_cluster(store: ChainStore) -> None:
    """Twenty clusters give twenty chains, another choice in the next epoch, and no batch exceeds its residues."""
    batches = stream(store)
    first, second = batches.epoch(0), batches.epoch(1)
    for epoch in (first, second):
        chains = np.concatenate(epoch)
        assert sorted(store.column("cluster30")[chains]) == list(range(20))
        assert all(len(batch) * store.lengths[batch].max() <= 200 for batch in epoch)
    assert sorted(np.concatenate(first)) != sorted(np.concatenate(second))


def test_the_stream_goes_on_where_it_stopped(store: ChainStore) -> None:
    """A stream restored from its state yields what the first would have yielded next, over ends of epochs."""
    whole = [batch.frames.translations for batch in islice(iter(stream(store)), 20)]
    first = stream(store)
    list(islice(iter(first), 13))
    resumed = stream(store)
    resumed.load_state_dict(first.state_dict())
    for batch, expected in zip(islice(iter(resumed), 7), whole[13:], strict=True):
        assert torch.equal(batch.frames.translations, expected)


def test_packing_takes_a_chain_that_is_too_long_alone() -> None:
    """A chain longer than a batch is not lost."""
    batches = pack(np.array([0, 1, 2]), np.array([50, 60, 500]), residues=120)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2]]


def test_no_chains_is_an_error(store: ChainStore) -> None:
    """An empty store is refused before training."""
    empty = store.select(store.lengths > 1000)
    with pytest.raises(InputError, match="no chains"):
        ChainBatches(empty, empty.column("cluster30"), residues=100, seed=0)
