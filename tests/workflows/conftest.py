"""A Slurm cluster for the tests marked `slurm`."""

from collections.abc import Iterator

import pytest

from slurm_cluster import cluster, reason_for_none


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start a cluster of our own, or skip where that cannot be done or one is set up already."""
    if reason := reason_for_none():
        pytest.skip(reason)
    with cluster(tmp_path_factory.mktemp("slurm")):
        yield
