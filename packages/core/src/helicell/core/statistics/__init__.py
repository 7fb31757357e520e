"""Distances between samples, and how sure they are.

`transport` and `sliced` measure by optimal transport, `kernels` by means over pairs; `resampling` gives any of them an
interval and a floor. `assignment` is the problem that exact transport comes down to.
"""

from helicell.core.statistics.kernels import energy_distance, median_distance, squared_mmd
from helicell.core.statistics.resampling import Estimate, estimate
from helicell.core.statistics.sliced import sliced_wasserstein
from helicell.core.statistics.transport import sinkhorn_divergence, wasserstein

__all__ = [
    "Estimate",
    "energy_distance",
    "estimate",
    "median_distance",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "squared_mmd",
    "wasserstein",
]
