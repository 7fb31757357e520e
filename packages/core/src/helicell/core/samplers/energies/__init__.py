"""Energies to learn from, by name: mixtures, funnels, many wells, a Cox process, a posterior, angles, a user's own.

| name | is | dim | log Z |
| --- | --- | --- | --- |
| `gmm9`, `gmm25` | 9 or 25 Gaussians on a grid in the plane | 2 | 0 |
| `funnel`, `easy-funnel` | Neal's funnel with spread 3 or 1 | 10 | 0 |
| `many-well` | pairs of a double well and a Gaussian | 32, or any even number | exact |
| `cox` | a log-Gaussian Cox process on a grid | 1600, or any square | unknown |
| `digits` | the posterior of an autoencoder's latent given an image | 10 | unknown |
| `von-mises` | a mixture of von Mises distributions of angles | 2, or any number | 0 |
| `module:attribute` | the user's own | its own | if it says so |
"""

from __future__ import annotations

import math

from helicell.core.errors import InputError, unknown_option
from helicell.core.samplers.energies.cox import CoxProcess
from helicell.core.samplers.energies.energy import Energy, EnergyValues, Target
from helicell.core.samplers.energies.funnel import Funnel
from helicell.core.samplers.energies.many_well import ManyWell
from helicell.core.samplers.energies.mixtures import GaussianMixture, grid_mixture
from helicell.core.samplers.energies.user import UserEnergy, load_energy
from helicell.core.samplers.energies.vae import DigitPosterior
from helicell.core.samplers.energies.von_mises import VonMisesMixture, spread_mixture

__all__ = [
    "ENERGIES",
    "CoxProcess",
    "DigitPosterior",
    "Energy",
    "EnergyValues",
    "Funnel",
    "GaussianMixture",
    "ManyWell",
    "Target",
    "UserEnergy",
    "VonMisesMixture",
    "grid_mixture",
    "load_energy",
    "make_energy",
    "spread_mixture",
]

ENERGIES = ("gmm9", "gmm25", "funnel", "easy-funnel", "many-well", "cox", "digits", "von-mises")


def make_energy(name: str, dim: int | None = None) -> Energy:
    """Return an energy by its name, or a user's own by its path.

    Parameters
    ----------
    name
        One of `ENERGIES`, or `module:attribute`.
    dim
        Dimensions, where they can be chosen.

    Raises
    ------
    InputError
        If the name is unknown, or the energy cannot have so many dimensions.

    Examples
    --------
    >>> make_energy("many-well", 8).dim
    8
    """
    if ":" in name:
        energy = load_energy(name)
    elif name in ("gmm9", "gmm25"):
        energy = grid_mixture(3 if name == "gmm9" else 5)
    elif name in ("funnel", "easy-funnel"):
        energy = Funnel(dim or 10, spread=3.0 if name == "funnel" else 1.0)
    elif name == "many-well":
        energy = ManyWell(dim or 32)
    elif name == "cox":
        energy = CoxProcess(math.isqrt(dim) if dim else 40)
    elif name == "digits":
        energy = DigitPosterior(dim or 10)
    elif name == "von-mises":
        energy = spread_mixture(dim or 2)
    else:
        raise unknown_option("energy", name, (*ENERGIES, "module:attribute"))
    if dim is not None and energy.dim != dim:
        message = f"the energy {name} has {energy.dim} dimensions, {dim} were asked for; leave --dim out"
        raise InputError(message)
    return energy
