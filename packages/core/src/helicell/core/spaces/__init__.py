"""Where states live: Euclidean space, tori, unit quaternions modulo sign, any geoopt manifold, and products.

Every space offers the same few maps (`exp`, `log`, `geodesic`, `project`, `distance`), so that paths, solvers and
samplers are written once. A point of a product is a tuple with one tensor per factor.
"""

from helicell.core.spaces.euclidean import Euclidean
from helicell.core.spaces.igso3 import IsotropicGaussian
from helicell.core.spaces.manifolds import Manifold
from helicell.core.spaces.product import Product
from helicell.core.spaces.quaternions import UnitQuaternions
from helicell.core.spaces.space import Point, Space
from helicell.core.spaces.sphere import Sphere
from helicell.core.spaces.torus import Torus

__all__ = [
    "Euclidean",
    "IsotropicGaussian",
    "Manifold",
    "Point",
    "Product",
    "Space",
    "Sphere",
    "Torus",
    "UnitQuaternions",
]
