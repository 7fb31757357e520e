"""The posterior of a variational autoencoder's latent, given an image: a conditional energy.

A small autoencoder learns the 8 x 8 digits that come with scikit-learn, in a few seconds and with a fixed seed. The log
reward of a latent z given an image x is log N(z; 0, I) + log p(x | z) with independent Bernoulli pixels.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helicell.core.errors import InputError
from helicell.core.samplers.energies.energy import Energy

LATENT = 10
HIDDEN = 64
EPOCHS = 60
BATCH = 128
SEED = 8
# As the published task does, so that no pixel is certain.
CLAMP = 1e-5
HELD_OUT = 297


class DigitPosterior(Energy):
    """log N(z; 0, I) + log p(x | z) of a decoder with one hidden layer, for images of digits.

    Parameters
    ----------
    latent
        Dimensions of the latent.

    References
    ----------
    Sendera and others, arXiv 2402.05098, section 5, with digits of 64 pixels in the place of 784.
    """

    def __init__(self, latent: int = LATENT) -> None:
        self.dim = latent
        self.variance = 1.0
        images, weights = _trained(latent)
        self._images = images
        self.condition_dim = images.shape[1]
        self._weights = weights

    @property
    def held_out(self) -> Float[Tensor, "images pixels"]:
        """Images that the autoencoder has not seen."""
        return self._images[-HELD_OUT:]

    def draw_conditions(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count pixels"]:
        """Return images of the training set, drawn with repetition."""
        rows = torch.randint(len(self._images) - HELD_OUT, (count,), generator=generator)
        return self._images[rows]

    def log_reward(self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None) -> Float[Tensor, " batch"]:
        _, logits = self._decode(x)
        return self._value(x, logits, self._checked(x, condition))

    def value_and_gradient(
        self, x: Float[Tensor, "batch dim"], condition: Tensor | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        images = self._checked(x, condition)
        inner, _, outer, _ = (weight.to(x) for weight in self._weights)
        hidden, logits = self._decode(x)
        inside = logits.abs() < _largest_logit()
        misfit = (images - logits.sigmoid()) * inside
        return self._value(x, logits, images), ((misfit @ outer) * (hidden > 0)) @ inner - x

    def _decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        inner, inner_bias, outer, outer_bias = (weight.to(z) for weight in self._weights)
        hidden = torch.addmm(inner_bias, z, inner.T).relu()
        return hidden, torch.addmm(outer_bias, hidden, outer.T)

    def _value(self, z: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        limit = _largest_logit()
        clamped = logits.clamp(-limit, limit)
        pixels = (images * clamped - nn.functional.softplus(clamped)).sum(dim=1)
        return pixels - 0.5 * z.square().sum(dim=1) - 0.5 * self.dim * math.log(2 * math.pi)

    def _checked(self, x: Tensor, condition: Tensor | None) -> Tensor:
        if condition is None or condition.shape != (len(x), self.condition_dim):
            given = "none" if condition is None else list(condition.shape)
            message = f"the posterior needs an image for each latent, [{len(x)}, {self.condition_dim}]; given: {given}"
            raise InputError(message)
        return condition.to(x)


def _largest_logit() -> float:
    return math.log((1 - CLAMP) / CLAMP)


@cache
def _trained(latent: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the images and the weights of a decoder that was trained on all but the last of them."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().data).float() / 16
    generator = torch.Generator().manual_seed(SEED)
    images = images[torch.randperm(len(images), generator=generator)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        encoder = nn.Sequential(nn.Linear(images.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * latent))
        decoder = nn.Sequential(nn.Linear(latent, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, images.shape[1]))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3, fused=True)
    seen = images[:-HELD_OUT]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(seen), generator=generator).split(BATCH):
            with torch.enable_grad():
                mean, log_variance = encoder(seen[rows]).chunk(2, dim=1)
                noise = torch.randn(mean.shape, generator=generator)
                logits = decoder(mean + noise * (0.5 * log_variance).exp())
                misfit = nn.functional.binary_cross_entropy_with_logits(logits, seen[rows], reduction="sum")
                divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
                optimiser.zero_grad(set_to_none=True)
                ((misfit + divergence) / len(rows)).backward()
            optimiser.step()
    return images, tuple(weight.detach() for weight in decoder.parameters())
