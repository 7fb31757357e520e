"""How the source x_0 becomes the data x_1: `path.sample(x_0, x_1, t)` gives a `PathSample` with x_t and its velocity."""

from helicell.core.paths.geodesic import GeodesicPath
from helicell.core.paths.path import PathSample
from helicell.core.paths.schedules import Exponential, Linear, Power, Schedule
from helicell.core.paths.times import BetaTimes, MixtureTimes, TimeDensity, UniformTimes

__all__ = [
    "BetaTimes",
    "Exponential",
    "GeodesicPath",
    "Linear",
    "MixtureTimes",
    "PathSample",
    "Power",
    "Schedule",
    "TimeDensity",
    "UniformTimes",
]
