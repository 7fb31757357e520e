"""Guidance: pushing a trained field towards a condition or a reward while it is followed.

Every class here is itself a field, called as field(x, t), so any solver follows it. `conditional` and `unconditional`
are fields too; they close over their condition, or over none.

| class | guides |
| --- | --- |
| `ClassifierFree` | by u + scale (c - u), of conditional c and unconditional u, or of a good and a bad network |
| `Adaptive` | the same, until both agree; from then on only the conditional network is called |

guide velocities on every space, for tangent vectors at one point can be added; in flat space also

| class | guides |
| --- | --- |
| `Projected` | predictions of the data, mostly at right angles to themselves, limited in size, with momentum |
| `RewardGradient` | towards a differentiable reward of the data |

`Adaptive` and `Projected` remember earlier steps: make a new one, or `reset` it, before another sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helicell.core.dynamics.fields import check_velocity
from helicell.core.errors import InputError
from helicell.core.paths.conversions import convert, score_share
from helicell.core.paths.couplings import take
from helicell.core.paths.interpolants import Interpolant
from helicell.core.spaces import Point
from helicell.core.spaces.space import as_tensors, expand_like, expand_points, like_point

Field = Callable[[Any, Tensor], Any]
"""(x, t) -> a tensor, or on products a tuple, of the shape of x; t has the shape [] or [batch]."""

# Before this time the strength of a reward's gradient is that at this time; it would be infinite at t = 0.
EARLIEST = 1e-3


class ClassifierFree:
    """The field u + scale (c - u).

    Parameters
    ----------
    conditional, unconditional
        The fields c and u. A weaker network in the place of u gives autoguidance.
    scale
        1 follows the conditional field alone, more exaggerates what the condition adds.

    References
    ----------
    Ho and Salimans, arXiv 2207.12598.
    """

    citations = ("ho2022classifier",)

    def __init__(self, conditional: Field, unconditional: Field, *, scale: float) -> None:
        self.conditional, self.unconditional, self.scale = conditional, unconditional, scale

    def __call__(self, x: Any, t: Tensor) -> Any:
        """Return the guided field; with scale 1 only the conditional field is called."""
        conditional = self.conditional(x, t)
        if self.scale == 1:
            return conditional
        return _extrapolated(self.unconditional(x, t), conditional, self.scale)


class Adaptive:
    """Classifier-free guidance that stops calling the unconditional field for each point at which both agree.

    Fields of equal length agree when the cosine of the angle between them exceeds the threshold; the same distance
    between their ends is allowed where the lengths differ, since in few dimensions two directions may be equal by
    chance. Each point is judged by itself, so a sample does not depend on the batch it is in.

    Parameters
    ----------
    conditional, unconditional, scale
        As for `ClassifierFree`.
    threshold
        The cosine; the nearer to 1, the later guidance stops.

    Attributes
    ----------
    evaluations
        Field evaluations so far, one for each point and field.
    saved
        The share of the evaluations of plain classifier-free guidance that was saved.

    References
    ----------
    Castillo and others, arXiv 2312.12487.
    """

    citations = ("castillo2023adaptive", "ho2022classifier")

    def __init__(self, conditional: Field, unconditional: Field, *, scale: float, threshold: float = 0.99) -> None:
        if not 0 < threshold <= 1:
            message = f"the threshold of adaptive guidance is {threshold}, expected a cosine over 0 and at most 1"
            raise InputError(message)
        self.conditional, self.unconditional = conditional, unconditional
        self.scale, self.threshold = scale, threshold
        self.reset()

    def reset(self) -> None:
        """Forget which points agreed, and the counts."""
        self._guided: Tensor | None = None
        self._batch = 0
        self.evaluations = 0
        self._plain = 0

    @property
    def saved(self) -> float:
        return 1 - self.evaluations / self._plain if self._plain else 0.0

    def __call__(self, x: Any, t: Tensor) -> Any:
        """Return the guided field.

        Raises
        ------
        InputError
            If the batch has another size than before, or the fields return different shapes.
        """
        conditional = self.conditional(x, t)
        first = as_tensors(x)[0]
        count = len(first)
        if self._guided is None:
            self._guided, self._batch = torch.arange(count, device=first.device), count
        if count != self._batch:
            message = f"the batch has {count} points, and had {self._batch} before; reset() before another sampling"
            raise InputError(message)
        rows = self._guided
        self._plain += 2 * count
        self.evaluations += count + len(rows)
        if not len(rows):
            return conditional
        guided = take(conditional, rows)
        unconditional = self.unconditional(take(x, rows), t[rows] if t.ndim else t)
        extrapolated = _extrapolated(unconditional, guided, self.scale)
        pairs = zip(as_tensors(guided), as_tensors(unconditional), strict=True)
        apart = _lengths(like_point(tuple(c - u for c, u in pairs), x))
        self._guided = rows[apart >= (2 - 2 * self.threshold) ** 0.5 * _lengths(guided)]
        parts = zip(as_tensors(conditional), as_tensors(extrapolated), strict=True)
        return like_point(tuple(whole.index_copy(0, rows, part) for whole, part in parts), x)


class Projected:
    """Adaptive projected guidance of predictions of the data.

    The difference of the conditional and the unconditional prediction is averaged with those before, limited in length,
    and split into its part along the conditional prediction, which saturates samples, and the rest, which improves
    them. `converted(..., "velocity", given="x_1", path=path)` makes a velocity of the result.

    Parameters
    ----------
    conditional, unconditional
        Fields that predict x_1.
    scale
        As for `ClassifierFree`.
    parallel
        The share of the parallel part that is kept; 1 with no radius and no momentum is classifier-free guidance.
    radius
        The length to which the difference is limited; not at all unless given.
    momentum
        The weight of the earlier differences; negative values push away from where guidance went before.

    References
    ----------
    Sadat, Hilliges and Weber, arXiv 2410.02416, algorithm 1.
    """

    citations = ("sadat2025eliminating",)

    def __init__(
        self,
        conditional: Field,
        unconditional: Field,
        *,
        scale: float,
        parallel: float = 0.0,
        radius: float | None = None,
        momentum: float = -0.5,
    ) -> None:
        if radius is not None and not radius > 0:
            message = f"the radius of projected guidance is {radius}, expected a positive length, or None for no limit"
            raise InputError(message)
        self.conditional, self.unconditional, self.scale = conditional, unconditional, scale
        self.parallel, self.radius, self.momentum = parallel, radius, momentum
        self.reset()

    def reset(self) -> None:
        """Forget the earlier differences."""
        self._average: Tensor | float = 0.0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the guided prediction of x_1.

        Raises
        ------
        InputError
            If the batch has another shape than before, or the fields return different shapes.
        """
        conditional, unconditional = self.conditional(x, t), self.unconditional(x, t)
        check_velocity(unconditional, conditional)
        if isinstance(self._average, Tensor) and self._average.shape != x.shape:
            shapes = list(x.shape), list(self._average.shape)
            message = (
                f"the batch has the shape {shapes[0]}, and had {shapes[1]} before; reset() before another sampling"
            )
            raise InputError(message)
        difference: Tensor = conditional - unconditional + self.momentum * self._average
        self._average = difference
        if self.radius is not None:
            length = difference.flatten(1).norm(dim=1)
            difference = difference * expand_like((self.radius / length).clamp_max(1), difference)
        direction = torch.nn.functional.normalize(conditional.flatten(1), dim=1).view_as(conditional)
        along = (difference * direction).flatten(1).sum(dim=1)
        parallel = expand_like(along, direction) * direction
        return conditional + (self.scale - 1) * (difference - parallel + self.parallel * parallel)


