"""Real structures for the tests of readers and writers."""

from importlib import resources
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def entries() -> Path:
    """Return a folder with the PDB entries 2GTL and 7OK9, each as PDB and mmCIF (they come with tmtools)."""
    return Path(str(resources.files("tmtools") / "data"))
