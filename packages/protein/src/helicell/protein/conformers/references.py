"""What a sampler of torsions is held against: exact quadrature for two of them, parallel tempering for more.

The density has a period in every torsion, so that the mean over an even grid converges faster than any power of its
spacing. Tempering runs independent ladders of Metropolis-adjusted Langevin chains in the same torsions; its error is
seen from the distance between two halves of its ladders. It says nothing of log Z, which annealed sampling estimates
from a uniform start, without bias in Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.samplers.baselines import annealed_sampling
from helicell.core.samplers.energies import Energy, Target
from helicell.core.samplers.local_search import langevin_search
from helicell.core.samplers.process import uniform_angles
from helicell.core.spaces.torus import wrapped

BATCH = 2000
# Share of a tempering that only gets there.
BURN_IN = 0.2


@dataclass(frozen=True, slots=True)
class Quadrature:
    """The exact density of two torsions.

    Attributes
    ----------
    log_z
        The logarithm of the integral of the density.
    shares
        [points, points], the probability of every cell, by its middle; they sum to one.
    """

    log_z: float
    shares: Float[Tensor, "points points"]

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count 2"]:
        """Draw from the density, uniform within each cell."""
        points = len(self.shares)
        cells = torch.multinomial(self.shares.flatten(), count, replacement=True, generator=generator)
        within = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        place = torch.stack((cells // points, cells % points), dim=1) + within
        return place * (2 * math.pi / points) - math.pi


def quadrature(energy: Energy, *, points: int = 180) -> Quadrature:
    """Integrate a density of two torsions over an even grid.

    Raises
    ------
    InputError
        If there are not two torsions.
    """
    if energy.dim != 2:
        message = f"quadrature is for two torsions, the energy has {energy.dim}; choose tempering"
        raise InputError(message)
    middles = (torch.arange(points, dtype=torch.float64) + 0.5) * (2 * math.pi / points) - math.pi
    grid = torch.cartesian_prod(middles, middles)
    values = torch.cat([energy.log_reward(part) for part in grid.split(BATCH)])
    total = values.logsumexp(dim=0)
    return Quadrature(float(total) + 2 * math.log(2 * math.pi / points), (values - total).exp().view(points, points))


@dataclass(frozen=True, slots=True)
class Tempering:
    """States of parallel tempering.

    Attributes
    ----------
    halves
        States of the first and of the second half of the ladders, each [states, dim].
    swaps
        Share of the trades between neighbouring temperatures that were made.
    acceptance
        Of the moves at the lowest temperature.
    energy_calls
        Energies that it took.
    """

    halves: tuple[Float[Tensor, "states dim"], Float[Tensor, "states dim"]]
    swaps: float
    acceptance: float
    energy_calls: int


def tempering(
    energy: Energy,
    *,
    chains: int,
    steps: int,
    temperatures: tuple[float, ...],
    keep_every: int = 10,
    seed: int = 0,
) -> Tempering:
    """Sample torsions by parallel tempering from a uniform start.

    Parameters
    ----------
    energy
        The energy of angles.
    chains
        Independent ladders.
    steps
        Steps of each, of which the first fifth is left out.
    temperatures
        The ladder, from 1.
    keep_every
        Steps between states that are kept.
    seed
        Of the random numbers.
    """
    generator = sample_generator(seed, 0, stream="conformers/tempering")
    target = Target(energy)
    start = uniform_angles(torch.randn(chains, energy.dim, generator=generator))
    found = langevin_search(
        target,
        start,
        steps=steps,
        burn_in=int(BURN_IN * steps),
        step=0.01,
        temperatures=temperatures,
        keep_every=keep_every,
        generator=generator,
    )
    states = wrapped(found.points).view(-1, chains, energy.dim)
    first, second = (part.flatten(0, 1) for part in (states[:, : chains // 2], states[:, chains // 2 :]))
    return Tempering((first, second), found.swaps or 0.0, found.acceptance, target.calls)


def annealed_log_z(energy: Energy, *, runs: int, particles: int, stages: int, seed: int = 0) -> list[float]:
    """Estimate log Z by annealed sampling with resampling, once a run."""
    found = []
    for run in range(runs):
        generator = sample_generator(seed, run, stream="conformers/annealing")
        drawn = annealed_sampling(Target(energy), particles, stages=stages, step=0.01, generator=generator)
        found.append(float(drawn.log_weights.double().logsumexp(dim=0)) - math.log(particles))
    return found