class RewardGradient:
    """A velocity field that is pushed up the gradient of a reward of the predicted data.

    Where the expectation of exp(scale reward) given x_t is that at the mean of the data, up to a factor that does not
    depend on x_t, the samples have the density of the data times exp(scale reward): for Gaussian data and a linear
    reward exactly.

    Parameters
    ----------
    velocity
        The velocity field, differentiable in x.
    reward
        Takes data [batch, ...], returns rewards [batch].
    path
        The path that the field was trained on, with a Gaussian source.
    scale
        How strongly the reward counts.

    References
    ----------
    Chung and others, Diffusion posterior sampling, arXiv 2209.14687, with the velocity's share of the score.
    """

    citations = ("chung2023diffusion",)

    def __init__(
        self, velocity: Field, reward: Callable[[Tensor], Tensor], *, path: Interpolant, scale: float = 1.0
    ) -> None:
        if not path.gaussian_source:
            message = "a reward guides fields of paths with a Gaussian source only; take for example one_sided_linear()"
            raise InputError(message)
        self.velocity, self.reward, self.path, self.scale = velocity, reward, path, scale

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the guided velocity.

        Raises
        ------
        InputError
            If the reward is not one number a sample, or carries no gradient.
        """
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            velocity = self.velocity(start, t)
            data = convert(velocity, "x_1", given="velocity", path=self.path, x_t=start, t=t)
            rewards = self.reward(data)
            if rewards.shape != x.shape[:1] or not rewards.requires_grad:
                message = (
                    f"the reward has the shape {list(rewards.shape)}, expected [{len(x)}], one differentiable number a "
                    "sample"
                )
                raise InputError(message)
            (gradient,) = torch.autograd.grad(rewards.sum(), start)
        share = score_share(self.path, t.clamp_min(EARLIEST))
        return velocity.detach() + self.scale * expand_points(share, x) * gradient


def _extrapolated(unconditional: Point, conditional: Point, scale: float) -> Point:
    """Return u + scale (c - u), tensor by tensor."""
    check_velocity(unconditional, conditional)
    pairs = zip(as_tensors(unconditional), as_tensors(conditional), strict=True)
    return like_point(tuple(torch.lerp(u, c, scale) for u, c in pairs), conditional)


def _lengths(v: Point) -> Tensor:
    """Return the length of all of an example's numbers, shape [batch]."""
    squares = [part.flatten(1).square().sum(dim=1) for part in as_tensors(v)]
    return torch.stack(squares).sum(dim=0).sqrt()
