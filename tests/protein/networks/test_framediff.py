"""The published network: the same weights give what the published code computes, whatever the padding and the batch."""

from pathlib import Path

import pytest
import torch

from backbones import frames_distance, random_batch, random_motion
from framediff import PublishedOutputs, quaternion_difference, random_network
from helicell.core.training.archives import TorchArchive
from helicell.protein.frames import Frames
from helicell.protein.networks import framediff_pairs
from helicell.protein.networks.compact import FramesBatch
from helicell.protein.networks.framediff import FrameDiffNetwork, equal_lengths
from helicell.protein.published.configuration import OMEGACONF_NAMES, Configuration
from helicell.protein.published.conversion import weight_records
from helicell.protein.published.settings import FrameDiffSettings


@pytest.fixture(scope="module")
def network() -> FrameDiffNetwork:
    """Return a small network with random weights."""
    return random_network()


@pytest.fixture(scope="module")
def published(fixtures_dir: Path) -> FrameDiffNetwork:
    """Return the network with the weights that the published code computed with."""
    archive = TorchArchive(fixtures_dir / "framediff-small" / "small.ckpt", allowed=OMEGACONF_NAMES)
    configuration = Configuration.from_yaml(fixtures_dir / "framediff-small" / "config.yaml")
    network = FrameDiffNetwork(configuration.network())
    network.load_state_dict(archive.tensors(weight_records(archive)))
    return network.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def calls(fixtures_dir: Path) -> PublishedOutputs:
    """Return calls of the published network."""
    return PublishedOutputs(fixtures_dir / "framediff-small" / "forward.npz")


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("case", ["a_", "b_", "nosc_"])
def test_predictions_are_the_published_ones(
    published: FrameDiffNetwork, calls: PublishedOutputs, case: str, *, with_gradients: bool
) -> None:
    """To 1e-4 A and 1e-5, also with padding, fixed residues, late times, and without a previous prediction.

    Both ways of computing are compared: in place without gradients, and as training needs it.
    """
    given = case.replace("nosc", "a")
    batch, diffused = calls.batch(given)
    known = None if case == "nosc_" else calls.known(given)
    with torch.set_grad_enabled(with_gradients):
        predicted = published(batch, known, diffused=diffused)[-1]
    torch.testing.assert_close(predicted.translations, calls[f"{case}out_pred_trans"], atol=1e-4, rtol=0)
    assert quaternion_difference(predicted.quaternions, calls[f"{case}out_pred_rotquats"]) < 1e-5


def test_sizes_and_names_are_those_of_the_released_checkpoints() -> None:
    """382 tensors, 16,779,268 numbers, and the names of each part."""
    with torch.device("meta"):
        state = FrameDiffNetwork(FrameDiffSettings()).state_dict()
    assert len(state) == 382
    assert sum(tensor.numel() for tensor in state.values()) == 16_779_268
    assert state["edge_feature_net.edge_embedder.0.weight"].shape == (128, 238)
    assert state["trunk.ipa_5.linear_out.weight"].shape == (256, 1664)
    assert state["trunk.seq_tfmr_0.layers.1.self_attn.in_proj_weight"].shape == (768, 256)
    assert state["trunk.edge_transition_4.trunk.2.weight"].shape == (384, 384)
    assert "trunk.edge_transition_5.trunk.2.weight" not in state


def test_padding_and_company_do_not_matter(network: FrameDiffNetwork) -> None:
    """Chains of mixed lengths in one padded batch come out as each does alone; padding comes out as it went in."""
    batch = random_batch([9, 14, 9, 5], padded=17)
    known = random_batch([9, 14, 9, 5], seed=3, padded=17).frames
    with torch.no_grad():
        together = network(batch, known)[-1]
        for row, length in enumerate(batch.mask.sum(dim=1).tolist()):
            alone = FramesBatch(
                Frames(
                    batch.frames.translations[row : row + 1, :length], batch.frames.quaternions[row : row + 1, :length]
                ),
                batch.mask[row : row + 1, :length],
                batch.index[row : row + 1, :length],
                batch.times[row : row + 1],
            )
            own_known = Frames(known.translations[row : row + 1, :length], known.quaternions[row : row + 1, :length])
            single = network(alone, own_known)[-1]
            torch.testing.assert_close(together.translations[row, :length], single.translations[0], atol=2e-5, rtol=0)
            assert quaternion_difference(together.quaternions[row, :length], single.quaternions[0]) < 1e-5
    for name in ("translations", "quaternions"):
        assert torch.equal(getattr(together, name)[~batch.mask], getattr(batch.frames, name)[~batch.mask])


def test_garbage_in_the_padding_does_not_leak(network: FrameDiffNetwork) -> None:
    """Even NaN in padded places changes no bit of a residue."""
    batch = random_batch([6, 11])
    frames = Frames(batch.frames.translations.clone(), batch.frames.quaternions.clone())
    frames.translations[~batch.mask] = torch.nan
    with torch.no_grad():
        clean, dirty = (
            network(FramesBatch(f, batch.mask, batch.index, batch.times))[-1] for f in (batch.frames, frames)
        )
    assert torch.equal(clean.translations[batch.mask], dirty.translations[batch.mask])


def test_residues_missing_inside_keep_the_offsets_of_the_others(network: FrameDiffNetwork) -> None:
    """A hole in the mask is a residue that is not there; the others stay as far apart along the chain."""
    batch = random_batch([10])
    mask = batch.mask.clone()
    mask[:, 4] = False
    with torch.no_grad():
        holed = network(FramesBatch(batch.frames, mask, batch.index, batch.times))[-1]
        kept = [i for i in range(10) if i != 4]
        closed = FramesBatch(
            Frames(batch.frames.translations[:, kept], batch.frames.quaternions[:, kept]),
            mask[:, kept],
            batch.index[:, kept],
            batch.times,
        )
        together = network(closed)[-1]
    assert torch.equal(holed.translations[:, 4], batch.frames.translations[:, 4])
    assert not torch.allclose(holed.translations[:, kept], together.translations, atol=1e-3)


