"""Fine-tuning by a reward: the field is that of the network, the reward rises, the model stays a model."""

from pathlib import Path

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.training.finetune import FinetuneSettings
from helicell.protein.conditioning import finetune_model, parse_rewards
from helicell.protein.conditioning.finetuning import BackboneVelocity
from helicell.protein.flow import backbone_path, noise_frames
from helicell.protein.generation import SamplingOptions, generate
from helicell.protein.model import BackboneModel, load_model, save_model
from helicell.protein.networks.compact import FramesBatch

QUICK = FinetuneSettings(steps=6, batch_size=4, learning_rate=3e-3, sampling_steps=4, last_steps=2)


def test_the_field_leads_to_the_predicted_ends(small_model: BackboneModel) -> None:
    """Following the velocity for the time that is left ends where the network predicts, on both spaces."""
    mask = torch.ones(2, 9, dtype=torch.bool)
    noise = noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(0))
    x, t = (noise.translations, noise.quaternions), torch.tensor([0.2, 0.6])
    velocity = BackboneVelocity(small_model.network, rotation_exponent=1.5)(x, t)
    times = torch.stack([schedule.value(t) for schedule in backbone_path(1.5).schedule], dim=-1)
    end = small_model.network(FramesBatch(noise, mask, torch.arange(9).expand(2, 9), times))[-1]
    reached = backbone_path(1.5).endpoint(x, velocity, t)
    torch.testing.assert_close(reached[0], end.translations, atol=1e-3, rtol=0)
    same = (reached[1] * end.quaternions).sum(dim=-1).abs()
    torch.testing.assert_close(same, torch.ones_like(same), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rank", [4, None])
def test_the_reward_rises_and_the_model_can_be_saved(
    small_model: BackboneModel, tmp_path: Path, rank: int | None
) -> None:
    """After some steps the reward is higher than before; the old model is as it was; the new one samples and loads."""
    reward = parse_rewards(["compactness"])
    before = {name: value.clone() for name, value in small_model.network.state_dict().items()}
    settings = QUICK.model_copy(update={"rank": rank})
    tuned, rewards = finetune_model(small_model, reward, length=12, seed=1, settings=settings)
    assert rewards[-1] > rewards[0]
    for name, value in small_model.network.state_dict().items():
        assert torch.equal(value, before[name])
    assert set(tuned.network.state_dict()) == set(before)
    assert tuned.card["finetuning"]["length"] == 12
    save_model(tmp_path / "tuned.safetensors", tuned.network, sampling=tuned.sampling, card=tuned.card)
    loaded = load_model(tmp_path / "tuned.safetensors", device="cpu")
    assert generate(loaded, 12, options=SamplingOptions(steps=2))[0].coordinates.shape == (12, 4, 3)


def test_the_same_seed_gives_the_same_rewards(small_model: BackboneModel) -> None:
    """Twice with one seed: the same rewards at each step."""
    reward = parse_rewards(["contacts"])
    first, second = (finetune_model(small_model, reward, length=10, seed=3, settings=QUICK)[1] for _ in range(2))
    assert first == second


def test_a_reward_without_a_gradient_is_refused(small_model: BackboneModel) -> None:
    """Counting alone teaches nothing."""
    with pytest.raises(InputError, match="no gradient"):
        finetune_model(small_model, lambda frames, mask: torch.zeros(len(mask)), length=10, settings=QUICK)
