"""A real structure to cut motifs from."""

from importlib import resources
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def globin() -> Path:
    """Return the PDB entry 2GTL, twelve chains of an annelid haemoglobin and three linkers (it comes with tmtools)."""
    return Path(str(resources.files("tmtools") / "data" / "2gtl.pdb"))
