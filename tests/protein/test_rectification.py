"""Rectification: pairs are the sampler's own map, training stays between their ends, and a run resumes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.spaces.quaternions import from_rotation_vector, multiply, random_quaternions
from helicell.protein.flow import BackboneBatch
from helicell.protein.frames import Frames
from helicell.protein.generation import Backbone, SamplingOptions, generate
from helicell.protein.model import BackboneModel, default_model, load_model, save_model
from helicell.protein.networks.compact import CompactNetwork, FramesBatch
from helicell.protein.rectification import RECIPE, RectificationSettings, backbone_straightness, rectify_to_folder
from helicell.protein.rectification.inversion import START, invert
from helicell.protein.rectification.objective import RectificationObjective, RectificationObjectiveSettings
from helicell.protein.rectification.pairs import FramePairs, PairBatches
from helicell.protein.rectification.sampling import fitting
from helicell.protein.rectification.settings import PairSettings
from helicell.protein.settings import NetworkSettings, SamplingDefaults

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*srun.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

TINY = NetworkSettings(
    width=16, pair_width=8, time_width=8, blocks=1, heads=2, head_width=4, query_points=2, value_points=2
)
# Limits that a network without training keeps, whose chains are no chains.
LOOSE = "{ca_ca_valid: [0, 1]}"
SETTINGS = f"""
pairs: {{count: 26, lengths: 8-10, steps: 2, shard: 13, limits: {LOOSE}}}
optimiser: {{steps: 4, warm_up: 1}}
residues_per_batch: 64
precision: 32-true
"""


def random_pairs(lengths: list[int], *, seed: int = 0) -> FramePairs:
    """Return pairs of unrelated noise."""
    generator = torch.Generator().manual_seed(seed)
    residues = sum(lengths)
    ends = [
        Frames(torch.randn(residues, 3, generator=generator), random_quaternions((residues,), generator=generator))
        for _ in range(2)
    ]
    return FramePairs(np.arange(len(lengths)), np.array(lengths), *ends)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small network with random weights, the last layers too."""
    torch.manual_seed(0)
    network = CompactNetwork(TINY)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, network, sampling=SamplingDefaults(steps=4), card={"licence": "Apache-2.0"})
    return path


def test_pairs_are_the_map_of_the_sampler() -> None:
    """From the noise of a pair the sampler, guidance and all, makes its backbone again."""
    model = load_model(device="cpu")
    options = SamplingOptions(steps=4, noise_scale=0.7, trajectory=True)
    pairs = FramePairs.of(generate(model, [9, 12], count=2, seed=3, options=options))
    assert pairs.lengths.tolist() == [9, 9, 12, 12]
    for number in range(4):
        noise, frames = pairs.one(number)
        start = Frames(noise.translations[None], noise.quaternions[None])
        again = generate(model, int(pairs.lengths[number]), noise=start, options=SamplingOptions(steps=4))[0]
        assert torch.allclose(again.frames.translations, frames.translations, atol=1e-3)
        assert torch.allclose(noise.translations.mean(dim=0), torch.zeros(3), atol=1e-5)


def test_pairs_need_trajectories() -> None:
    """A backbone without its trajectory has lost its noise, and is refused."""
    with pytest.raises(InputError, match="trajectory=True"):
        FramePairs.of(generate(load_model(device="cpu"), 8, options=SamplingOptions(steps=1)))


def test_pairs_come_back_from_disk(tmp_path: Path) -> None:
    """What is written is read, bit for bit, and a selection keeps both ends of its pairs together."""
    pairs = random_pairs([3, 5, 4])
    pairs.write(tmp_path / "pairs.npz")
    read = FramePairs.read(tmp_path / "pairs.npz")
    chosen = read.select(np.array([False, True, True]))
    assert (len(read), chosen.index.tolist(), chosen.lengths.tolist()) == (3, [1, 2], [5, 4])
    for mine, other in zip(chosen.one(1), pairs.one(2), strict=True):
        assert torch.equal(mine.translations, other.translations)
        assert torch.equal(mine.quaternions, other.quaternions)


