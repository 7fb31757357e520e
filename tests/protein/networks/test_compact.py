"""The compact network: equivariant, blind to padding and to the rest of the batch, aware of chain breaks."""

import pytest
import torch

from backbones import SMALL, frames_distance, random_batch, random_motion
from helicell.protein.frames import Frames
from helicell.protein.networks.compact import CompactNetwork, FramesBatch


def predict(network: CompactNetwork, batch: FramesBatch, *, previous: Frames | None = None) -> Frames:
    """Return the prediction after the last block."""
    return network(batch, previous)[-1]


@pytest.mark.parametrize("conditioned", [False, True])
def test_rigid_motions_of_the_input_move_the_output(small_network: CompactNetwork, *, conditioned: bool) -> None:
    """SE(3)-equivariance to 1e-4 in float32, with and without a previous prediction."""
    batch, (q, t) = random_batch([20, 20]), random_motion()
    previous = random_batch([20, 20], seed=5).frames if conditioned else None
    moved = FramesBatch(batch.frames.moved(q, t), batch.mask, batch.index, batch.times)
    expected = predict(small_network, batch, previous=previous).moved(q, t)
    got = predict(small_network, moved, previous=previous.moved(q, t) if previous else None)
    translations, angles = frames_distance(got, expected)
    assert translations < 1e-4
    assert angles < 1e-4
    away, _ = frames_distance(predict(small_network, batch, previous=previous), batch.frames)
    assert away > 0.1, "the network must do something for its equivariance to mean something"


def test_signs_of_quaternions_do_not_matter(small_network: CompactNetwork) -> None:
    """Q and -q are the same rotation."""
    batch = random_batch([15])
    flipped = FramesBatch(
        Frames(batch.frames.translations, -batch.frames.quaternions), batch.mask, batch.index, batch.times
    )
    assert max(frames_distance(predict(small_network, flipped), predict(small_network, batch))) < 1e-4


def test_padding_and_company_do_not_matter(small_network: CompactNetwork) -> None:
    """A chain gets the same prediction alone as padded in a batch with others."""
    batch = random_batch([12, 25, 18], padded=30)
    together = predict(small_network, batch)
    for row, length in enumerate((12, 25, 18)):
        alone = FramesBatch(
            Frames(batch.frames.translations[row : row + 1, :length], batch.frames.quaternions[row : row + 1, :length]),
            batch.mask[row : row + 1, :length],
            batch.index[row : row + 1, :length],
            batch.times[row : row + 1],
        )
        own = Frames(together.translations[row : row + 1, :length], together.quaternions[row : row + 1, :length])
        assert max(frames_distance(predict(small_network, alone), own)) < 1e-4
        assert (together.translations[row, length:] == 0).all()


def test_chain_breaks_are_seen(small_network: CompactNetwork) -> None:
    """A gap in the residue numbers changes what neighbours see of each other."""
    batch = random_batch([20])
    broken = FramesBatch(batch.frames, batch.mask, batch.index + 5 * (batch.index >= 10), batch.times)
    assert frames_distance(predict(small_network, broken), predict(small_network, batch))[0] > 1e-2


def test_a_new_network_predicts_its_input() -> None:
    """All moves start at zero, so training starts from the identity."""
    batch = random_batch([10])
    assert max(frames_distance(predict(CompactNetwork(SMALL), batch), batch.frames)) < 1e-4


def test_every_parameter_learns() -> None:
    """No weight is left out of the graph: each gets a gradient once the zero-initialised ones have moved."""
    torch.manual_seed(1)
    network = CompactNetwork(SMALL)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch = random_batch([16, 9])
    frames = network(batch, random_batch([16, 9], seed=3).frames)[-1]
    (frames.translations.square().sum() + frames.quaternions[..., 0].sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
