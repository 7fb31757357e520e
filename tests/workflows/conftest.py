"""A Slurm cluster for the tests marked `slurm`."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_cluster import cluster, reason_for_none

# Slurm has one place for its configuration, so test processes take turns.
LOCK = Path(tempfile.gettempdir()) / "helicell-slurm-tests.lock"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start a cluster of our own, or skip where that cannot be done or one is set up already."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if reason := reason_for_none():
            pytest.skip(reason)
        with cluster(tmp_path_factory.mktemp("slurm")):
            yield