def test_damaged_pairs_are_refused(tmp_path: Path) -> None:
    """Half a file, and arrays that do not fit together, are told with what to do."""
    path = tmp_path / "pairs.npz"
    random_pairs([3, 5]).write(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="--resume makes it again"):
        FramePairs.read(path)
    short = random_pairs([3, 5])
    FramePairs(short.index, short.lengths + 1, short.noise, short.frames).write(path)
    with pytest.raises(InputError, match="do not fit together"):
        FramePairs.read(path)


def test_a_batch_is_padded() -> None:
    """Pairs of unlike lengths stand in one batch; padding is masked, at the origin and unturned."""
    pairs = random_pairs([3, 5])
    batch = pairs.batch([1, 0])
    assert batch.mask.sum(dim=1).tolist() == [5, 3]
    assert batch.noise is not None
    for end, own in ((batch.noise, pairs.noise), (batch.frames, pairs.frames)):
        assert torch.equal(end.translations[0], own.translations[3:])
        assert torch.equal(end.quaternions[1, :3], own.quaternions[:3])
        assert torch.equal(end.quaternions[1, 3:], torch.tensor([[1.0, 0, 0, 0]] * 2))


def test_every_pair_comes_once_a_round_and_a_resumed_stream_goes_on() -> None:
    """A round holds each pair once in batches that are not too large; from a stored position the same ones follow."""
    pairs = random_pairs([5 + i % 7 for i in range(20)])
    stream = PairBatches(pairs, residues=30, seed=1)
    assert sorted(np.concatenate(stream.round(0)).tolist()) == list(range(20))
    assert any(not np.array_equal(a, b) for a, b in zip(stream.round(0), stream.round(1), strict=False))
    batches = iter(stream)
    first = [next(batches) for _ in range(5)]
    assert all(batch.mask.numel() <= 30 for batch in first)
    state = stream.state_dict()
    following = [next(batches) for _ in range(5)]
    resumed = PairBatches(pairs, residues=30, seed=1)
    resumed.load_state_dict(state)
    for expected, batch in zip(following, resumed, strict=False):
        assert torch.equal(expected.frames.translations, batch.frames.translations)


def test_no_pairs_are_refused() -> None:
    """Nothing to train on is an error with a way out."""
    with pytest.raises(InputError, match="loosen the limits"):
        PairBatches(random_pairs([3]).select(np.array([False])), residues=30, seed=0)


class Oracle(CompactNetwork):
    """A network that knows the ends, predicts the right one, and looks at what it is given."""

    def __init__(self, noise: Frames, frames: Frames) -> None:
        super().__init__(TINY)
        self.noise, self.frames = noise, frames
        self.off_the_line: list[float] = []

    def forward(self, batch: FramesBatch, previous: Frames | None = None) -> list[Frames]:
        x = batch.frames.translations
        t = batch.times[:, :1, None]
        expected = (1 - t) * self.noise.translations + t * self.frames.translations
        self.off_the_line.append(float((x - expected).abs().max()))
        return [self.frames]


@pytest.mark.parametrize("times", ["uniform", "early", "late", "u-shaped"])
def test_training_goes_between_the_ends_of_a_pair(times: str) -> None:
    """States lie on the straight line from the pair's own noise, and the true end has no loss, whatever the times."""
    pairs = random_pairs([6, 6])
    centre = pairs.frames.translations.unflatten(0, (2, 6))
    pairs = FramePairs(
        pairs.index,
        pairs.lengths,
        pairs.noise,
        Frames((centre - centre.mean(dim=1, keepdim=True)).flatten(0, 1), pairs.frames.quaternions),
    )
    batch = pairs.batch([0, 1])
    assert batch.noise is not None
    oracle = Oracle(batch.noise, batch.frames)
    settings = RectificationObjectiveSettings(times=times, huber=0.3)  # type: ignore[arg-type]
    objective = RectificationObjective(oracle, settings)
    losses = objective(batch, torch.Generator().manual_seed(0))
    assert max(oracle.off_the_line) < 1e-5
    assert float(losses["translation"]) < 1e-8
    assert float(losses["rotation"]) < 1e-6


