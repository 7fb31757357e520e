"""Generation: the same seed gives the same backbone in any batch, equivariantly; bad requests are refused."""

import numpy as np
import pytest
import torch

from backbones import frames_distance, random_motion
from helicell.core.dynamics.endpoint import time_grid
from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames
from helicell.protein.generation import Request, SamplingOptions, generate, plan_batches
from helicell.protein.lengths import make_requests, parse_lengths
from helicell.protein.model import BackboneModel, load_model
from helicell.protein.networks.compact import FramesBatch

# States of a trajectory after the first, and the predictions that were made before them.
_LATER, _EARLIER = slice(1, None), slice(None, -1)


def test_backbones_do_not_depend_on_the_batch(small_model: BackboneModel) -> None:
    """Coordinates agree to 1e-3 A between batches of one, two and all."""
    whole = generate(small_model, [12, 20, 15], count=2, seed=4)
    for size in (1, 2):
        for one, other in zip(
            whole, generate(small_model, [12, 20, 15], count=2, seed=4, batch_size=size), strict=True
        ):
            assert (one.index, one.length, one.seed) == (other.index, other.length, other.seed)
            np.testing.assert_allclose(one.coordinates, other.coordinates, atol=1e-3)


@pytest.fixture(scope="module")
def embedded() -> BackboneModel:
    """Return the model that comes with the package."""
    return load_model(device="cpu")


def test_the_embedded_model_does_not_depend_on_the_batch(embedded: BackboneModel) -> None:
    """The same for the shipped model and its own number of steps."""
    together = generate(embedded, [40, 45], seed=1)
    for backbone, alone in zip(together, generate(embedded, [40, 45], seed=1, batch_size=1), strict=True):
        np.testing.assert_allclose(backbone.coordinates, alone.coordinates, atol=1e-3)


def test_seeds_and_numbers_give_different_backbones(small_model: BackboneModel) -> None:
    """Backbones differ within a job and between seeds."""
    one, two = generate(small_model, 12, count=2, seed=4)
    other = generate(small_model, 12, seed=5)[0]
    assert np.abs(one.coordinates - two.coordinates).max() > 0.5
    assert np.abs(one.coordinates - other.coordinates).max() > 0.5


def test_a_whole_trajectory_is_equivariant(small_model: BackboneModel) -> None:
    """Rotating the starting noise rotates every noisy and predicted state, to 1e-4."""
    mask = torch.ones(1, 16, dtype=torch.bool)
    noise = noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(0))
    q, _ = random_motion()
    turned = noise.moved(q, torch.zeros(3))
    options = SamplingOptions(trajectory=True)
    plain, moved = (generate(small_model, 16, noise=n, options=options)[0] for n in (noise, turned))
    for one, other in zip(plain.trajectory, moved.trajectory, strict=True):
        translations, angles = frames_distance(one.moved(q, torch.zeros(3)), other)
        assert translations < 1e-4
        assert angles < 1e-4


def test_the_embedded_model_is_equivariant(embedded: BackboneModel) -> None:
    """Its own fifty steps, with guidance, turn with the noise, to 1e-3 A.

    Each step keeps to 1e-4 (the next test); over all of them the rounding of the noise itself grows to about that.
    """
    mask = torch.ones(3, 24, dtype=torch.bool)
    noise = noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(24))
    (q, _), options = random_motion(), SamplingOptions(trajectory=True)
    plain, moved = (
        generate(embedded, 24, count=3, noise=n, options=options) for n in (noise, noise.moved(q, torch.zeros(3)))
    )
    for backbone, turned in zip(plain, moved, strict=True):
        assert len(backbone.trajectory[0].translations) == 50
        for one, other in zip(backbone.trajectory, turned.trajectory, strict=True):
            assert max(frames_distance(one.moved(q, torch.zeros(3)), other)) < 1e-3


def test_no_prediction_of_the_embedded_model_depends_on_the_pose(embedded: BackboneModel) -> None:
    """From noise to data, a moved state gives the moved prediction of the trained network, to 1e-4 in float32."""
    (backbone,) = generate(embedded, 80, options=SamplingOptions(steps=10, trajectory=True))
    (noisy, predicted), (q, t) = backbone.trajectory, random_motion()
    times = time_grid(10, finer_at_data=embedded.sampling.finer_at_data)[1:-1].float()[:, None].expand(-1, 2)
    states, past = (
        Frames(f.translations[cut], f.quaternions[cut]) for f, cut in ((noisy, _LATER), (predicted, _EARLIER))
    )
    mask = torch.ones(9, 80, dtype=torch.bool)
    index = torch.arange(80).expand(9, 80)
    expected = embedded.network(FramesBatch(states, mask, index, times), past)[-1].moved(q, t)
    got = embedded.network(FramesBatch(states.moved(q, t), mask, index, times), past.moved(q, t))[-1]
    assert max(frames_distance(got, expected)) < 1e-4


