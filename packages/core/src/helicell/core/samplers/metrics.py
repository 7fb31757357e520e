"""How good a sampler is: bounds and estimates of log Z, effective sample size, distances to exact samples, modes.

A low error of the lower bound alone rewards collapse onto some modes, so the upper bound, the share of the modes that
are covered, and distances beside their floor stand with it, and what it all cost in calls of the energy.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.energies.energy import Energy, Target
from helicell.core.samplers.process import Steps
from helicell.core.samplers.sampler import Sampler, Samples

# A mode counts as covered when it holds at least this share of what is its due.
COVERED_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured; None where it cannot be.

    Attributes
    ----------
    log_z
        The mean log weight of the sampler's paths: a lower bound of log Z (ELBO).
    log_z_rw
        The logarithm of the mean weight: an estimate of log Z by reweighting.
    eubo
        The mean log weight of backward paths from exact samples: an upper bound of log Z.
    log_z_error, log_z_rw_error, eubo_gap
        How far they are from the truth: true less estimated for the first two, EUBO less ELBO for the last.
    ess
        Effective sample size as a share of the samples.
    w2, w2_floor
        Exact Wasserstein distance to exact samples, and between two sets of exact samples of the same size.
    sliced_w2, sliced_w2_floor
        The sliced distance, in the same way.
    modes, modes_covered
        How many modes there are, and how many hold at least a fifth of their due.
    samples
        How many samples were drawn.
    rejected
        Share of the samples at which the energy was not finite; they count in nothing else.
    energy_calls
        Calls of the energy for this evaluation.
    """

    log_z: float
    log_z_rw: float
    eubo: float | None
    log_z_error: float | None
    log_z_rw_error: float | None
    eubo_gap: float | None
    ess: float
    w2: float | None
    w2_floor: float | None
    sliced_w2: float | None
    sliced_w2_floor: float | None
    modes: int | None
    modes_covered: int | None
    samples: int
    rejected: float
    energy_calls: int

    def to_mapping(self) -> dict[str, float | int | None]:
        """Return the metrics by name."""
        return asdict(self)


def evaluate(
    sampler: Sampler, *, samples: int = 2000, seed: int = 0, distances: bool = True, steps: int | None = None
) -> Metrics:
    """Measure a sampler.

    Parameters
    ----------
    sampler
        What is measured.
    samples
        Paths, and exact samples where the energy has them.
    seed
        Of the random numbers.
    distances
        Whether to compute distances to exact samples.
    steps
        Steps of sampling, if other than its settings say.
    """
    energy, target = sampler.energy, Target(sampler.energy)
    generator = torch.Generator().manual_seed(seed)
    condition = energy.draw_conditions(samples, generator)
    grid = sampler.steps_of(steps)
    drawn = sampler.sample(samples, seed=seed, target=target, condition=condition, steps=grid)
    exact = energy.sample(samples, generator) if energy.has_samples else None
    eubo = None
    if exact is not None:
        eubo = float(_backward_log_weights(sampler, target, exact, generator, grid).mean())
    return measure(energy, drawn, exact=exact, eubo=eubo, calls=target.calls, seed=seed, distances=distances)


def measure(
    energy: Energy,
    drawn: Samples,
    *,
    exact: Float[Tensor, "count dim"] | None = None,
    eubo: float | None = None,
    calls: int = 0,
    seed: int = 0,
    distances: bool = True,
) -> Metrics:
    """Measure samples, of whatever method.

    Parameters
    ----------
    energy
        What was sampled.
    drawn
        The samples and their weights.
    exact
        As many exact samples.
    eubo
        The upper bound, if it is known.
    calls
        Calls of the energy that the samples took.
    seed
        Of further random numbers.
    distances
        Whether to compute distances to the exact samples.
    """
    finite = drawn.log_reward.isfinite()
    weights, points = drawn.log_weights[finite].double(), drawn.points[finite]
    bound, estimate, ess = _weight_summary(weights)
    truth = energy.log_z
    measured = _distances(energy, points, exact, seed) if distances and exact is not None and len(points) > 1 else {}
    modes = None if energy.modes is None else len(energy.modes)
    return Metrics(
        log_z=bound,
        log_z_rw=estimate,
        eubo=eubo,
        log_z_error=None if truth is None else truth - bound,
        log_z_rw_error=None if truth is None else truth - estimate,
        eubo_gap=None if eubo is None else eubo - bound,
        ess=ess,
        w2=measured.get("w2"),
        w2_floor=measured.get("w2_floor"),
        sliced_w2=measured.get("sliced_w2"),
        sliced_w2_floor=measured.get("sliced_w2_floor"),
        modes=modes,
        modes_covered=None if modes is None else modes_covered(energy, points),
        samples=len(drawn.points),
        rejected=1 - float(finite.double().mean()),
        energy_calls=calls,
    )


def modes_covered(energy: Energy, points: Float[Tensor, "count dim"]) -> int:
    """Return how many modes hold a fifth or more of an equal share of the points."""
    if energy.modes is None or not len(points):
        return 0
    centres = _embedded(energy, energy.modes.to(points))
    nearest = torch.cdist(_embedded(energy, points), centres).min(dim=1)
    inside = nearest.indices[nearest.values <= energy.mode_radius]
    counts = torch.bincount(inside, minlength=len(centres))
    return int((counts >= COVERED_SHARE * len(points) / len(centres)).sum())


def _embedded(energy: Energy, points: Tensor) -> Tensor:
    """Return points in a space with the usual distance: for angles, that of their points on circles."""
    return torch.cat((points.cos(), points.sin()), dim=1) if energy.periodic else points


def _weight_summary(weights: Tensor) -> tuple[float, float, float]:
    """Return the mean log weight, the log of the mean weight, and the effective share."""
    count = len(weights)
    if not count:
        return -math.inf, -math.inf, 0.0
    total = weights.logsumexp(dim=0)
    ess = (2 * total - (2 * weights).logsumexp(dim=0)).exp() / count
    return float(weights.mean()), float(total) - math.log(count), float(ess)


@torch.no_grad()
def _backward_log_weights(
    sampler: Sampler, target: Target, exact: Tensor, generator: torch.Generator, steps: Steps
) -> Tensor:
    """Return the log weights of one backward path from every exact sample."""
    parts = []
    for ends in exact.to(sampler.device).split(sampler.comfortable_batch(steps)):
        path = sampler.roll_back(target, steps, ends, generator=generator)
        parts.append((sampler.probabilities(path).log_ratio + path.log_reward).cpu())
    return torch.cat(parts).double()


def _distances(energy: Energy, points: Tensor, exact: Tensor, seed: int) -> dict[str, float]:
    """Return distances to the exact samples, and the floors: those of a second exact set."""
    from helicell.core.statistics.sliced import sliced_wasserstein
    from helicell.core.statistics.transport import wasserstein

    second = _embedded(energy, energy.sample(len(points), sample_generator(seed, 0, stream="floor")))
    points, exact = _embedded(energy, points), _embedded(energy, exact[: len(points)])
    found = {"w2": wasserstein(points, exact), "w2_floor": wasserstein(second, exact)}
    for name, one in (("sliced_w2", points), ("sliced_w2_floor", second)):
        directions = torch.Generator().manual_seed(seed)
        found[name] = sliced_wasserstein(one, exact, generator=directions).distance
    return found