def walked(points: list[list[float]]) -> Backbone:
    """Return one residue that was at these points, and was predicted at the last one each time."""
    x = torch.tensor(points, dtype=torch.float32)[:, None]
    still = torch.tensor([1.0, 0, 0, 0]).expand(len(points), 1, 4)
    end = x[-1:].expand(len(points) - 1, 1, 3)
    trajectory = (Frames(x[:-1], still[:-1]), Frames(end, still[:-1]))
    return Backbone(0, 1, 0, Frames(x[-1], still[-1]), trajectory)


def test_straightness_of_known_ways() -> None:
    """A straight way has no detour; two sides of a right-angled triangle are 7 / 5 of the third."""
    straight = backbone_straightness([walked([[0, 0, 0], [1, 0, 0], [4, 0, 0]])])
    assert (straight.detour, straight.wandering) == (pytest.approx(0, abs=1e-6), 0)
    bent = backbone_straightness([walked([[0, 0, 0], [3, 0, 0], [3, 4, 0]])])
    assert bent.detour == pytest.approx(0.4)
    with pytest.raises(InputError, match="trajectory=True"):
        backbone_straightness([])


def test_limits_keep_what_is_within() -> None:
    """A pair goes when one of its measures, or its score, is outside."""
    rows = [
        {"index": 0, "c_n_valid": 1.0, "backbone_clashes": 0.0, "score": 1.0},
        {"index": 1, "c_n_valid": 0.9, "backbone_clashes": 0.0, "score": 1.0},
        {"index": 2, "c_n_valid": 1.0, "backbone_clashes": 1.0, "score": 1.0},
        {"index": 3, "c_n_valid": 1.0, "backbone_clashes": 0.0, "score": 1.3},
    ]
    limits = {"c_n_valid": (0.98, 1.0), "backbone_clashes": (0.0, 0.0)}
    assert fitting(rows, PairSettings(limits=limits)).tolist() == [True, False, False, True]
    assert fitting(rows, PairSettings(limits=limits, score=1.1)).tolist() == [True, False, False, False]
    with pytest.raises(InputError, match="without a ProteinMPNN score"):
        fitting([{"index": 0, "c_n_valid": 1.0, "backbone_clashes": 0.0}], PairSettings(limits=limits, score=1.1))


def test_inversion_goes_straight_away_from_what_is_predicted() -> None:
    """Where the prediction never changes, the noise of a backbone is known: fifty times as far from it (START is 0.98).

    Positions lie on the line from the prediction through the backbone, orientations on the great circle.
    """
    generator = torch.Generator().manual_seed(2)
    end = Frames(torch.randn(1, 6, 3, generator=generator), random_quaternions((1, 6), generator=generator))
    aside = 0.01 * torch.randn(1, 6, 3, generator=generator)
    aside = aside - aside.mean(dim=1, keepdim=True)
    turn = 0.01 * torch.randn(1, 6, 3, generator=generator)
    end = Frames(end.translations - end.translations.mean(dim=1, keepdim=True), end.quaternions)
    frames = Frames(end.translations + aside, multiply(end.quaternions, from_rotation_vector(turn)))
    mask = torch.ones(1, 6, dtype=torch.bool)
    model = BackboneModel(Oracle(end, end).eval(), SamplingDefaults(), {}, "oracle", "")
    noise = invert(model, BackboneBatch(frames, mask, torch.arange(6)[None]), steps=7)
    away = 1 / (1 - START)
    assert torch.allclose(noise.translations, end.translations + away * aside, atol=1e-3)
    expected = multiply(end.quaternions, from_rotation_vector(away * turn))
    assert torch.allclose((noise.quaternions * expected).sum(dim=-1).abs(), torch.ones(1, 6), atol=1e-4)


def run_once(model: Path, folder: Path, run_cli: Callable, *options: object) -> None:
    """Rectify the model into a folder from the command line."""
    (folder.parent / "settings.yaml").write_text(SETTINGS)
    result = run_cli(
        "protein", "rectify", model, "--settings", folder.parent / "settings.yaml", "--out", folder, "--device", "cpu",
        "--quiet", *options,
    )  # fmt: skip
    assert result.code == 0, result.err


