"""Sampling for a task: independent of the batch, equivariant, exact copies, motifs met, rewards raised."""

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import frames_distance, random_motion
from helicell.core.errors import InputError
from helicell.protein.conditioning import (
    Assembly,
    Free,
    condition,
    make_scaffold,
    make_variation,
    parse_rewards,
    parse_symmetry,
)
from helicell.protein.conditioning.task import Task
from helicell.protein.conditioning.walking import HOLD_UNTIL, Walk, follow, walk_steps, walk_times
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames
from helicell.protein.generation import SamplingOptions, generate
from helicell.protein.lengths import parse_lengths
from helicell.protein.model import BackboneModel, load_model
from helicell.protein.settings import SamplingDefaults
from helicell.protein.structures import write_backbone

CONTIG = "3-6/A25-30/6-9/A60-64/2-5"


@pytest.fixture(scope="module")
def embedded() -> BackboneModel:
    """Return the model that comes with the package."""
    return load_model(device="cpu")


@pytest.fixture
def given(small_model: BackboneModel, tmp_path: Path) -> Path:
    """Return the file of a backbone of 18 residues."""
    write_backbone(tmp_path / "given.cif", generate(small_model, 18)[0].coordinates)
    return tmp_path / "given.cif"


def tasks(globin: Path, given: Path) -> dict[str, Task]:
    """Return one task of each kind."""
    return {
        "scaffold": make_scaffold(globin, CONTIG),
        "assembly": Assembly(parse_symmetry("C3"), parse_lengths("8-12")),
        "variation": make_variation(given, 0.5),
        "free": Free(parse_lengths("12-16")),
    }


@pytest.mark.parametrize("kind", ["scaffold", "assembly", "variation", "free"])
def test_samples_do_not_depend_on_the_batch(small_model: BackboneModel, globin: Path, given: Path, kind: str) -> None:
    """Alone or together, padded or not, with a reward: the same to 1e-3 A; and other numbers give other samples."""
    task, reward = tasks(globin, given)[kind], parse_rewards(["compactness=0.1"])
    together = condition(small_model, task, count=3, seed=4, reward=reward)
    alone = condition(small_model, task, count=3, seed=4, reward=reward, batch_size=1)
    for one, other in zip(together, alone, strict=True):
        assert (one.index, one.seed, one.sequence) == (other.index, other.seed, other.sequence)
        np.testing.assert_allclose(one.chains, other.chains, atol=1.1e-3)
    assert len({sample.chains.tobytes() for sample in together}) == 3
    more = condition(small_model, task, count=4, seed=4, reward=reward)
    np.testing.assert_allclose(more[2].chains, together[2].chains, atol=1.1e-3)


def test_nothing_asked_is_plain_sampling(small_model: BackboneModel) -> None:
    """A free task without a reward gives the backbones of `generate`."""
    plain = generate(small_model, 15, count=2, seed=9)
    free = condition(small_model, Free(parse_lengths("15")), count=2, seed=9)
    for one, other in zip(plain, free, strict=True):
        assert one.seed == other.seed
        np.testing.assert_allclose(one.coordinates, other.coordinates, atol=1e-4)


def test_a_guided_walk_is_equivariant(small_model: BackboneModel, globin: Path) -> None:
    """Turned noise gives turned states at every step, with a motif held and guided, to 1e-3 A."""
    task = make_scaffold(globin, CONTIG)
    requests = task.requests(count=2, seed=1)
    walk = task.walk(small_model, requests, seed=1, noise_scale=1.0)
    q, _ = random_motion()
    turned = Walk(walk.start.moved(q, torch.zeros(3)), walk.mask, hold=walk.hold, reward=walk.reward)
    with torch.no_grad():
        pairs = [list(walk_steps(small_model, one, SamplingOptions())) for one in (walk, turned)]
    for plain, moved in zip(*pairs, strict=True):
        for one, other in ((plain.x_t, moved.x_t), (plain.endpoint, moved.endpoint)):
            expected = Frames(*one).moved(q, torch.zeros(3))
            shown = Frames(other[0] * walk.mask[..., None], other[1])
            expected = Frames(expected.translations * walk.mask[..., None], expected.quaternions)
            translations, _ = frames_distance(expected, shown)
            assert translations < 1e-3


@pytest.mark.parametrize("name", ["C2", "C5", "D2", "T"])
def test_copies_are_exact(small_model: BackboneModel, name: str) -> None:
    """Every chain is the first one turned by the group, to 1e-3 A, and the assembly is centred."""
    symmetry = parse_symmetry(name)
    (sample,) = condition(small_model, Assembly(symmetry, parse_lengths("7")), options=SamplingOptions(steps=3))
    assert sample.chains.shape == (len(symmetry), 7, 4, 3)
    matrices = torch.stack([_matrix(q) for q in symmetry.rotations]).numpy()
    turned = np.einsum("kij,raj->krai", matrices, sample.chains[0])
    np.testing.assert_allclose(sample.chains, turned, atol=1e-3)
    np.testing.assert_allclose(sample.chains[:, :, 1].mean(axis=(0, 1)), 0, atol=2e-3)


