"""Backbones for the tests of the evaluation: real ones, ideal ones with known dihedrals, and ways to break them."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helicell.protein.chains.sources import open_source
from helicell.protein.chains.sources.source import Item
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.structures import Chain, read_chains

# Bond lengths (Angstrom) and angles (degrees) of ideal peptides (Engh & Huber 1991).
N_CA, CA_C, C_N, C_O = 1.458, 1.525, 1.329, 1.231
N_CA_C, CA_C_N, C_N_CA, CA_C_O = 111.0, 117.2, 121.7, 120.1


def place(a: NDArray, b: NDArray, c: NDArray, length: float, angle: float, torsion: float) -> NDArray:
    """Place the atom d with the bond c-d, the angle b-c-d and the torsion a-b-c-d (degrees)."""
    angle, torsion = np.deg2rad([angle, torsion])
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, axis)
    return c + length * (-np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * across + np.sin(torsion) * normal))


def build_backbone(dihedrals: list[tuple[float, float]], *, omega: float = 180.0) -> NDArray[np.float64]:
    """Build N, CA, C, O of a chain with these phi and psi (degrees) and ideal bonds and angles."""
    n = np.zeros(3)
    ca = np.array([N_CA, 0.0, 0.0])
    c = place(np.array([0.0, 1.0, 0.0]), n, ca, CA_C, N_CA_C, dihedrals[0][0])
    residues = []
    for number, (_, psi) in enumerate(dihedrals):
        next_n = place(n, ca, c, C_N, CA_C_N, psi)
        oxygen = place(n, ca, c, C_O, CA_C_O, psi + 180.0)
        residues.append([n, ca, c, oxygen])
        if number + 1 < len(dihedrals):
            next_ca = place(ca, c, next_n, N_CA, C_N_CA, omega)
            n, ca, c = next_n, next_ca, place(c, next_n, next_ca, CA_C, N_CA_C, dihedrals[number + 1][0])
    return np.array(residues)


def rotated(coordinates: NDArray, seed: int = 0) -> NDArray:
    """Return the coordinates turned and moved at random."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    return coordinates @ rotation.T + rng.normal(size=3) * 20


@pytest.fixture(scope="session")
def ideal() -> Callable[..., NDArray[np.float64]]:
    """Return the function that builds a backbone from phi and psi."""
    return build_backbone


@pytest.fixture(scope="session")
def helix() -> NDArray[np.float64]:
    """Return an ideal alpha helix of thirty residues."""
    return build_backbone([(-57.8, -47.0)] * 30)


@pytest.fixture(scope="session")
def move() -> Callable[..., NDArray]:
    """Return the function that turns and moves coordinates."""
    return rotated


@pytest.fixture(scope="session")
def globins() -> list[Chain]:
    """Return the chains of 2GTL, a crystal structure of globins and linkers that comes with tmtools."""
    return read_chains(Path(str(resources.files("tmtools") / "data" / "2gtl.pdb")))


@pytest.fixture(scope="session")
def natural_store(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> ChainStore:
    """Return a store of four hundred real chains of 50 to 120 residues, one of a cluster, globular and experimental."""
    chosen: dict[object, Item] = {}
    for item in open_source(str(data_dir / "proteins" / "backbones.npz")):
        facts = item.columns
        if facts["globular"] and not facts["predicted"] and 50 <= len(item.chains[0]) <= 120:
            chosen.setdefault(facts["cluster30"], item)
        if len(chosen) == 400:
            break
    columns = {
        name: [item.columns[name] for item in chosen.values()] for name in ("cluster30", "globular", "predicted")
    }
    folder = tmp_path_factory.mktemp("evaluation") / "store"
    return write_store(folder, (item.chains[0] for item in chosen.values()), columns=columns)


@pytest.fixture(scope="session")
def natural(natural_store: ChainStore) -> list[Chain]:
    """Return forty of them."""
    return [natural_store[i] for i in range(0, 400, 10)]