def test_a_run_ends_in_a_model_that_samples_and_a_broken_one_resumes_to_the_same_bytes(
    tiny_model: Path, tmp_path: Path, run_cli: Callable
) -> None:
    """The command makes a model that few steps sample; stopped among its pairs, it ends with the same files."""
    run_once(tiny_model, tmp_path / "whole", run_cli)
    whole = tmp_path / "whole"
    model = load_model(whole / "model.safetensors", device="cpu")
    assert model.sampling.steps == 10
    assert model.card["base"]["name"] == "tiny"
    assert model.card["pairs"] == {"sampled": 26, "kept": 26, "inverted": 0}
    assert model.card["straightness"].keys() == {"before", "after"}
    assert generate(model, 9)[0].coordinates.shape == (9, 4, 3)
    before = load_model(tiny_model, device="cpu").network.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in model.network.state_dict().items())

    broken = tmp_path / "broken"
    (broken / "pairs").mkdir(parents=True)
    for name in ("settings.yaml", "pairs/pairs_0000.npz"):
        (broken / name).write_bytes((whole / name).read_bytes())
    (broken / "pairs" / ".pairs_0001.0000.partial.npz").write_bytes(b"half")
    run_once(tiny_model, broken, run_cli, "--resume")
    for name in ("model.safetensors", "manifest.json", "metrics.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(p.name for p in (broken / "pairs").iterdir()) == sorted(p.name for p in (whole / "pairs").iterdir())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("pairs: {limits: {c_m_valid: [0, 1]}}", "c_n_valid"),
        ("pairs: {limits: {c_n_valid: [1, 0]}}", "least value first"),
        ("pairs: {lengths: long}", "long"),
        ("inverted: 5", "give their store"),
        ("pairs: {lengths: 8-10, count: 4, steps: 1, limits: {ca_ca_valid: [0, 1]}}", "loosen the limits"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tiny_model: Path, tmp_path: Path, run_cli: Callable, changed: str, told: str
) -> None:
    """One line says what is wrong and what to do."""
    (tmp_path / "settings.yaml").write_text(changed)
    result = run_cli(
        "protein", "rectify", tiny_model, "--settings", tmp_path / "settings.yaml", "--out", tmp_path / "run",
        "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert told in result.err


def test_shards_of_other_settings_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Pairs of other lengths are not taken for one's own."""
    settings = RectificationSettings.from_mapping({"model": str(tiny_model), "pairs": {"count": 2, "lengths": "8"}})
    run = tmp_path / "run"
    (run / "pairs").mkdir(parents=True)
    settings.to_yaml(run / "settings.yaml")
    random_pairs([9, 9]).write(run / "pairs" / "pairs_0000.npz")
    with pytest.raises(InputError, match="other settings"):
        rectify_to_folder(settings, run, resume=True, device="cpu")


def test_the_recipe_is_that_of_the_embedded_model() -> None:
    """The shipped settings read, and are what the card of the rectified model tells."""
    model = load_model("rectified", device="cpu")
    assert model.card["rectification"] == RectificationSettings.from_yaml(RECIPE).to_mapping()
    assert model.card["base"]["sha256"] == load_model("compact", device="cpu").checksum


def test_few_steps_take_the_rectified_model(tmp_path: Path, run_cli: Callable) -> None:
    """Below twenty steps, no model named, `sample` takes the rectified one and says so; else the base."""
    assert [default_model(steps) for steps in (None, 20, 19, 5)] == ["compact", "compact", "rectified", "rectified"]
    result = run_cli("protein", "sample", "--length", 8, "--count", 1, "--steps", 2, "--out", tmp_path / "few")
    assert result.code == 0, result.err
    assert "rectified" in result.err
    assert (tmp_path / "few" / "samples.csv").read_text().count(",rectified,") == 1
    named = run_cli(
        "protein", "sample", "--length", 8, "--count", 1, "--steps", 2, "--model", "compact", "--out", tmp_path / "base"
    )
    assert "rectified" not in named.err