def _matrix(q: torch.Tensor) -> torch.Tensor:
    """Return the rotation matrix of a quaternion, written out."""
    w, x, y, z = q.tolist()
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).double()


def test_held_residues_are_the_motif_until_they_are_let_go(small_model: BackboneModel, globin: Path) -> None:
    """Before the end of holding every prediction has the motif in its places, to 1e-3 A."""
    task = make_scaffold(globin, CONTIG)
    requests = task.requests(count=2, seed=1)
    walk = task.walk(small_model, requests, seed=1, noise_scale=1.0)
    places = torch.stack([task.places(task.gaps(request.index, seed=1)) for request in requests])
    own = task.motif.frames.translations
    expected = torch.cdist(own, own).expand(2, -1, -1)
    held = 0
    with torch.no_grad():
        for step in walk_steps(small_model, walk, SamplingOptions()):
            if step.t < HOLD_UNTIL:
                x = step.endpoint[0].gather(1, places[..., None].expand(-1, -1, 3))
                torch.testing.assert_close(torch.cdist(x, x), expected, atol=1e-3, rtol=0)
                held += 1
    assert held > 3


def test_the_embedded_model_holds_a_motif_in_a_possible_chain(embedded: BackboneModel, globin: Path) -> None:
    """Two helices of a globin keep their CA atoms to 1.0 A, with their letters at the places that the table tells."""
    task = make_scaffold(globin, "8-14/A25-48/8-14")
    (sample,) = condition(embedded, task, seed=2, options=SamplingOptions(steps=25))
    assert sample.measures["motif_rmsd"] < 1.0
    assert sample.measures["c_n_valid"] > 0.9
    first = int(sample.measures["motif"].split(":")[1].split("-")[0])
    assert sample.sequence[first - 1 : first + 23] == task.motif.sequence
    assert set(sample.sequence[: first - 1]) <= {"G"}
    assert sample.measures["contig"].split("/")[0] == str(first - 1)


def test_less_noise_stays_nearer(embedded: BackboneModel, tmp_path: Path) -> None:
    """Variations at noise level 0.1 are within 1 A of the given backbone, at 0.6 they are farther."""
    options = SamplingOptions(steps=20)
    write_backbone(tmp_path / "given.cif", generate(embedded, 40, options=options)[0].coordinates)
    near, far = (
        condition(embedded, make_variation(tmp_path / "given.cif", level), options=options)[0] for level in (0.1, 0.6)
    )
    assert near.measures["rmsd_to_given"] < 1.0
    assert far.measures["rmsd_to_given"] > near.measures["rmsd_to_given"]


def test_rewards_are_raised(embedded: BackboneModel) -> None:
    """From the same noise, chains led to compactness have a higher reward than those that are not."""
    task, options = Free(parse_lengths("30")), SamplingOptions(steps=10)
    plain, led = (
        condition(embedded, task, count=2, reward=parse_rewards([f"compactness={weight}"]), options=options)
        for weight in (1e-9, 0.5)
    )
    for one, other in zip(plain, led, strict=True):
        assert other.measures["reward"] / 0.5 > one.measures["reward"] / 1e-9


def test_a_later_start_has_fewer_steps(small_model: BackboneModel) -> None:
    """The times of a walk are those of the whole way that are left."""
    whole = walk_times(small_model, SamplingOptions(steps=10))
    left = walk_times(small_model, SamplingOptions(steps=10), start_time=0.7)
    assert float(left[0]) == 0.7
    assert left[1:].tolist() == [t for t in whole.tolist() if t > 0.7]


def test_padding_stays_put(small_model: BackboneModel) -> None:
    """What pads a batch ends at the origin."""
    mask = torch.arange(12) < torch.tensor([[12], [8]])
    walk = Walk(noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(0)), mask)
    assert (follow(small_model, walk, SamplingOptions()).translations[1, 8:] == 0).all()


def test_what_cannot_be_done_is_refused(small_model: BackboneModel, given: Path, globin: Path) -> None:
    """Counts, sizes and noise levels out of range, several chains to vary, models of another kind."""
    free = Free(parse_lengths("12"))
    with pytest.raises(InputError, match="count"):
        condition(small_model, free, count=0)
    with pytest.raises(InputError, match="at most 166"):
        condition(small_model, Assembly(parse_symmetry("T"), parse_lengths("40-400")))
    with pytest.raises(InputError, match="noise level is 0"):
        make_variation(given, 0.0)
    with pytest.raises(InputError, match="several protein chains"):
        make_variation(globin, 0.3)
    with pytest.raises(InputError, match="length asked for is 500"):
        make_scaffold(globin, CONTIG, total=parse_lengths("500")[0])
    published = BackboneModel(small_model.network, object(), card={}, name="other", checksum="0")
    assert not isinstance(published.sampling, SamplingDefaults)
    with pytest.raises(InputError, match="published network"):
        condition(published, free)