def test_it_is_equivariant(network: FrameDiffNetwork) -> None:
    """A rotated and shifted input gives the rotated and shifted output; the sign of quaternions does not matter."""
    batch = random_batch([12, 8])
    q, shift = random_motion()
    moved = FramesBatch(batch.frames.moved(q, shift), batch.mask, batch.index, batch.times)
    turned = FramesBatch(
        Frames(batch.frames.translations, -batch.frames.quaternions), batch.mask, batch.index, batch.times
    )
    with torch.no_grad():
        plain, after, negative = (network(one, one.frames)[-1] for one in (batch, moved, turned))
    expected = plain.moved(q, shift)
    residues = batch.mask
    distance, angle = frames_distance(
        Frames(expected.translations[residues], expected.quaternions[residues]),
        Frames(after.translations[residues], after.quaternions[residues]),
    )
    assert distance < 1e-4
    assert angle < 1e-4
    torch.testing.assert_close(plain.translations, negative.translations, atol=1e-5, rtol=0)
    assert quaternion_difference(plain.quaternions, negative.quaternions) < 1e-5


def test_given_residues_stay(network: FrameDiffNetwork) -> None:
    """Residues that are not diffused keep their frames, and the others notice them."""
    batch = random_batch([10])
    diffused = torch.ones_like(batch.mask)
    diffused[:, 3:6] = False
    with torch.no_grad():
        free, fixed = network(batch)[-1], network(batch, diffused=diffused)[-1]
    torch.testing.assert_close(fixed.translations[~diffused], batch.frames.translations[~diffused], atol=1e-5, rtol=0)
    assert quaternion_difference(fixed.quaternions[~diffused], batch.frames.quaternions[~diffused]) < 1e-6
    assert (free.translations - fixed.translations)[diffused].abs().max() > 1e-3


@pytest.mark.parametrize("pairs", [1, 7, 40, 1000])
def test_chunks_do_not_matter(network: FrameDiffNetwork, monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    """Whether pairs are taken row by row, or many chains together, the result is the same."""
    batch = random_batch([6, 6, 6, 13])
    with torch.no_grad():
        expected = network(batch, batch.frames)[-1]
        monkeypatch.setitem(framediff_pairs.PAIRS_PER_CHUNK, "cpu", pairs)
        result = network(batch, batch.frames)[-1]
    torch.testing.assert_close(result.translations, expected.translations, atol=2e-5, rtol=0)


def test_gradients_are_those_of_finite_differences() -> None:
    """In double precision the gradient of a weight of each part is the slope of the output."""
    network = random_network(seed=2).double()
    batch = random_batch([7])
    batch = FramesBatch(batch.frames.to(torch.float64), batch.mask, batch.index, batch.times.double())
    names = [
        "node_feature_net.linear.weight",
        "edge_feature_net.edge_embedder.0.weight",
        "trunk.ipa_0.linear_kv_points.weight",
        "trunk.ipa_1.head_weights",
        "trunk.ipa_2.down_z.weight",
        "trunk.edge_transition_0.trunk.0.weight",
        "trunk.edge_transition_0.trunk.2.bias",
        "trunk.edge_transition_1.final_layer.weight",
        "trunk.seq_tfmr_1.layers.0.linear1.weight",
        "trunk.bb_update_2.linear.weight",
    ]
    parameters = dict(network.named_parameters())

    def output() -> torch.Tensor:
        frames = network(batch)[-1]
        return frames.translations.sin().sum() + frames.quaternions.square().mul(torch.arange(4)).sum()

    for name in names:
        weight = parameters[name].requires_grad_(requires_grad=True)
        direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        (slope,) = torch.autograd.grad(output(), weight)
        weight.requires_grad_(requires_grad=False)
        step = 1e-5
        values = []
        for sign in (1, -2):
            weight += sign * step * direction
            with torch.no_grad():
                values.append(output())
        weight += step * direction
        assert float((slope * direction).sum()) == pytest.approx(float(values[0] - values[1]) / (2 * step), rel=1e-4), (
            name
        )


def test_half_precision_is_near_and_leaves_the_rest_alone(network: FrameDiffNetwork) -> None:
    """bfloat16 products move residues by some hundredths of an Angstrom; with gradients they are not used."""
    batch = random_batch([20])
    with torch.no_grad():
        full, half = network(batch)[-1], network(batch, pair_dtype=torch.bfloat16)[-1]
    difference = (full.translations - half.translations).norm(dim=-1)
    assert 0 < difference.max() < 5e-2
    assert full.translations.dtype == half.translations.dtype == torch.float32
    training = network(batch, pair_dtype=torch.bfloat16)[-1]
    torch.testing.assert_close(training.translations, full.translations, atol=2e-5, rtol=0)


def test_inference_first_and_training_afterwards() -> None:
    """What is kept from a call in inference mode can be used in a training."""
    network = random_network(seed=4)
    batch = random_batch([31])
    with torch.inference_mode():
        network(batch)
    weight = network.edge_feature_net.linear_relpos.weight.requires_grad_(requires_grad=True)
    network(batch)[-1].translations.sum().backward()
    assert weight.grad is not None


def test_groups_of_equal_lengths() -> None:
    """Every residue is in one group once, and chains without residues are in none."""
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    groups = equal_lengths(mask)
    assert [(rows.tolist(), places.tolist()) for rows, places in groups] == [
        ([0, 2], [[0, 1], [0, 2]]),
        ([3], [[0, 1, 2, 3]]),
    ]
