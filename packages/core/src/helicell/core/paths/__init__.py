"""How the source x_0 becomes the data x_1: `path.sample(x_0, x_1, t)` gives a `PathSample` with x_t and its velocity.

`GeodesicPath` works on every space; `interpolants` makes the stochastic interpolants of flat space, with `gammas` for
their noise, `conversions` among velocity, score and the rest, `rescheduling` of a trained field, and `kinetic` for the
schedule that data ask for. `couplings` and `transport` say which x_0 goes with which x_1, `times` where to look.
"""

from helicell.core.paths.coefficients import Coefficient, Custom
from helicell.core.paths.conversions import convert, converted
from helicell.core.paths.couplings import Coupling, GivenPairs, IndependentCoupling, Pairs, WithinLabels
from helicell.core.paths.gammas import Brownian, Quadratic, SineSquared
from helicell.core.paths.geodesic import GeodesicPath
from helicell.core.paths.interpolants import (
    Interpolant,
    encoding_decoding,
    linear,
    mirror,
    one_sided_linear,
    one_sided_trigonometric,
    schroedinger_bridge,
    trigonometric,
    variance_preserving,
)
from helicell.core.paths.path import PathSample
from helicell.core.paths.rescheduling import Rescheduled
from helicell.core.paths.schedules import Exponential, Linear, Power, Schedule
from helicell.core.paths.times import (
    BetaTimes,
    CustomTimes,
    LogitNormalTimes,
    MixtureTimes,
    TimeDensity,
    UniformTimes,
    UShapedTimes,
)
from helicell.core.paths.transport import (
    ExactTransport,
    PartialTransport,
    SinkhornTransport,
    UnbalancedTransport,
)

__all__ = [
    "BetaTimes",
    "Brownian",
    "Coefficient",
    "Coupling",
    "Custom",
    "CustomTimes",
    "ExactTransport",
    "Exponential",
    "GeodesicPath",
    "GivenPairs",
    "IndependentCoupling",
    "Interpolant",
    "Linear",
    "LogitNormalTimes",
    "MixtureTimes",
    "Pairs",
    "PartialTransport",
    "PathSample",
    "Power",
    "Quadratic",
    "Rescheduled",
    "Schedule",
    "SineSquared",
    "SinkhornTransport",
    "TimeDensity",
    "UShapedTimes",
    "UnbalancedTransport",
    "UniformTimes",
    "WithinLabels",
    "convert",
    "converted",
    "encoding_decoding",
    "linear",
    "mirror",
    "one_sided_linear",
    "one_sided_trigonometric",
    "schroedinger_bridge",
    "trigonometric",
    "variance_preserving",
]
