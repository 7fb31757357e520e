"""Moving along a learned field.

`ode` follows a velocity on any space, `sde` adds noise, `likelihood` tells the density of where it leads. `endpoint`
and `rectified` sample by predictions of the end, from the last state or the original noise; `guidance` pushes a field
towards a condition or a reward. `fields` says how fields are called.
"""

from helicell.core.dynamics.endpoint import follow_endpoint, time_grid
from helicell.core.dynamics.guidance import Adaptive, ClassifierFree, Projected, RewardGradient
from helicell.core.dynamics.likelihood import Likelihood, divergence, log_likelihood
from helicell.core.dynamics.ode import Solution, integrate
from helicell.core.dynamics.rectified import sample_rectified
from helicell.core.dynamics.sde import simulate

__all__ = [
    "Adaptive",
    "ClassifierFree",
    "Likelihood",
    "Projected",
    "RewardGradient",
    "Solution",
    "divergence",
    "follow_endpoint",
    "integrate",
    "log_likelihood",
    "sample_rectified",
    "simulate",
    "time_grid",
]