def test_faster_orientations_settle_earlier(small_model: BackboneModel) -> None:
    """With a higher speed the states of a trajectory are nearer, in angle, to where they were sent."""

    def angles(speed: float) -> torch.Tensor:
        options = SamplingOptions(rotation_speed=speed, steric_sweeps=0, trajectory=True)
        noisy, predicted = generate(small_model, 12, seed=2, options=options)[0].trajectory
        relative = quaternions.relative_rotation_vector(noisy.quaternions[1:], predicted.quaternions[:-1])
        return relative.norm(dim=-1).mean(dim=-1)

    assert (angles(4.0)[:4] < angles(1.0)[:4]).all()


def test_given_noise_is_where_the_trajectory_starts(small_model: BackboneModel) -> None:
    """The first state of a kept trajectory is the noise that was given, and every step is kept."""
    noise = noise_frames(torch.ones(2, 9, dtype=torch.bool), scale=10.0, generator=torch.Generator().manual_seed(1))
    backbones = generate(small_model, 9, count=2, noise=noise, options=SamplingOptions(steps=5, trajectory=True))
    for row, backbone in enumerate(backbones):
        noisy, predicted = backbone.trajectory
        torch.testing.assert_close(noisy.translations[0], noise.translations[row])
        assert predicted.translations.shape == (5, 9, 3)


def test_noise_that_does_not_fit_is_refused(small_model: BackboneModel) -> None:
    """Noise for other lengths is an error that names both."""
    noise = Frames(torch.zeros(1, 9, 3), torch.tensor([1.0, 0, 0, 0]).expand(1, 9, 4))
    with pytest.raises(InputError, match="9 residues"):
        generate(small_model, 10, noise=noise)


@pytest.mark.parametrize(("lengths", "count"), [(0, 1), (100_000, 1), ([10, -3], 1), (10, 0)])
def test_impossible_requests_are_refused(small_model: BackboneModel, lengths: int | list[int], count: int) -> None:
    """Lengths and counts out of range are errors, before any work."""
    with pytest.raises(InputError):
        generate(small_model, lengths, count=count)


def test_batches_hold_like_lengths_and_every_backbone_once() -> None:
    """The plan sorts by length, respects the batch size, and loses nothing."""
    requests = [Request(i, length) for i, length in enumerate([80, 40, 80, 60, 40])]
    batches = plan_batches(requests, batch_size=2)
    assert [[r.length for r in batch] for batch in batches] == [[40, 40], [60, 80], [80]]
    assert sorted(r.index for batch in batches for r in batch) == [0, 1, 2, 3, 4]


def test_batches_share_the_work_evenly() -> None:
    """Without a batch size, 25 chains of 80 make four batches that differ by one chain at most, and every one is in."""
    batches = plan_batches([Request(i, 80) for i in range(25)])
    assert sorted(len(batch) for batch in batches) == [6, 6, 6, 7]
    assert sorted(r.index for batch in batches for r in batch) == list(range(25))
    assert plan_batches([Request(0, 2000), Request(1, 2000)]) == [[Request(0, 2000)], [Request(1, 2000)]]
    assert plan_batches([]) == []


def test_lengths_of_a_range_are_drawn_by_number() -> None:
    """Ranges draw evenly within their bounds, and a longer job starts with the same lengths."""
    few = make_requests(parse_lengths("60-70"), count=10, seed=3)
    many = make_requests(parse_lengths("60-70"), count=500, seed=3)
    assert many[:10] == few
    counts = np.bincount([r.length for r in many], minlength=71)[60:]
    assert counts.sum() == 500
    assert counts.min() > 20


@pytest.mark.parametrize("text", ["", "0", "8x", "100000", "90-60", "60,,80", "-5", "1e2", "٣"])
def test_unreadable_lengths_are_refused(text: str) -> None:
    """Anything but lengths and ranges is an error."""
    with pytest.raises(InputError, match="length"):
        parse_lengths(text)
